"""Looking for damage: what SQLite finds, and what contradicts the laws of our own tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice
from typing import Final

from engine.store._protocol import CheckReport
from engine.store._sqlite_read import one_moment

_PROBLEMS: Final = 100
# Each selects what must not be there, as one text to show.
_CONTRADICTIONS: Final = {
    "an entry without its event": """
        SELECT x.no || '/' || x.seq FROM entries x
        LEFT JOIN events e ON e.id = x.id AND e.no = x.no AND e.seq = x.seq WHERE e.id IS NULL
    """,
    "an event without its entry": """
        SELECT e.no || '/' || e.seq FROM events e
        LEFT JOIN entries x ON x.no = e.no AND x.seq = e.seq AND x.id = e.id
        WHERE x.id IS NULL
    """,
    "an event of no stream": """
        SELECT no || '/' || seq FROM events
        WHERE no NOT IN (SELECT no FROM streams UNION ALL SELECT no FROM graves)
    """,
    "an event in the tail that is older than the index": """
        SELECT t.no || '/' || t.seq FROM event_tail t
        WHERE t.seq <= (SELECT max(seq) FROM event_index i WHERE i.no = t.no)
    """,
    "a snapshot beyond the newest event": """
        SELECT no FROM snapshots JOIN places USING (no) WHERE seq > newest
    """,
    "a snapshot of no stream": "SELECT no FROM snapshots WHERE no NOT IN (SELECT no FROM streams)",
    "an alias of no stream": "SELECT no FROM aliases WHERE no NOT IN (SELECT no FROM streams)",
    "a row without its summary": """
        SELECT stream FROM streams
        WHERE owner IS NOT NULL AND no NOT IN (SELECT no FROM summaries)
    """,
    "a tag that its row does not have": """
        SELECT t.stream || ' ' || t.name FROM tags t LEFT JOIN streams s
            ON s.no = t.no AND s.stream = t.stream AND s.status = t.status
            AND s.created_at_ms = t.created_at_ms AND s.kind = t.kind
        WHERE s.no IS NULL OR json_extract(s.tags, '$."' || t.name || '"') IS NOT t.value
    """,
    "an epoch from the future": """
        SELECT stream FROM streams WHERE epoch > (SELECT value FROM meta WHERE name = 'epoch')
    """,
}


def check(connection: sqlite3.Connection) -> CheckReport:
    """See `Store.check`."""
    with one_moment(connection):
        problems = tuple(islice(_problems(connection), _PROBLEMS))
        if problems:
            return CheckReport(problems=problems, streams=0, events=0)
        (streams,) = connection.execute("SELECT count(*) FROM streams").fetchone()
        (events,) = connection.execute("SELECT count(*) FROM events").fetchone()
        return CheckReport(problems=(), streams=streams, events=events)


def _problems(connection: sqlite3.Connection) -> Iterator[str]:
    try:
        for (line,) in connection.execute(f"PRAGMA integrity_check({_PROBLEMS})"):
            if line != "ok":
                yield line
        for what, statement in _CONTRADICTIONS.items():
            for (where,) in connection.execute(statement):
                yield f"{what}: {where}"
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_INTERRUPT:
            raise
        # Damage that stops even the search for it is what was looked for.
        yield f"the search ended: {error}"
