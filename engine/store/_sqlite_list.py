"""Pages of the catalogue, each read in order from one index, whatever the filters."""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from engine.store._cursor import Place
from engine.store._protocol import Listed, ListQuery
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
    CROSS JOIN summaries m ON m.no = s.no WHERE x.name = ? AND x.value = ?
"""
_HAS_TAG: Final = """
    AND EXISTS (SELECT 1 FROM tags o WHERE o.no = s.no AND o.name = ? AND o.value = ?)
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


def statement_for(query: ListQuery, place: Place | None, limit: int) -> tuple[str, list[Any]]:
    """Return the statement for a query, and its values."""
    tags = sorted(query.tags.items())
    if query.owner is None and tags:
        by_tag, *tags = tags
        source, index, values = "x", "tags_by_value", [*by_tag]
        text = _FROM_TAGS
    else:
        source, index, values = "s", "streams_by", []
        text = _FROM_STREAMS
        index += "_owner" if query.owner is not None else ""
    index += "_status" if query.status is not None else ""
    index = "streams_by_kind" if index == "streams_by" else index
    text = _SELECT + text.format(index=index)
    for column, value in (("kind", query.kind), ("status", query.status)):
        if value is not None:
            text += f" AND {source}.{column} = ?"
            values.append(value)
    if query.owner is not None:
        text += " AND s.owner = ?"
        values.append(query.owner)
    for tag in tags:
        text += _HAS_TAG
        values += tag
    return _in_order(text, values, source, (query.newest_first, place, limit))


def _in_order(
    text: str, values: list[Any], source: str, page: tuple[bool, Place | None, int]
) -> tuple[str, list[Any]]:
    newest_first, place, limit = page
    if place is not None:
        behind = "<" if newest_first else ">"
        text += f" AND ({source}.created_at_ms, {source}.stream) {behind} (?, ?)"
        values += (place.created_at_ms, place.stream)
    way = "DESC" if newest_first else "ASC"
    text += f" ORDER BY {source}.created_at_ms {way}, {source}.stream {way} LIMIT ?"
    values.append(limit)
    return text, values
