"""Taking away: whole streams, and events that nobody needs any more, in steps the writer can bear.

Laws of this file: an erased stream is out of everybody's reach in one step, and its events follow
in further ones; a grave marks what is left to do, so that a start after a crash finishes it. The
stream's number is not given away while its grave is there.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from engine.errors import StaleEpoch
from engine.store._sqlite_file import transaction
from engine.store._sqlite_rows import change_in

STEP: Final = 1_000  # events; some 5 ms

_OF_STREAM: Final = ("streams", "summaries", "snapshots", "tags", "aliases")
_INDEXES: Final = ("event_index", "event_tail")
_PLACE: Final = "SELECT no, newest FROM streams JOIN places USING (no) WHERE stream = ?"


def bury(connection: sqlite3.Connection, stream: str, epoch: int) -> int | None:
    """Put a stream out of reach; return its number, None when there is no such stream.

    Raises:
        StaleEpoch: it belongs to a newer owner.
    """
    with transaction(connection):
        found = connection.execute(
            "SELECT no, epoch FROM streams WHERE stream = ?", (stream,)
        ).fetchone()
        if found is None:
            return None
        no, newest_epoch = found
        if epoch < newest_epoch:
            raise StaleEpoch(stream, epoch=epoch, newest_epoch=newest_epoch)
        for table in _OF_STREAM:
            connection.execute(f"DELETE FROM {table} WHERE no = ?", (no,))  # noqa: S608
        connection.execute("INSERT INTO graves VALUES (?)", (no,))
        return int(no)


def graves(connection: sqlite3.Connection) -> list[int]:
    """Return the streams whose events are still to be removed."""
    return [no for (no,) in connection.execute("SELECT no FROM graves ORDER BY no")]


def empty_grave(connection: sqlite3.Connection, no: int) -> bool:
    """Remove up to `STEP` events of a buried stream; return whether that was all."""
    with transaction(connection):
        for index in _INDEXES:
            found = connection.execute(
                f"SELECT seq, id FROM {index} WHERE no = ? ORDER BY seq LIMIT ?",  # noqa: S608
                (no, STEP),
            ).fetchall()
            if found:
                _remove(connection, index, no, found)
                return False
        connection.execute("DELETE FROM graves WHERE no = ?", (no,))
        return True


def prune(
    connection: sqlite3.Connection, stream: str, types: frozenset[str], after: int, through: int
) -> tuple[int, int]:
    """Look at up to `STEP` events behind `after` and remove those of these types.

    Returns how many were removed, and where to go on: `through` when there is nothing left.
    """
    with transaction(connection):
        found = connection.execute(_PLACE, (stream,)).fetchone()
        if found is None:
            return 0, through
        no, newest = found
        looked_at = removed = 0
        for index in _INDEXES:
            rows = connection.execute(
                f"SELECT x.seq, x.id, type FROM {index} x JOIN events e ON e.id = x.id"  # noqa: S608
                " WHERE x.no = ? AND x.seq > ? AND x.seq <= ? ORDER BY x.seq LIMIT ?",
                (no, after, through, STEP - looked_at),
            ).fetchall()
            looked_at += len(rows)
            after = rows[-1][0] if rows else after
            doomed = [(seq, id_) for seq, id_, kind in rows if kind in types and seq != newest]
            _remove(connection, index, no, doomed)
            removed += len(doomed)
        return removed, through if looked_at < STEP else after


def forget_expired(connection: sqlite3.Connection, now_ms: int, limit: int) -> int:
    """Remove up to `limit` aliases that have expired; return how many."""
    with transaction(connection):
        return connection.execute(
            "DELETE FROM aliases WHERE alias IN (SELECT alias FROM aliases"
            " WHERE expires_at_ms <= ? ORDER BY expires_at_ms LIMIT ?)",
            (now_ms, limit),
        ).rowcount


def _remove(
    connection: sqlite3.Connection, index: str, no: int, found: list[tuple[int, int]]
) -> None:
    change_in(connection, "DELETE FROM events WHERE id IN", [id_ for _, id_ in found])
    change_in(
        connection,
        f"DELETE FROM {index} WHERE no = {int(no)} AND seq IN",  # noqa: S608 - a number
        [seq for seq, _ in found],
    )
