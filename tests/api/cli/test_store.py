"""`mooring store`: what it says, what it writes, and what it refuses."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import httpx
import trio

from tests.api.conversing import conversing
from tests.api.harness import ON_PAPER, ROOT, server
from tests.faults.private_postgres import PrivatePostgres

KEY = "A" * 43 + "="


def run(
    data_dir: Path, *arguments: str, given: bytes = b"", **env: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "tests.api.desk_cli", "store", *arguments],
        input=given,
        capture_output=True,
        check=False,
        timeout=60,
        cwd=data_dir.parent,
        env={"MOORING_DATA_DIR": str(data_dir), "PYTHONPATH": str(ROOT), **env},
    )


def said(done: subprocess.CompletedProcess[bytes]) -> list[str]:
    """The lines for people; not the warning of a PostgreSQL that runs without fsync in tests."""
    return [line for line in done.stderr.decode().splitlines() if "fsync=off" not in line]


async def filled(data_dir: Path) -> str:
    await trio.Path(data_dir).mkdir(mode=0o700)
    async with conversing(data_dir) as talk:
        session_id = await talk.open_session()
        await talk.post(session_id, "kept")
        async with talk.line(session_id, after=0) as line:
            await line.until("reply.completed")
    return session_id


async def test_an_export_that_is_imported_elsewhere_is_the_same_again(tmp_path: Path) -> None:
    data_dir, other = tmp_path / "data", tmp_path / "other"
    session_id = await filled(data_dir)
    assert run(data_dir, "check").returncode == 0
    file = tmp_path / "out.jsonl"
    done = run(data_dir, "export", str(file))
    assert (done.returncode, done.stdout) == (0, b"")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run(data_dir, "export", "-").stdout == file.read_bytes()
    assert run(other, "import", "-", given=file.read_bytes()).returncode == 0
    assert run(other, "export", "-").stdout == file.read_bytes()
    async with conversing(other) as talk:
        found = await talk.messages(session_id)
        assert [one["content"] for one in found] == ["kept", "kept"]


async def test_what_cannot_be_done_is_said_in_one_line(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    missing = run(data_dir, "check")
    assert missing.returncode == 1
    assert b"there is no database" in missing.stderr
    await filled(data_dir)
    export = run(data_dir, "export", "-").stdout
    for arguments, given, reason in (
        (("import", "-"), export, b"not empty"),
        (("import", str(tmp_path / "nowhere")), b"", b"nowhere"),
        (("export", str(tmp_path / "no" / "where")), b"", b"where"),
    ):
        done = run(data_dir, *arguments, given=given)
        assert done.returncode == 1
        assert reason in done.stderr
        assert done.stderr.count(b"\n") == 1, done.stderr
    cut = run(tmp_path / "third", "import", "-", given=export[: len(export) // 2])
    assert cut.returncode == 1
    (data_dir / "mooring.db").write_bytes(b"not a database at all" * 1000)
    damaged = run(data_dir, "check")
    assert damaged.returncode == 1
    assert damaged.stderr.startswith(b"mooring: ")


async def test_a_database_in_use_is_left_alone(tmp_path: Path) -> None:
    async with server(tmp_path, program=ON_PAPER) as running:
        await running.wait_ready()
        done = run(tmp_path / "data", "check")
        assert done.returncode == 1
        assert b"in use by another server" in done.stderr


async def test_a_store_is_moved_into_postgresql_and_back_and_a_server_goes_on_there(
    tmp_path: Path, postgres: PrivatePostgres
) -> None:
    data_dir, back = tmp_path / "data", tmp_path / "back"
    session_id = await filled(data_dir)
    url = postgres.url(schema="moved")
    done = run(data_dir, "copy", str(data_dir), url)
    assert done.returncode == 0, done.stderr
    lines = said(done)
    assert [line.split()[0] for line in lines] == ["copied", "verified", "1"]
    assert lines[-1].endswith("the same in both")
    there = {"MOORING_STORE": url, "MOORING_KEY": KEY}
    assert run(data_dir, "check", **there).returncode == 0
    export = run(data_dir, "export", "-", **there)
    assert export.stdout == run(data_dir, "export", "-").stdout
    assert run(data_dir, "copy", url, str(back)).returncode == 0
    assert run(back, "export", "-").stdout == export.stdout
    async with server(back, program=ON_PAPER, env=there) as running:
        await running.wait_ready()
        url = f"{running.urls[0]}/api/sessions/{session_id}/messages"
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            answer = await client.post(url, json={"content": "still here"})
            assert answer.status_code == 201, answer.text
            found = (await client.get(url)).json()["messages"]
    assert [one["content"] for one in found][:2] == ["kept", "kept"]
    assert not (back / "data" / "mooring.db").exists()


async def test_what_cannot_be_moved_is_said_in_one_line(
    tmp_path: Path, postgres: PrivatePostgres
) -> None:
    data_dir, url = tmp_path / "data", postgres.url(schema="full")
    await filled(data_dir)
    assert run(data_dir, "copy", str(data_dir), url).returncode == 0
    secret = url.replace("mooring@", "mooring:hunter2@")
    for arguments, reason in (
        ((str(data_dir), secret), b"not empty"),
        ((str(tmp_path / "none"), secret), b"there is no database"),
        ((str(data_dir), "postgresql://a:hunter2/x@b/c"), b"not a PostgreSQL URL"),
        ((secret.replace("/mooring?", "/missing?"), str(tmp_path / "t")), b"no such database"),
    ):
        done = run(data_dir, "copy", *arguments)
        assert done.returncode == 1
        assert reason in done.stderr
        assert len(said(done)) == 1, done.stderr
        assert b"hunter2" not in done.stderr + done.stdout
