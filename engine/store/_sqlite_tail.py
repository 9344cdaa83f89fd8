"""The events' two indexes: a small one for what is new, a large one that is added to in runs.

Law of this file: for each stream, what is in the tail is newer than what is in the index. Entries
leave the tail in order of stream and sequence, so that holds wherever a run is cut.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from engine.store._sqlite_rows import put_rows

# The tail is as long as so many batches: then a stream that is written to all the time leaves it
# with as many entries at once. Batches of 256 with 1,024 / 4,096 / 16,384 entries: 145, 174, 136 k
# events/s. Batches of 16 with 256 / 1,024 / 4,096: 0.31, 0.35, 0.42 ms each.
TAIL_BATCHES: Final = 16
TAIL_ENTRIES: Final = 256  # at least
_RUN_BATCHES: Final = 4

_EVENTS: Final = "INSERT INTO events (id, no, seq, type, at_ms, body) VALUES"
_TAIL: Final = "INSERT INTO event_tail (no, seq, id) VALUES"
_RUN_END: Final = """
    SELECT no, seq FROM event_tail WHERE (no, seq) > (?, ?) ORDER BY no, seq LIMIT 1 OFFSET ?
"""
_MOVE: Final = """
    INSERT INTO event_index (no, seq, id) SELECT no, seq, id FROM event_tail
    WHERE (no, seq) > (?, ?) AND (no, seq) <= (?, ?) ORDER BY no, seq
"""
_DROP: Final = "DELETE FROM event_tail WHERE (no, seq) > (?, ?) AND (no, seq) <= (?, ?)"
_START: Final = (0, 0)
_END: Final = (2**62, 0)


class EventTail:
    """Appends events for the one writer; knows how long the tail is and which id comes next."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._moved_to: tuple[int, int] = _START
        self._longest = TAIL_ENTRIES
        self.recount()

    def recount(self) -> None:
        """Look again: something else may have changed the tables."""
        self._entries: int
        (last,) = self._connection.execute("SELECT max(id) FROM events").fetchone()
        (self._entries,) = self._connection.execute("SELECT count(*) FROM event_tail").fetchone()
        self.next_id: int = (last or 0) + 1

    def append(self, events: Sequence[Any], entries: Sequence[Any]) -> None:
        """Add events (id, no, seq, type, at_ms, body) and their entries (no, seq, id)."""
        put_rows(self._connection, _EVENTS, 6, events)
        put_rows(self._connection, _TAIL, 3, entries)
        added = len(entries) // 3
        self._entries += added
        self.next_id += added
        self._longest = max(TAIL_ENTRIES, TAIL_BATCHES * added)

    @property
    def is_long(self) -> bool:
        """Whether a run of entries is due to be moved."""
        return self._entries > self._longest

    def move(self) -> None:
        """Move the next run of entries: a quarter of what the tail may have."""
        entries = max(1, self._longest * _RUN_BATCHES // TAIL_BATCHES)
        run_end = self._connection.execute(_RUN_END, (*self._moved_to, entries - 1)).fetchone()
        bounds = (*self._moved_to, *(run_end or _END))
        self._connection.execute(_MOVE, bounds)
        self._entries -= self._connection.execute(_DROP, bounds).rowcount
        self._moved_to = run_end or _START
