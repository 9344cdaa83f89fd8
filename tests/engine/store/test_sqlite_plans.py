"""How SQLite finds things: lists in the order of an index, nothing by a scan."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import pytest

from engine.store import ListQuery, SqliteStore
from engine.store import _sqlite_read as reading
from engine.store._cursor import Place
from engine.store._sqlite_list import statement_for


def _every_query() -> Iterator[ListQuery]:
    tags: Sequence[dict[str, str]] = [{}, {"business": "B"}, {"business": "B", "flow": "x"}]
    for owner, status, tag, newest_first in itertools.product(
        [None, "ann"], [None, "active"], tags, [True, False]
    ):
        yield ListQuery(
            kind="note", owner=owner, status=status, tags=tag, newest_first=newest_first
        )


@pytest.mark.parametrize("place", [None, Place(created_at_ms=5, stream="note/1")], ids=["1", "on"])
@pytest.mark.parametrize("query", [*_every_query()], ids=str)
async def test_every_list_is_read_in_order_from_an_index(
    sqlite: SqliteStore, query: ListQuery, place: Place | None
) -> None:
    statement, values = statement_for(query, place, 21)
    plan = await sqlite._readers.run(
        lambda connection: connection.execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
    )
    steps = [step for *_, step in plan]
    assert not [step for step in steps if "TEMP B-TREE" in step or step.startswith("SCAN")]
    searched = steps[0]
    assert "kind=?" in searched
    assert ("status=?" in searched) == (query.status is not None)
    assert ("owner=?" in searched) == (query.owner is not None)
    assert ("created_at_ms" in searched) == (place is not None)


async def test_the_newest_sequence_and_what_is_due_are_found_without_a_scan(
    sqlite: SqliteStore,
) -> None:
    for statement, values in (
        (reading._PLACE, ("note/1",)),
        (reading._LOAD, ("note/1",)),
        (reading._FROM_INDEX, (1, 5, 10)),
        (reading._FROM_TAIL, (1, 5, 10)),
        (reading._RESOLVE, ("a", 5)),
        (reading._DUE, (5, 1, "note/1", 10)),
    ):
        plan = await sqlite._readers.run(
            lambda connection, statement=statement, values=values: connection.execute(
                f"EXPLAIN QUERY PLAN {statement}", values
            ).fetchall()
        )
        steps = [step for *_, step in plan]
        assert not [step for step in steps if "TEMP B-TREE" in step or step.startswith("SCAN")]
