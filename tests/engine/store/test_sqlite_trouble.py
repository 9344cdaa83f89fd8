"""The SQLite store in trouble: a full or failing disk, other processes, slow reads."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from unittest import mock

import pytest
import trio

from engine.errors import CommitUnknown, StoreUnavailable
from engine.store import CommitLimits, SqliteStore, open_sqlite
from tests.engine.store.parts import commit, events


async def _write_on(store: SqliteStore) -> None:
    for number in range(1_000):
        await store.commit(commit(f"note/{number}", events=events(1, size=20_000)))


async def test_a_full_disk_refuses_commits_until_there_is_room_again(path: Path) -> None:
    async with open_sqlite(path, max_bytes=400_000) as store:
        await store.begin_epoch()
        with pytest.raises(StoreUnavailable, match="the disk is full") as caught:
            await _write_on(store)
        assert str(path) in str(caught.value)
        assert store.statistics().failing == "the disk is full"  # everybody may ask for this
        report = await store.check()
        assert report.problems == ()
        assert report.streams == report.events > 5
        await store.erase("note/0", epoch=1)
        await store.commit(commit("note/again", events=events(1, size=20_000)))


async def test_a_failing_disk_in_the_middle_of_a_commit_leaves_its_fate_open(
    sqlite: SqliteStore,
) -> None:
    """Then nothing more is taken: a second flush could report success and not have written."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC

    class Failing:
        def __init__(self, connection: sqlite3.Connection) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> object:
            return getattr(self._connection, name)

        def execute(self, statement: str, *values: object) -> object:
            if statement == "COMMIT":
                raise error
            return self._connection.execute(statement, *values)

    batches = sqlite._writer._batches
    await sqlite.commit(commit())
    with mock.patch.object(batches, "_connection", Failing(batches._connection)):
        with pytest.raises(CommitUnknown, match="disk I/O error"):
            await sqlite.commit(commit(seq=1))
        with pytest.raises(StoreUnavailable, match="restart"):
            await sqlite.commit(commit(seq=1))
    assert await sqlite.newest("note/1") == 1


async def test_a_disk_that_does_not_answer_is_given_up_and_leaves_nobody_waiting(
    path: Path,
) -> None:
    async with open_sqlite(path, limits=CommitLimits(stall_s=0.1)) as store:
        await store.begin_epoch()
        answer = threading.Event()
        store._writer._thread.begin(lambda: answer.wait(30))
        with pytest.raises(CommitUnknown, match="did not answer"):
            await store.commit(commit())
        with pytest.raises(StoreUnavailable, match="restart"):
            await store.commit(commit())
        answer.set()
    async with open_sqlite(path) as store:
        # It was durable after all: only the next start could know.
        assert await store.newest("note/1") == 1


async def test_the_small_index_stays_small_and_nobody_waits_for_that(sqlite: SqliteStore) -> None:
    for seq in range(0, 3_000, 10):
        await sqlite.commit(commit(seq=seq, count=10))
    sizes = await sqlite._writer.run(
        5,
        lambda connection: [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("event_tail", "event_index")
        ],
    )
    assert sizes[0] <= 256 + 10
    assert sum(sizes) == 3_000
    page = await sqlite.read("note/1", limit=1_000, after=2_000)
    assert page.events == events(2_001, 1_000)


async def test_a_database_held_by_another_process_is_named(path: Path, sqlite: SqliteStore) -> None:
    await sqlite._writer.run(5, lambda connection: connection.execute("PRAGMA busy_timeout = 20"))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="another process"):
        await sqlite.commit(commit())
    other.execute("ROLLBACK")
    other.close()
    await sqlite.commit(commit())


async def test_what_another_connection_wrote_is_seen_by_the_next_commit(
    path: Path, sqlite: SqliteStore
) -> None:
    """The writer remembers where streams stand, and must notice when that is no longer true."""
    await sqlite.commit(commit())
    async with open_sqlite(path) as other:
        await other.commit(commit(seq=1))
        await other.commit(commit("note/2"))
    await sqlite.commit(commit(seq=2))
    await sqlite.commit(commit("note/2", seq=1))
    await sqlite.commit(commit("note/3"))
    assert (await sqlite.check()).problems == ()


async def test_a_cancelled_read_is_interrupted(path: Path, sqlite: SqliteStore) -> None:
    endless = (
        "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    )
    for _ in range(3):
        with trio.move_on_after(0.05) as scope:
            await sqlite._readers.run(lambda connection: connection.execute(endless).fetchone())
        assert scope.cancelled_caught
    await sqlite.commit(commit())
    assert await sqlite.newest("note/1") == 1


async def test_a_read_that_takes_too_long_is_given_up(sqlite: SqliteStore) -> None:
    endless = (
        "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    )
    with (
        mock.patch.object(sqlite._readers, "_timeout_s", 0.05),
        pytest.raises(StoreUnavailable, match="took longer"),
    ):
        await sqlite._readers.run(lambda connection: connection.execute(endless).fetchone())
    assert await sqlite.newest("note/1") == 0


async def test_a_read_goes_on_while_a_batch_is_written(sqlite: SqliteStore) -> None:
    seen: list[int] = []
    async with trio.open_nursery() as nursery:
        for seq in range(50):
            nursery.start_soon(sqlite.commit, commit(seq=seq))
            await trio.lowlevel.checkpoint()
        while await sqlite.newest("note/1") < 50:
            page = await sqlite.read("note/1", limit=1_000)
            assert [event.seq for event in page.events] == [*range(1, page.newest_seq + 1)]
            seen.append(page.newest_seq)
    assert seen == sorted(seen)
