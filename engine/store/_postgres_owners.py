"""Which node has which stream: rows with an end, by the database's own clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from engine.errors import OwnedElsewhere
from engine.store._postgres_connection import Connection

_OWN_S: Final = 5.0
_OWN: Final = "SELECT epoch, node, left_s FROM own($1, $2, $3)"
# Rows are locked by name, as a batch of commits does it.
_RENEW: Final = """
    WITH held AS (
        SELECT o.stream FROM owners o JOIN unnest($2::text[], $3::bigint[]) h (stream, epoch)
            ON h.stream = o.stream AND h.epoch = o.epoch
        WHERE o.node = $1 ORDER BY o.stream FOR NO KEY UPDATE OF o
    )
    UPDATE owners o SET expires_at = clock_timestamp() + $4 * interval '1 s'
    FROM held WHERE o.stream = held.stream RETURNING o.stream
"""
_DISOWN: Final = """
    WITH held AS (
        SELECT o.stream FROM owners o JOIN unnest($2::text[], $3::bigint[]) h (stream, epoch)
            ON h.stream = o.stream AND h.epoch = o.epoch
        WHERE o.node = $1 ORDER BY o.stream FOR UPDATE OF o
    )
    DELETE FROM owners o USING held WHERE o.stream = held.stream
"""


async def own(connection: Connection, stream: str, node: str, lease_s: float) -> int:
    """See `Store.own`."""
    rows = await connection.fetch(_OWN, stream, node, lease_s, within_s=_OWN_S)
    # Between the two looks of `own` its owner may have let it go: then there is no row.
    epoch, owner, left_s = rows[0] if rows else (0, "", 0.0)
    if owner != node:
        raise OwnedElsewhere(stream, node=owner, left_s=max(0.0, left_s))
    return int(epoch)


async def renew(
    connection: Connection, held: Mapping[str, int], node: str, lease_s: float
) -> frozenset[str]:
    """See `Store.renew`."""
    values = node, [*held], [*held.values()], lease_s
    rows = await connection.fetch(_RENEW, *values, within_s=_OWN_S)
    return frozenset(stream for (stream,) in rows)


async def disown(connection: Connection, held: Mapping[str, int], node: str) -> None:
    """See `Store.disown`."""
    await connection.fetch(_DISOWN, node, [*held], [*held.values()], within_s=_OWN_S)
