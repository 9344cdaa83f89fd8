"""`kill -9` of a process that writes: what it acknowledged is there, whole and in order."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
import trio

from engine.store import Store
from tests.engine.store.parts import PostgresBackend, SqliteBackend

# After so many acknowledged commits each; where exactly the kill falls is the machine's chance.
KILLS = (5, 17, 60, 130, 240, 31, 399, 8)
_ROOT = Path(__file__).parents[3]


async def _write_and_kill(where: str, lines: int) -> Mapping[str, int]:
    """Let a process write until it has acknowledged so many commits, and kill it at once."""
    acknowledged: dict[str, int] = {}
    command = [sys.executable, "-m", "tests.engine.store.writer_to_kill", where]
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            partial(trio.run_process, command, cwd=_ROOT, stdout=subprocess.PIPE, check=False)
        )
        text = b""
        with trio.fail_after(60):
            while text.count(b"\n") < lines:
                text += await process.stdout.receive_some()
        process.send_signal(signal.SIGKILL)
        with trio.fail_after(60):
            while more := await process.stdout.receive_some():
                text += more
    for line in text.decode().splitlines():
        if line.count(" ") == 1 and text.endswith(b"\n"):
            stream, seq = line.split()
            acknowledged[stream] = int(seq)
    return acknowledged


async def _until_gone(backend: SqliteBackend | PostgresBackend) -> None:
    """Wait until the database, too, is done with what the killed process had sent."""
    if isinstance(backend, PostgresBackend):
        theirs = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'mooring'"
        with trio.fail_after(60):
            while backend.server.sql(theirs):
                await trio.sleep(0.01)


async def _hold_against(store: Store, acknowledged: Mapping[str, int]) -> None:
    assert (await store.check()).problems == ()
    for stream, seq in acknowledged.items():
        loaded = await store.load(stream)
        assert loaded.seq >= seq
        assert loaded.row is not None
        assert loaded.row.summary == str(loaded.seq).encode()  # all of a commit, or nothing
        assert await store.resolve(f"key/{stream}/{loaded.seq}") is not None
        assert await store.resolve(f"key/{stream}/{loaded.seq + 2}") is None
        seen, after = [], 0
        while after < loaded.seq:
            page = await store.read(stream, after=after, limit=1_000)
            seen += [event.body.decode() for event in page.events]
            after = page.through
        assert seen == [f"{stream} {number}" for number in range(1, loaded.seq + 1)]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_what_was_acknowledged_survives_being_killed_again_and_again(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    backend: SqliteBackend | PostgresBackend = SqliteBackend(tmp_path)
    if kind == "postgres":
        backend = PostgresBackend(request.getfixturevalue("postgres"))
    acknowledged: dict[str, int] = {}
    for number, commits in enumerate(KILLS, start=1):
        acknowledged |= await _write_and_kill(backend.where, commits)
        await _until_gone(backend)
        async with backend.open() as store:
            await _hold_against(store, acknowledged)
            assert await store.begin_epoch() == 2 * number
    assert len(acknowledged) == 4
