"""Backup and restore, as docs/operations.md says it is done, with a server that runs."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import httpx
import trio

from tests.api.cli.test_store import run
from tests.api.harness import server
from tests.api.monitoring.test_metrics import OPENING
from tests.faults.private_postgres import PrivatePostgres

KEY = "A" * 43 + "="


async def test_a_backup_of_a_running_server_is_restored_with_everything_answered_before_it(
    tmp_path: Path,
) -> None:
    data_dir, copy = tmp_path / "data", tmp_path / "copy.db"
    async with server(tmp_path) as running:
        await running.wait_ready()
        async with (
            httpx.AsyncClient(base_url=running.urls[0], trust_env=False, timeout=20) as client,
            trio.open_nursery() as nursery,
        ):
            made = (await client.post("/api/sessions", json=OPENING)).json()
            path = f"/api/sessions/{made['sessionId']}/messages"
            answered: list[str] = []

            async def talk() -> None:
                for number in range(1000):
                    text = f"message {number}"
                    if (await client.post(path, json={"content": text})).status_code == 201:
                        answered.append(text)

            nursery.start_soon(talk)
            while len(answered) < 20:
                await trio.sleep(0.01)
            before = list(answered)
            done = await trio.to_thread.run_sync(run, data_dir, "backup", str(copy))
            assert done.returncode == 0, done.stderr
            nursery.cancel_scope.cancel()
        await running.stop(signal.SIGKILL)
    assert done.stderr.endswith(b" events, sound\n")
    restored = tmp_path / "again"
    (restored / "data").mkdir(parents=True, mode=0o700)
    shutil.copy(copy, restored / "data/mooring.db")
    shutil.copy(data_dir / "master.key", restored / "data/master.key")
    async with server(restored) as running:
        await running.wait_ready()
        async with httpx.AsyncClient(
            base_url=running.urls[0], trust_env=False, timeout=20
        ) as client:
            found, after = [], 0
            while after is not None:
                page = (await client.get(path, params={"limit": 100, "after": after})).json()
                found += [it["content"] for it in page["messages"] if it["role"] == "user"]
                after = page["nextCursor"]
            assert found[: len(before)] == before  # once each, in order
            more = await client.post(path, json={"content": "and on it goes"})
            assert more.status_code == 201
        assert await running.stop() == 0


def test_without_a_database_and_with_postgresql_it_says_what_to_do(
    tmp_path: Path, postgres: PrivatePostgres
) -> None:
    missing = run(tmp_path / "data", "backup", "copy.db")
    assert missing.returncode == 1
    assert b"there is no database" in missing.stderr
    elsewhere = run(
        tmp_path / "data",
        "backup",
        "copy.db",
        MOORING_STORE=postgres.url(schema="backup"),
        MOORING_KEY=KEY,
    )
    assert elsewhere.returncode == 1
    assert b"pg_dump" in elsewhere.stderr
