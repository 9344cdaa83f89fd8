"""Taking away: whole streams, and events that nobody needs any more, in steps others can bear.

Laws of this file: an erased stream is out of everybody's reach in one step, and its events follow
in further ones; a grave marks what is left to do, for whoever opens the store next. Every step may
be repeated.
"""

from __future__ import annotations

from typing import Final

from engine.errors import StaleEpoch
from engine.store._postgres_connection import Connection

STEP: Final = 1_000  # events
_WRITE_S: Final = 20.0

_PLACE: Final = "SELECT no, epoch FROM streams WHERE stream = $1 FOR UPDATE"
_BURY: Final = """
    WITH a AS (DELETE FROM tags WHERE no = $1), b AS (DELETE FROM snapshots WHERE no = $1),
        c AS (DELETE FROM aliases WHERE no = $1), d AS (DELETE FROM streams WHERE no = $1)
    INSERT INTO graves VALUES ($1)
"""
_EMPTY: Final = """
    WITH found AS (SELECT seq FROM events WHERE no = $1 ORDER BY seq LIMIT $2),
        gone AS (DELETE FROM events e USING found f WHERE e.no = $1 AND e.seq = f.seq)
    SELECT count(*) FROM found
"""
_PRUNE: Final = """
    WITH found AS (
        SELECT e.no, e.seq, e.type = ANY ($2) AND e.seq < s.seq AS doomed
        FROM streams s JOIN events e ON e.no = s.no AND e.seq > $3 AND e.seq <= $4
        WHERE s.stream = $1 ORDER BY e.seq LIMIT $5
    ), gone AS (
        DELETE FROM events e USING found f WHERE f.doomed AND e.no = f.no AND e.seq = f.seq
        RETURNING e.seq
    )
    SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM found), (SELECT max(seq) FROM found)
"""
_FORGET: Final = """
    WITH gone AS (
        DELETE FROM aliases WHERE alias IN (SELECT alias FROM aliases WHERE expires_at_ms <= $1
            ORDER BY expires_at_ms LIMIT $2 FOR UPDATE SKIP LOCKED)
        RETURNING alias
    )
    SELECT count(*) FROM gone
"""


async def bury(connection: Connection, stream: str, epoch: int) -> None:
    """Put a stream out of reach; nothing happens when there is none.

    Raises:
        StaleEpoch: it belongs to a newer owner.
    """
    async with connection.transaction(within_s=_WRITE_S):
        found = await connection.fetch(_PLACE, stream, within_s=_WRITE_S)
        if not found:
            return
        ((no, newest_epoch),) = found
        if epoch < newest_epoch:
            raise StaleEpoch(stream, epoch=epoch, newest_epoch=newest_epoch)
        await connection.fetch(_BURY, no, within_s=_WRITE_S)


async def empty_graves(connection: Connection) -> None:
    """Remove all events of erased streams."""
    for (no,) in await connection.fetch("SELECT no FROM graves ORDER BY no", within_s=_WRITE_S):
        while (await connection.fetch(_EMPTY, no, STEP, within_s=_WRITE_S))[0][0]:
            pass
        await connection.fetch("DELETE FROM graves WHERE no = $1", no, within_s=_WRITE_S)


async def prune(
    connection: Connection, stream: str, types: frozenset[str], after: int, through: int
) -> tuple[int, int]:
    """Look at up to `STEP` events behind `after` and remove those of these types.

    Returns how many were removed, and where to go on: `through` when there is nothing left.
    """
    values = stream, [*types], after, through, STEP
    ((removed, looked_at, last),) = await connection.fetch(_PRUNE, *values, within_s=_WRITE_S)
    return removed, through if looked_at < STEP else last


async def forget_expired(connection: Connection, now_ms: int, limit: int) -> int:
    """Remove up to `limit` aliases that have expired; return how many."""
    ((gone,),) = await connection.fetch(_FORGET, now_ms, limit, within_s=_WRITE_S)
    return int(gone)
