"""Several nodes on one database, and what a database does that a file does not."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import product

import msgspec
import pytest
import trio

from engine.errors import AliasTaken, StoreError, StoreUnavailable
from engine.store import Claim, ListQuery, PostgresStore, Store, open_postgres
from engine.store._cursor import Place
from engine.store._postgres_list import statement_for
from tests.engine.store.parts import PostgresBackend, commit, row
from tests.faults.private_postgres import PrivatePostgres


@pytest.fixture
def place(postgres: PrivatePostgres) -> PostgresBackend:
    return PostgresBackend(postgres)


async def test_two_stores_on_one_database_see_each_others_commits(place: PostgresBackend) -> None:
    async with place.open() as one, place.open() as other:
        await one.commit(commit(epoch=0))
        await other.commit(commit(seq=1, epoch=0))
        assert await one.newest("note/1") == 2
        with pytest.raises(StoreError, match="at 2, not at 1"):
            await one.commit(commit(seq=1, epoch=0))


async def test_of_claims_that_race_between_two_nodes_one_wins_each(place: PostgresBackend) -> None:
    """New aliases have no row that could be locked: one batch is sent again, and told the truth."""
    won: list[str] = []
    lost: list[str] = []

    async def race(store: Store, node: str, number: int) -> None:
        stream = f"note/{node}{number}"
        aliases = [Claim(alias=f"active/{number}"), Claim(alias=f"also/{number}")]
        try:
            await store.commit(commit(stream, epoch=0, claims=aliases))
            won.append(stream)
        except AliasTaken as taken:
            lost.append(taken.holder)

    async with place.open() as one, place.open() as other, trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(partial(race, one, "a", number))
            nursery.start_soon(partial(race, other, "b", number))
    assert len(won) == len(lost) == 200
    assert sorted(won) == sorted(lost)
    assert {name[6:].strip("ab") for name in won} == {str(number) for number in range(200)}


async def test_a_store_that_is_closed_leaves_no_session_and_no_row_behind(
    place: PostgresBackend,
) -> None:
    async with place.open() as store:
        await store.commit(commit(epoch=0))
    assert place.server.sql(f"SELECT count(*) FROM {place.schema}.writers").strip() == "0"


async def test_a_lock_that_somebody_else_holds_too_long_refuses_and_is_got_over(
    place: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"lock_timeout": "100ms", "application_name": place.schema}
    for name in ("_WRITER", "_CLERK"):
        monkeypatch.setattr(f"engine.store.postgres.{name}", settings)
    async with place.open() as store, open_postgres(place.where) as other:
        await store.commit(commit(epoch=0))
        async with other._clerks.lend() as connection, connection.transaction(within_s=5):
            await connection.run("LOCK TABLE streams", within_s=5)
            with pytest.raises(StoreUnavailable, match="too long over a lock"):
                await store.commit(commit(seq=1, epoch=0))
        await store.commit(commit(seq=1, epoch=0))


async def test_a_commit_that_changes_no_indexed_column_leaves_the_indexes_alone(
    place: PostgresBackend,
) -> None:
    async with place.open() as store:
        for seq in range(100):
            await store.commit(commit(seq=seq, epoch=0, row=row(updated_at_ms=seq)))
        # What a session has counted is shown at the latest when it ends.
    counts = (
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables"
        f" WHERE schemaname = '{place.schema}' AND relname = 'streams'"
    )
    with trio.fail_after(20):
        while place.server.sql(counts).strip() != "99|99":
            await trio.sleep(0.01)


QUERIES: Sequence[tuple[ListQuery, str]] = [
    (ListQuery(kind="note"), "streams_by_kind"),
    (ListQuery(kind="note", status="active"), "streams_by_kind_status"),
    (ListQuery(kind="note", owner="ann"), "streams_by_owner"),
    (ListQuery(kind="note", owner="ann", status="active"), "streams_by_owner_status"),
    (ListQuery(kind="note", owner="ann", tags={"t": "1"}), "streams_by_owner"),
    (ListQuery(kind="note", tags={"t": "1"}), "tags_by_value"),
    (ListQuery(kind="note", tags={"t": "1"}, status="active"), "tags_by_value_status"),
    (ListQuery(kind="note", tags={"t": "1", "u": "2"}), "tags_by_value"),
]


@pytest.mark.parametrize(("query", "index"), QUERIES)
async def test_a_list_is_read_in_order_from_one_index(
    place: PostgresBackend, query: ListQuery, index: str
) -> None:
    async with open_postgres(place.where) as store:
        for newest_first, behind in product((True, False), (None, Place(5, "note/5"))):
            one = msgspec.structs.replace(query, newest_first=newest_first)
            statement, values = statement_for(one, behind, 21)
            plan = await _plan(store, statement, len(values))
            assert f" {index} on " in plan
            assert "Sort" not in plan
            assert "Seq Scan" not in plan


async def _plan(store: PostgresStore, statement: str, parameters: int) -> str:
    """How a session that reads carries out a statement whatever its values are."""
    async with store._readers.lend() as connection:
        await connection.run(f"PREPARE one AS {statement}", within_s=5)
        nulls = ", ".join(["NULL"] * parameters)
        rows = await connection.fetch(f"EXPLAIN EXECUTE one ({nulls})", within_s=5)
        await connection.run("DEALLOCATE one", within_s=5)
        return "\n".join(line for (line,) in rows)
