"""Copies of a SQLite store that is in use."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from engine.errors import StoreError, StoreUnavailable
from engine.store import SqliteStore, backup_sqlite, open_sqlite
from tests.engine.store.parts import commit, dump, mode_of, overwrite, put, row


async def test_a_copy_holds_everything_and_opens_as_a_store(
    sqlite: SqliteStore, path: Path, tmp_path: Path
) -> None:
    for number in range(50):
        await sqlite.commit(commit(f"note/{number}", count=3, row=row(tags={"t": "1"})))
    report = await backup_sqlite(path, tmp_path / "copy.db")
    assert (report.problems, report.streams, report.events) == ((), 50, 150)
    assert mode_of(tmp_path / "copy.db") == 0o600
    async with open_sqlite(tmp_path / "copy.db") as copy:
        assert await dump(copy) == await dump(sqlite)
        assert (await copy.check()).problems == ()
        await put(copy, "note/new")


async def test_writers_go_on_meanwhile_and_the_copy_is_of_one_moment(
    sqlite: SqliteStore, path: Path, tmp_path: Path
) -> None:
    answered = 0

    async def write() -> None:
        nonlocal answered
        while True:
            # Both or neither: what a copy of two moments would tear apart.
            await sqlite.commit(commit("note/1", seq=answered * 2, count=2))
            answered += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        for number in range(5):
            before = answered
            await backup_sqlite(path, tmp_path / f"{number}.db")
            async with open_sqlite(tmp_path / f"{number}.db") as copy:
                newest = await copy.newest("note/1")
            assert newest % 2 == 0
            assert before * 2 <= newest <= answered * 2 + 2
        nursery.cancel_scope.cancel()


async def test_what_was_erased_is_not_in_the_copy(
    sqlite: SqliteStore, path: Path, tmp_path: Path
) -> None:
    await sqlite.commit(commit(row=row(summary=b"a secret of long ago")))
    await sqlite.erase("note/1", epoch=1)
    await backup_sqlite(path, tmp_path / "copy.db")
    assert b"long ago" not in (tmp_path / "copy.db").read_bytes()


async def test_an_older_copy_is_replaced_only_by_a_whole_one(
    sqlite: SqliteStore, path: Path, tmp_path: Path
) -> None:
    target = tmp_path / "copy.db"
    target.write_bytes(b"an older one")
    await put(sqlite, "note/1")
    with pytest.raises(StoreUnavailable):
        await backup_sqlite(tmp_path / "nowhere.db", target)
    assert target.read_bytes() == b"an older one"
    await backup_sqlite(path, target)
    async with open_sqlite(target) as copy:
        assert await copy.newest("note/1") == 1
    assert not (tmp_path / "copy.db.part").exists()


async def test_a_damaged_store_gives_no_copy(tmp_path: Path) -> None:
    overwrite(tmp_path / "store.db", b"no database" * 1000)
    with pytest.raises(StoreError):
        await backup_sqlite(tmp_path / "store.db", tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    assert not (tmp_path / "copy.db.part").exists()


async def test_a_folder_that_is_not_there_is_said(
    sqlite: SqliteStore, path: Path, tmp_path: Path
) -> None:
    with pytest.raises(StoreUnavailable, match="No such file"):
        await backup_sqlite(path, tmp_path / "no" / "copy.db")
