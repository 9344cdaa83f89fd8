"""Looking for what contradicts the laws of our own tables."""

from __future__ import annotations

from typing import Final

from engine.store._postgres_connection import Connection
from engine.store._protocol import CheckReport

_PROBLEMS: Final = 100
LONG_S: Final = 3_600.0
# Each selects what must not be there, as one text to show.
_CONTRADICTIONS: Final = {
    "an event of no stream": """
        SELECT no || '/' || seq FROM events e
        WHERE NOT EXISTS (SELECT FROM streams s WHERE s.no = e.no)
            AND NOT EXISTS (SELECT FROM graves g WHERE g.no = e.no)
    """,
    "a stream without its newest event": """
        SELECT stream FROM streams s
        WHERE seq <> coalesce((SELECT max(seq) FROM events e WHERE e.no = s.no), 0)
    """,
    "a snapshot beyond the newest event": """
        SELECT stream FROM snapshots b JOIN streams s USING (no) WHERE b.seq > s.seq
    """,
    "a snapshot of no stream": """
        SELECT no::text FROM snapshots b WHERE NOT EXISTS (SELECT FROM streams s WHERE s.no = b.no)
    """,
    "an alias of no stream": """
        SELECT no::text FROM aliases a WHERE NOT EXISTS (SELECT FROM streams s WHERE s.no = a.no)
    """,
    "a row that is not whole": """
        SELECT stream FROM streams
        WHERE num_nulls(owner, status, created_at_ms, updated_at_ms, tags, summary) NOT IN (0, 6)
    """,
    "a tag that its row does not have": """
        SELECT t.stream || ' ' || t.name FROM tags t LEFT JOIN streams s
            ON s.no = t.no AND s.stream = t.stream AND s.status = t.status
            AND s.created_at_ms = t.created_at_ms AND s.kind = t.kind
        WHERE s.tags::jsonb ->> t.name IS DISTINCT FROM t.value
    """,
    "a row whose tags are not all there": """
        SELECT stream FROM streams s WHERE tags <> '{}'
            AND (SELECT count(*) FROM jsonb_object_keys(tags::jsonb))
                <> (SELECT count(*) FROM tags t WHERE t.no = s.no)
    """,
    "an epoch from the future": """
        SELECT stream FROM streams WHERE epoch > (SELECT last_value FROM epochs)
    """,
}


async def check(connection: Connection) -> CheckReport:
    """See `Store.check`."""
    problems: list[str] = []
    async with connection.transaction("ISOLATION LEVEL REPEATABLE READ READ ONLY", within_s=20):
        await connection.run("SET LOCAL statement_timeout = 0", within_s=20)
        for what, statement in _CONTRADICTIONS.items():
            limited = f"{statement} LIMIT {_PROBLEMS}"
            found = await connection.fetch(limited, within_s=LONG_S)
            problems += [f"{what}: {where}" for (where,) in found]
        if problems:
            return CheckReport(problems=tuple(problems[:_PROBLEMS]), streams=0, events=0)
        counts = "SELECT (SELECT count(*) FROM streams), (SELECT count(*) FROM events)"
        ((streams, events),) = await connection.fetch(counts, within_s=LONG_S)
    return CheckReport(problems=(), streams=streams, events=events)
