"""`mooring key rotate`: what it changes, keeps and refuses; and killed at any moment."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from actors.browser.page import BrowserState, Cookie
from actors.browser.place import Change, News, after, beginning, commit_of, stream_of
from actors.browser.portals.portal import Credentials
from actors.browser.saved import SavedSession, Vault
from api.keyfile import KEY_FILE, master_keys, read_keys
from api.storage import DATABASE
from engine.clock import SystemClock
from engine.seal import MasterKey, Sealer
from engine.store import CatalogueRow, Commit, open_sqlite
from tests.api.harness import ROOT, server

COMMAND = [sys.executable, "-m", "tests.api.desk_cli", "key", "rotate"]


def environment(data_dir: Path, **env: str) -> dict[str, str]:
    return {"MOORING_DATA_DIR": str(data_dir), "PYTHONPATH": str(ROOT), **env}


def rotate(data_dir: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        COMMAND,
        capture_output=True,
        check=False,
        timeout=60,
        text=True,
        cwd=data_dir.parent,
        env=environment(data_dir, **env),
    )


def saved(number: int) -> SavedSession:
    credentials = Credentials(
        username=f"driver-{number}", password=f"harbor-{number}", captcha_api_key="key"
    )
    cookie = Cookie(name="login", value=f"cookie-{number}", domain="portal.test")
    state = BrowserState(url="https://portal.test/", cookies=(cookie,))
    return SavedSession(credentials=credentials, state=state)


async def fill(data_dir: Path, sessions: int, keys: tuple[MasterKey, ...] | None = None) -> None:
    """Make a data directory with so many saved sessions, as a server leaves it."""
    await trio.Path(data_dir).mkdir(mode=0o700, exist_ok=True)
    clock = SystemClock()
    vault = Vault(Sealer(keys or master_keys((), data_dir, clock), clock))
    async with open_sqlite(data_dir / DATABASE) as store:
        epoch = await store.begin_epoch()
        for number in range(sessions):
            news = [
                News(session_id=str(number), event="session.created", data={}, at="", at_ms=number)
            ]
            before = beginning(news[0])
            assert before is not None
            login = vault.logins(saved(number).credentials)[0]
            change = Change(
                session_id=str(number),
                before=before,
                now=after(before, news, saved(number), login),
                news=news,
                saved=saved(number),
            )
            await store.commit(commit_of(change, vault, epoch=epoch, at_ms=number))


async def opened(data_dir: Path, keys: tuple[MasterKey, ...]) -> int:
    """Return how many sessions open with these keys, and are found by their credentials."""
    vault, count = Vault(Sealer(keys, SystemClock())), 0
    async with open_sqlite(data_dir / DATABASE) as store:
        while (loaded := await store.load(stream_of(str(count)))).snapshot is not None:
            assert loaded.row is not None
            found = vault.open(str(count), loaded.snapshot.body)
            assert found == saved(count)
            vault.open_summary(str(count), loaded.row.summary)
            assert loaded.row.tags["login"] in vault.logins(found.credentials)
            alias = await store.resolve(f"browser-login/{loaded.row.tags['login']}")
            assert alias is not None
            assert alias.stream == stream_of(str(count))
            count += 1
    return count


async def test_a_new_key_takes_the_place_of_the_old_one_and_opens_everything(
    tmp_path: Path,
) -> None:
    data_dir = tmp_path / "data"
    await fill(data_dir, 3)
    (old,) = read_keys(data_dir / KEY_FILE)
    done = rotate(data_dir)
    (new,) = read_keys(data_dir / KEY_FILE)
    assert (done.returncode, new == old) == (0, False)
    assert done.stderr.splitlines() == [
        f"sealed anew under key {new.key_id}: 3 browser",
        f"no longer needed, removed: {old.key_id}",
    ]
    assert await opened(data_dir, (new,)) == 3
    assert old.mark not in (data_dir / DATABASE).read_bytes()


async def test_with_keys_in_the_setting_it_seals_anew_and_says_which_may_go(
    tmp_path: Path,
) -> None:
    data_dir, clock = tmp_path / "data", SystemClock()
    old, new = MasterKey.generate(clock), MasterKey.generate(clock)
    await fill(data_dir, 2, (old,))
    done = rotate(data_dir, MOORING_KEY=f"{new.text},{old.text}")
    assert done.returncode == 0
    assert f"may be taken out of MOORING_KEY now: {old.key_id}" in done.stderr
    assert old.text not in done.stderr + done.stdout
    assert await opened(data_dir, (new,)) == 2
    assert not (data_dir / KEY_FILE).exists()
    alone = rotate(data_dir, MOORING_KEY=new.text)
    assert alone.returncode == 2
    assert "put the new one before it" in alone.stderr


async def test_a_key_that_somebody_else_may_need_stays(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    await fill(data_dir, 1)
    (old,) = read_keys(data_dir / KEY_FILE)
    async with open_sqlite(data_dir / DATABASE) as store:
        row = CatalogueRow(owner="o", status="active", created_at_ms=0, updated_at_ms=0)
        epoch = await store.begin_epoch()
        await store.commit(Commit(stream="unheard-of/1", epoch=epoch, expected_seq=0, row=row))
    done = rotate(data_dir)
    new, kept = read_keys(data_dir / KEY_FILE)
    assert kept == old
    assert f"kept, still needed by unheard-of: {old.key_id}" in done.stderr
    assert await opened(data_dir, (new,)) == 1


async def test_it_is_refused_while_a_server_holds_the_data_directory(tmp_path: Path) -> None:
    async with server(tmp_path) as running:
        await running.wait_ready()
        before = read_keys(tmp_path / "data" / KEY_FILE)
        done = await trio.to_thread.run_sync(rotate, tmp_path / "data")
        assert done.returncode == 1
        assert "in use by another server" in done.stderr
        assert read_keys(tmp_path / "data" / KEY_FILE) == before


def test_without_a_key_there_is_nothing_to_rotate(tmp_path: Path) -> None:
    done = rotate(tmp_path / "data")
    assert done.returncode == 1
    assert "there is no master key" in done.stderr


@pytest.mark.parametrize("delay_ms", [0, 5, 20, 50, 100, 200])
async def test_killed_at_any_moment_nothing_is_lost_and_it_can_be_run_again(
    tmp_path: Path, delay_ms: int
) -> None:
    data_dir = tmp_path / "data"
    await fill(data_dir, 150)
    old = read_keys(data_dir / KEY_FILE)
    process = await trio.lowlevel.open_process(
        COMMAND,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
        env=environment(data_dir),
    )
    while read_keys(data_dir / KEY_FILE) == old and process.poll() is None:
        await trio.sleep(0.001)
    await trio.sleep(delay_ms / 1000)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert await opened(data_dir, read_keys(data_dir / KEY_FILE)) == 150
    done = rotate(data_dir)
    assert done.returncode == 0, done.stderr
    keys = read_keys(data_dir / KEY_FILE)
    assert len(keys) == 1
    assert await opened(data_dir, keys) == 150
