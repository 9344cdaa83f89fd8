"""A watched stream: its newest events, in memory once for all who watch it.

Law of this file: the window has every event from `floor` (which it has not) to its end, without a
gap. An event that does not follow on the last one begins a new window, and whoever has not had what
lies between reads it from the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trio.lowlevel import ParkingLot

from engine.store import Event

if TYPE_CHECKING:
    from engine.stream import Cursor


class Channel:
    """One watched stream.

    Attributes:
        newest: the newest sequence that is known to be durable; the window may end before it.
        ended: why nothing more will follow; None while something may.
        cursors: those that have begun, to be looked at only by statistics.
        waiting: the tasks of cursors that have had everything.
    """

    __slots__ = (
        "cursors",
        "ended",
        "floor",
        "newest",
        "size_bytes",
        "stream",
        "subscribers",
        "waiting",
        "window",
    )

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.window: list[Event] = []
        self.floor = 0
        self.size_bytes = 0
        self.newest = 0
        self.ended: str | None = None
        self.subscribers = 0
        self.cursors: set[Cursor] = set()
        self.waiting = ParkingLot()

    def settle(self, newest: int) -> None:
        """Take over what the store says; events may have been published in the meantime."""
        self.newest = max(self.newest, newest)

    def append(self, events: Sequence[Event], max_events: int, max_bytes: int) -> int:
        """Add what was published, drop the oldest beyond the bounds; return the bytes it grew by.

        What the window has already is left out.
        """
        before = self.size_bytes
        for event in events:
            end = self.floor + len(self.window)
            if event.seq > end:
                if event.seq != end + 1:
                    self.forget()
                    self.floor = event.seq - 1
                self.window.append(event)
                self.size_bytes += len(event.body)
                self.newest = max(self.newest, event.seq)
        excess = max(0, len(self.window) - max_events)
        size = self.size_bytes - sum(len(event.body) for event in self.window[:excess])
        while size > max_bytes:
            size -= len(self.window[excess].body)
            excess += 1
        if excess:
            del self.window[:excess]
            self.floor += excess
            self.size_bytes = size
        return self.size_bytes - before

    def forget(self) -> int:
        """Empty the window, and return how many bytes it had."""
        size, self.size_bytes = self.size_bytes, 0
        self.floor += len(self.window)
        self.window.clear()
        return size

    def after(self, seq: int, limit: int) -> Sequence[Event]:
        """Return up to `limit` events that follow `seq`; none when they are not in the window."""
        start = seq - self.floor
        return self.window[start : start + limit] if start >= 0 else ()
