"""What readers ask of one stream or one alias, each at one moment."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from engine.store._commit import CatalogueRow, Event, Snapshot
from engine.store._protocol import Alias, Due, Loaded, Page

_PLACE: Final = "SELECT no, newest FROM streams JOIN places USING (no) WHERE stream = ?"
_EVENTS: Final = """
    SELECT x.seq, type, at_ms, body FROM {index} x JOIN events e ON e.id = x.id
    WHERE x.no = ? AND x.seq > ? ORDER BY x.seq LIMIT ?
"""
_FROM_INDEX: Final = _EVENTS.format(index="event_index")
_FROM_TAIL: Final = _EVENTS.format(index="event_tail")
_LOAD: Final = """
    SELECT newest, epoch, b.seq, b.body,
        owner, status, created_at_ms, due_at_ms, tags, updated_at_ms, summary
    FROM streams JOIN places USING (no)
    LEFT JOIN summaries USING (no) LEFT JOIN snapshots b USING (no) WHERE stream = ?
"""
_RESOLVE: Final = """
    SELECT stream, payload, expires_at_ms FROM aliases JOIN streams USING (no)
    WHERE alias = ? AND (expires_at_ms IS NULL OR expires_at_ms > ?)
"""
_DUE: Final = """
    SELECT due_at_ms, stream FROM streams
    WHERE due_at_ms <= ? AND (due_at_ms, stream) > (?, ?) ORDER BY due_at_ms, stream LIMIT ?
"""


def read(
    connection: sqlite3.Connection, stream: str, after: int, limit: int, max_bytes: int
) -> Page:
    """See `Store.read`."""
    with one_moment(connection):
        no, newest = connection.execute(_PLACE, (stream,)).fetchone() or (0, 0)
        events: list[Event] = []
        size = 0
        if after < newest:
            for event in events_after(connection, no, after, limit):
                size += len(event.body)
                if events and size > max_bytes:
                    break
                events.append(event)
        through = events[-1].seq if events else newest
        return Page(events=tuple(events), through=through, newest_seq=newest)


def events_after(
    connection: sqlite3.Connection, no: int, after: int, limit: int
) -> Iterator[Event]:
    """Yield at most `limit` events of a stream: those of the index, then those of the tail."""
    for statement in (_FROM_INDEX, _FROM_TAIL):
        for seq, kind, at_ms, body in connection.execute(statement, (no, after, limit)):
            yield Event(seq=seq, type=kind, at_ms=at_ms, body=body)
            limit -= 1


def newest(connection: sqlite3.Connection, stream: str) -> int:
    """See `Store.newest`."""
    _, seq = connection.execute(_PLACE, (stream,)).fetchone() or (0, 0)
    return int(seq)


def load(connection: sqlite3.Connection, stream: str) -> Loaded:
    """See `Store.load`."""
    found = connection.execute(_LOAD, (stream,)).fetchone()
    if found is None:
        return Loaded()
    seq, epoch, snapshot_seq, body, *row = found
    snapshot = None if snapshot_seq is None else Snapshot(seq=snapshot_seq, body=body)
    return Loaded(seq=seq, epoch=epoch, snapshot=snapshot, row=row_from(*row))


def row_from(
    owner: str | None, status: str, created: int, due: int | None, tags: str, *rest: Any
) -> CatalogueRow | None:
    """Make a row of its columns, in this order and with updated_at_ms and summary behind."""
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


def resolve(connection: sqlite3.Connection, alias: str, now_ms: int) -> Alias | None:
    """See `Store.resolve`."""
    found = connection.execute(_RESOLVE, (alias, now_ms)).fetchone()
    if found is None:
        return None
    stream, payload, expires_at_ms = found
    return Alias(stream=stream, payload=payload, expires_at_ms=expires_at_ms)


def due(
    connection: sqlite3.Connection, before_ms: int, limit: int, after: Due | None
) -> tuple[Due, ...]:
    """See `Store.due`."""
    place = (-1, "") if after is None else (after.due_at_ms, after.stream)
    rows = connection.execute(_DUE, (before_ms, *place, limit))
    return tuple(Due(due_at_ms=at, stream=stream) for at, stream in rows)


@contextmanager
def one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """Let every statement of the block see the same moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.rollback()
