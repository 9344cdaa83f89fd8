"""Erasing from a file: nothing is left of it, whatever comes between."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import trio

from engine.store import Claim, Snapshot, SqliteStore, open_sqlite
from engine.store import _sqlite_erase as erasing
from tests.engine.store.parts import commit, content_of, events, files_of, put, row


async def test_nothing_of_an_erased_stream_is_left_in_any_file(
    path: Path, sqlite: SqliteStore
) -> None:
    secret = b"my-very-secret-words"
    for number in range(20):
        await put(sqlite, f"note/{number}", summary=b"harmless")
    for seq in range(0, 2_500, 500):
        await sqlite.commit(
            commit(
                "note/secret",
                seq=seq,
                events=tuple(
                    msgspec.structs.replace(event, body=secret) for event in events(seq + 1, 500)
                ),
                row=row(secret.decode(), summary=secret, tags={"t": secret.decode()}),
                snapshot=Snapshot(seq=seq, body=secret * 300),
                claims=[Claim(alias=secret.decode() + str(seq), payload=secret)],
            )
        )
    assert any(secret in content_of(file) for file in files_of(path))
    await sqlite.erase("note/secret", epoch=1)
    assert not any(secret in content_of(file) for file in files_of(path))


async def test_an_erasure_cut_off_by_a_crash_is_finished_at_the_next_start(
    path: Path, tmp_path: Path
) -> None:
    async with open_sqlite(path) as store:
        await store.begin_epoch()
        for seq in range(0, 3_000, 1_000):
            await store.commit(commit(seq=seq, count=1_000))
        await store.commit(commit("note/2"))
        await store._writer.run(5, erasing.bury, "note/1", 1)
        crashed = tmp_path / "crashed.db"
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{crashed}{suffix}")
    async with open_sqlite(crashed) as store:
        assert await store.newest("note/1") == 0
        report = await store.check()
        assert (report.problems, report.streams, report.events) == ((), 1, 1)


async def test_an_erasure_whose_caller_goes_away_is_finished(sqlite: SqliteStore) -> None:
    for seq in range(0, 3_000, 1_000):
        await sqlite.commit(commit(seq=seq, count=1_000))
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when_buried, sqlite, scope)
            await sqlite.erase("note/1", epoch=1)
    assert (await sqlite.check()).events == 0


async def _cancel_when_buried(sqlite: SqliteStore, scope: trio.CancelScope) -> None:
    while await sqlite.newest("note/1"):
        pass
    scope.cancel()


async def test_a_stream_reborn_while_its_grave_is_emptied_is_left_alone(
    sqlite: SqliteStore,
) -> None:
    await sqlite.commit(commit(count=1_000))
    await sqlite._writer.run(5, erasing.bury, "note/1", 1)
    await sqlite.commit(commit(count=2))
    await sqlite._writer.empty_graves(5)
    assert (await sqlite.read("note/1")).events == events(1, 2)
    assert (await sqlite.check()).problems == ()


async def test_an_export_sees_one_moment_while_others_write(sqlite: SqliteStore) -> None:
    for number in range(30):
        await sqlite.commit(commit(f"note/{number}", events=events(1, size=20_000)))
    count = 0
    async with sqlite.export() as lines:
        async for line in lines:
            await sqlite.commit(commit(f"note/{count}", seq=0 if count >= 30 else 1))
            count += 1
            assert b'"seq":2' not in line
    assert count == 62
