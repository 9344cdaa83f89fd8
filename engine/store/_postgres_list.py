"""Pages of the catalogue, each read in order from one index, whatever the filters."""

from __future__ import annotations

from typing import Any, Final

from engine.store._cursor import Place
from engine.store._postgres_connection import Connection
from engine.store._postgres_read import READ_S, row_from
from engine.store._protocol import Listed, ListQuery, Tally

_COLUMNS: Final = """
    SELECT s.stream, s.owner, s.status, s.created_at_ms, s.due_at_ms, s.tags,
        s.updated_at_ms, s.summary
"""
_FROM_STREAMS: Final = "FROM streams s WHERE s.owner IS NOT NULL"
# A tag's row names the stream's, so the order comes from the tags' index and needs no sorting.
_FROM_TAGS: Final = "FROM tags x JOIN streams s ON s.no = x.no WHERE s.owner IS NOT NULL"
_HAS_TAG: Final = """
    EXISTS (SELECT FROM tags o WHERE o.no = s.no AND o.name = {} AND o.value = {})
"""

_TALLY: Final = """
    SELECT kind, status, count(*) FROM streams WHERE owner IS NOT NULL
    GROUP BY kind, status ORDER BY kind, status
"""


async def list_rows(
    connection: Connection, query: ListQuery, place: Place | None, limit: int
) -> tuple[Listed, ...]:
    """Return at most `limit` rows behind `place`.

    Sessions that read are told not to sort (`enable_sort`), so it is the order that decides the
    index: that of the owner, without one that of the first tag, without any that of the kind.
    """
    statement, values = statement_for(query, place, limit)
    return tuple(
        Listed(stream=stream, row=row)
        for stream, *columns in await connection.fetch(statement, *values, within_s=READ_S)
        if (row := row_from(*columns)) is not None
    )


async def tally(connection: Connection) -> tuple[Tally, ...]:
    """See `Store.tally`."""
    rows = await connection.fetch(_TALLY, within_s=READ_S)
    return tuple(Tally(kind=kind, status=status, count=count) for kind, status, count in rows)


def statement_for(query: ListQuery, place: Place | None, limit: int) -> tuple[str, list[Any]]:
    """Return the statement for a query, and its values."""
    tags = sorted(query.tags.items())
    if query.owner is None and tags:
        select = _Select(_FROM_TAGS, "x", query)
        select.where("x.name = {} AND x.value = {}", *tags.pop(0))
    else:
        select = _Select(_FROM_STREAMS, "s", query)
        if query.owner is not None:
            select.where("s.owner = {}", query.owner)
    for tag in tags:
        select.where(_HAS_TAG, *tag)
    select.page(place, limit)
    return select.text, select.values


class _Select:
    """A statement as it grows; every index begins with the kind and ends with the order."""

    def __init__(self, source: str, table: str, query: ListQuery) -> None:
        self._table = table
        self._newest_first = query.newest_first
        self.text = _COLUMNS + source
        self.values: list[Any] = []
        self.where(f"{table}.kind = {{}}", query.kind)
        if query.status is not None:
            self.where(f"{table}.status = {{}}", query.status)

    def where(self, condition: str, *values: Any) -> None:
        self.text += f" AND {self._filled(condition, *values)}"

    def page(self, place: Place | None, limit: int) -> None:
        created, stream = f"{self._table}.created_at_ms", f"{self._table}.stream"
        behind, way = ("<", "DESC") if self._newest_first else (">", "ASC")
        if place is not None:
            condition = f"({created}, {stream}) {behind} ({{}}, {{}})"
            self.where(condition, place.created_at_ms, place.stream)
        order = f" ORDER BY {created} {way}, {stream} {way} LIMIT {{}}"
        self.text += self._filled(order, limit)

    def _filled(self, text: str, *values: Any) -> str:
        """Put the numbers of new parameters where the braces are."""
        first = len(self.values) + 1
        self.values += values
        return text.format(*(f"${number}" for number in range(first, first + len(values))))
