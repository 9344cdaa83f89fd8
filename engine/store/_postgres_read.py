"""What readers ask of one stream or one alias, each in one statement and so at one moment."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from engine.store._commit import CatalogueRow, Event, Snapshot
from engine.store._postgres_connection import Connection
from engine.store._protocol import Alias, Due, Loaded, Page

# The server ends a statement earlier, by `statement_timeout`.
READ_S: Final = 20.0

# What a page may weigh is decided by the server, so that what is beyond it is never sent. The
# length of a body that is kept apart (TOAST) is known without reading it.
_READ: Final = """
    SELECT s.seq AS newest, e.seq, e.type, e.at_ms, e.body FROM streams s LEFT JOIN LATERAL (
        SELECT x.*, sum(octet_length(body)) OVER (ORDER BY seq) AS weight,
            row_number() OVER (ORDER BY seq) AS place
        FROM (SELECT * FROM events WHERE no = s.no AND seq > $2 ORDER BY seq LIMIT $3) x
    ) e ON e.weight <= $4 OR e.place = 1
    WHERE s.stream = $1 ORDER BY e.seq
"""
_NEWEST: Final = "SELECT seq FROM streams WHERE stream = $1"
ROW: Final = "owner, status, created_at_ms, due_at_ms, tags, updated_at_ms, summary"
_LOAD: Final = f"""
    SELECT s.seq, epoch, b.seq, b.body, {ROW}
    FROM streams s LEFT JOIN snapshots b USING (no) WHERE stream = $1
"""  # noqa: S608 - names of columns
_RESOLVE: Final = """
    SELECT stream, payload, expires_at_ms FROM aliases JOIN streams USING (no)
    WHERE alias = $1 AND (expires_at_ms IS NULL OR expires_at_ms > $2)
"""
_DUE: Final = """
    SELECT due_at_ms, stream FROM streams WHERE due_at_ms <= $1 AND (due_at_ms, stream) > ($2, $3)
    ORDER BY due_at_ms, stream LIMIT $4
"""


async def read(connection: Connection, stream: str, after: int, limit: int, max_bytes: int) -> Page:
    """See `Store.read`."""
    rows = await connection.fetch(_READ, stream, after, limit, max_bytes, within_s=READ_S)
    newest = rows[0][0] if rows else 0
    events = tuple(
        Event(seq=seq, type=kind, at_ms=at_ms, body=body)
        for _, seq, kind, at_ms, body in rows
        if seq is not None
    )
    through = events[-1].seq if events else newest
    return Page(events=events, through=through, newest_seq=newest)


async def newest(connection: Connection, stream: str) -> int:
    """See `Store.newest`."""
    rows = await connection.fetch(_NEWEST, stream, within_s=READ_S)
    return int(rows[0][0]) if rows else 0


async def load(connection: Connection, stream: str) -> Loaded:
    """See `Store.load`."""
    rows = await connection.fetch(_LOAD, stream, within_s=READ_S)
    if not rows:
        return Loaded()
    seq, epoch, snapshot_seq, body, *row = rows[0]
    snapshot = None if snapshot_seq is None else Snapshot(seq=snapshot_seq, body=body)
    return Loaded(seq=seq, epoch=epoch, snapshot=snapshot, row=row_from(*row))


def row_from(
    owner: str | None, status: str, created: int, due: int | None, tags: str, *rest: Any
) -> CatalogueRow | None:
    """Make a row of the columns of `ROW`."""
    if owner is None:
        return None
    updated, summary = rest
    return CatalogueRow(
        owner=owner,
        status=status,
        created_at_ms=created,
        updated_at_ms=updated,
        due_at_ms=due,
        summary=summary,
        tags=msgspec.json.decode(tags, type=dict[str, str]),
    )


async def resolve(connection: Connection, alias: str, now_ms: int) -> Alias | None:
    """See `Store.resolve`."""
    rows = await connection.fetch(_RESOLVE, alias, now_ms, within_s=READ_S)
    if not rows:
        return None
    stream, payload, expires_at_ms = rows[0]
    return Alias(stream=stream, payload=payload, expires_at_ms=expires_at_ms)


async def due(
    connection: Connection, before_ms: int, limit: int, after: Due | None
) -> tuple[Due, ...]:
    """See `Store.due`."""
    place = (-1, "") if after is None else (after.due_at_ms, after.stream)
    rows = await connection.fetch(_DUE, before_ms, *place, limit, within_s=READ_S)
    return tuple(Due(due_at_ms=at, stream=stream) for at, stream in rows)
