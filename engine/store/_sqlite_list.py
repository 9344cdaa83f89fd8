"""Pages of the catalogue, each read in order from one index, whatever the filters."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from engine.store._cursor import Place
from engine.store._protocol import Listed, ListQuery, Tally
from engine.store._sqlite_read import row_from

_SELECT: Final = """
    SELECT s.stream, s.owner, s.status, s.created_at_ms, s.due_at_ms, s.tags,
        m.updated_at_ms, m.summary
"""
_FROM_STREAMS: Final = """
    FROM streams s INDEXED BY {index} CROSS JOIN summaries m ON m.no = s.no
    WHERE s.owner IS NOT NULL
"""
_FROM_TAGS: Final = """
    FROM tags x INDEXED BY {index} CROSS JOIN streams s ON s.no = x.no
    CROSS JOIN summaries m ON m.no = s.no WHERE s.owner IS NOT NULL
"""
_HAS_TAG: Final = """
    EXISTS (SELECT 1 FROM tags o WHERE o.no = s.no AND o.name = ? AND o.value = ?)
"""


_TALLY: Final = """
    SELECT kind, status, count(*) FROM streams INDEXED BY streams_by_kind_status
    WHERE owner IS NOT NULL GROUP BY kind, status ORDER BY kind, status
"""


def list_rows(
    connection: sqlite3.Connection, query: ListQuery, place: Place | None, limit: int
) -> tuple[Listed, ...]:
    """Return at most `limit` rows behind `place`.

    The owner decides the index, without one the first tag, without any the kind; status goes along
    with each. What remains of the filters is looked at row by row.
    """
    statement, values = statement_for(query, place, limit)
    return tuple(
        Listed(stream=stream, row=row)
        for stream, *columns in connection.execute(statement, values)
        if (row := row_from(*columns)) is not None
    )


def tally(connection: sqlite3.Connection) -> tuple[Tally, ...]:
    """See `Store.tally`."""
    return tuple(
        Tally(kind=kind, status=status, count=count)
        for kind, status, count in connection.execute(_TALLY)
    )


def statement_for(query: ListQuery, place: Place | None, limit: int) -> tuple[str, list[Any]]:
    """Return the statement for a query, and its values."""
    tags = sorted(query.tags.items())
    if query.owner is None and tags:
        select = _Select(_FROM_TAGS, "x", "tags_by_value", query)
        select.where("x.name = ? AND x.value = ?", *tags.pop(0))
    elif query.owner is None:
        select = _Select(_FROM_STREAMS, "s", "streams_by_kind", query)
    else:
        select = _Select(_FROM_STREAMS, "s", "streams_by_owner", query)
        select.where("s.owner = ?", query.owner)
    for tag in tags:
        select.where(_HAS_TAG, *tag)
    select.page(place, limit)
    return select.text, select.values


class _Select:
    """A statement as it grows; every index begins with the kind and ends with the order."""

    def __init__(self, source: str, table: str, index: str, query: ListQuery) -> None:
        self._table = table
        self._newest_first = query.newest_first
        index += "" if query.status is None else "_status"
        self.text = _SELECT + source.format(index=index)
        self.values: list[Any] = []
        self.where(f"{table}.kind = ?", query.kind)
        if query.status is not None:
            self.where(f"{table}.status = ?", query.status)

    def where(self, condition: str, *values: Any) -> None:
        self.text += f" AND {condition}"
        self.values += values

    def page(self, place: Place | None, limit: int) -> None:
        created, stream = f"{self._table}.created_at_ms", f"{self._table}.stream"
        behind, way = ("<", "DESC") if self._newest_first else (">", "ASC")
        if place is not None:
            condition = f"({created}, {stream}) {behind} (?, ?)"
            self.where(condition, place.created_at_ms, place.stream)
        self.text += f" ORDER BY {created} {way}, {stream} {way} LIMIT ?"
        self.values.append(limit)
