"""The SQLite store's file: who may read it, what is refused, what a check finds."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from engine.errors import StoreDamaged, StoreTooNew, StoreUnavailable
from engine.store import Claim, Snapshot, SqliteStore, open_sqlite
from engine.store._sqlite_schema import MIGRATIONS, migrate, version_of
from tests.engine.store.parts import (
    commit,
    content_of,
    events,
    files_of,
    mode_of,
    overwrite,
    put,
    row,
)


async def _open(path: Path) -> None:
    async with open_sqlite(path):
        pass


async def test_nobody_but_its_owner_may_read_thefiles_of(path: Path, sqlite: SqliteStore) -> None:
    await sqlite.commit(commit())
    assert [mode_of(file) for file in files_of(path)] == [0o600] * 3


async def test_a_file_that_others_may_read_is_made_private(path: Path) -> None:
    await _open(path)
    overwrite(path, content_of(path), mode=0o644)
    await _open(path)
    assert mode_of(path) == 0o600


async def test_closing_writes_the_log_back_and_leaves_one_file(path: Path) -> None:
    async with open_sqlite(path) as store:
        await store.commit(commit())
    assert [file.exists() for file in files_of(path)] == [True, False, False]


async def test_it_is_durable_by_the_settings_that_make_it_so(sqlite: SqliteStore) -> None:
    def settings(connection: sqlite3.Connection) -> dict[str, object]:
        names = ("journal_mode", "synchronous", "secure_delete")
        return {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names}

    found = await sqlite._writer.run(5, settings)
    assert found == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}


async def test_a_file_of_a_newer_program_is_left_untouched(path: Path) -> None:
    await _open(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = content_of(path)
    with pytest.raises(StoreTooNew) as caught:
        await _open(path)
    assert str(path) in str(caught.value)
    assert (caught.value.version, caught.value.supported) == (99, len(MIGRATIONS))
    assert content_of(path) == before


async def test_a_database_of_another_program_is_left_untouched(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = content_of(path)
    with pytest.raises(StoreDamaged, match="another program"):
        await _open(path)
    assert content_of(path) == before


async def test_a_file_that_is_no_database_is_left_untouched(path: Path) -> None:
    overwrite(path, b"a letter to my bank\n" * 500)
    with pytest.raises(StoreDamaged, match="not a database"):
        await _open(path)
    assert content_of(path).startswith(b"a letter")


async def test_an_empty_file_is_a_new_store(path: Path) -> None:
    overwrite(path, b"")
    async with open_sqlite(path) as store:
        await store.commit(commit())


async def _look_at_all(path: Path) -> None:
    async with open_sqlite(path) as store:
        assert (await store.check()).problems
        for number in range(50):
            await store.load(f"note/{number}")
            await store.read(f"note/{number}")


async def test_a_file_cut_in_half_is_named_as_damaged(path: Path) -> None:
    async with open_sqlite(path) as store:
        for number in range(50):
            await put(store, f"note/{number}")
    content = content_of(path)
    overwrite(path, content[: len(content) // 2])
    with pytest.raises(StoreDamaged) as caught:
        await _look_at_all(path)
    assert str(path) in str(caught.value)


async def _damage_a_page(path: Path) -> None:
    """Make a store with one stream of 400 events, one page of which is damaged."""
    async with open_sqlite(path) as store:
        for seq in range(0, 400, 100):
            await store.commit(commit(seq=seq, events=events(seq + 1, 100, size=300)))
    content = bytearray(content_of(path))
    page = content.index(b"200....") // 4096 * 4096  # a body, in the middle of the log
    content[page : page + 64] = b"\xa5" * 64
    overwrite(path, content)


async def test_a_check_names_damage_inside_a_page(path: Path) -> None:
    await _damage_a_page(path)
    async with open_sqlite(path) as store:
        assert (await store.check()).problems


async def test_damage_that_a_read_meets_with_stays_in_the_statistics(path: Path) -> None:
    await _damage_a_page(path)
    async with open_sqlite(path) as store:
        await store.read("note/1", limit=100)
        assert store.statistics().damage is None
        with pytest.raises(StoreDamaged) as caught:
            await store.read("note/1", after=100, limit=200)
        assert store.statistics().damage == caught.value.detail


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DELETE FROM event_tail WHERE seq = 2", "an event without its entry: 1/2"),
        ("DELETE FROM events WHERE seq = 2", "an entry without its event: 1/2"),
        ("UPDATE events SET seq = 9 WHERE seq = 2", "an entry without its event: 1/2"),
        ("DELETE FROM streams WHERE stream = 'note/1'", "an event of no stream: 1/1"),
        ("DELETE FROM streams WHERE stream = 'note/1'", "an alias of no stream: 1"),
        ("DELETE FROM streams WHERE stream = 'note/1'", "a snapshot of no stream: 1"),
        ("UPDATE snapshots SET seq = 9", "a snapshot beyond the newest event: 1"),
        ("DELETE FROM summaries", "a row without its summary: note/1"),
        ("UPDATE tags SET value = 'x'", "a tag that its row does not have: note/1 business"),
        ("UPDATE streams SET status = 'x'", "a tag that its row does not have: note/1 business"),
        ("UPDATE streams SET epoch = 9", "an epoch from the future: note/1"),
        (
            "INSERT INTO event_index SELECT no, seq, id FROM event_tail WHERE seq = 3",
            "an event in the tail that is older than the index: 1/1",
        ),
    ],
)
async def test_a_check_names_contradictions(path: Path, statement: str, problem: str) -> None:
    async with open_sqlite(path) as store:
        await store.begin_epoch()
        await store.commit(
            commit(
                count=3,
                row=row(tags={"business": "B1"}),
                snapshot=Snapshot(seq=3, body=b""),
                claims=[Claim(alias="a")],
            )
        )
        assert (await store.check()).problems == ()
        with sqlite3.connect(path) as connection:
            connection.execute(statement)
        connection.close()
        assert problem in (await store.check()).problems


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="No such file"):
        await _open(tmp_path / "none" / "store.db")


async def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await _open(tmp_path)


async def test_migrations_run_in_order_and_each_is_whole_or_not_at_all(path: Path) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    steps = ["CREATE TABLE a (x);", "CREATE TABLE b (x); INSERT INTO b VALUES (1);"]
    migrate(connection, steps[:1])
    migrate(connection, steps)
    migrate(connection, steps)
    assert version_of(connection) == 2
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, [*steps, "CREATE TABLE c (x); INSERT INTO nowhere VALUES (1);"])
    connection.rollback()
    assert version_of(connection) == 2
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    assert tables == {"a", "b"}
    connection.close()
