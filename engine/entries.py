"""The table that `engine.admission` decides upon: every session, caller and queue.

Laws of this file: it decides nothing. An entry is in the queue of its phase, and in no other; a
live one is in `idle` as well while nobody leases it; that queue and the parked ones' are ordered by
last use. Every queue finds its first at once, so that
no call looks at more than it changes: an OrderedDict does, where a dict steps over all that were
taken from its front before.
"""

from __future__ import annotations

from collections import OrderedDict
from enum import Enum
from typing import Any, TypeVar

_T = TypeVar("_T")


class Phase(Enum):
    PARKED = "parked"  # has a life from before, and nobody wants it now
    QUEUED = "queued"  # waits for a place or for a victim
    CHALLENGING = "challenging"  # starts without a place
    STARTING = "starting"
    READY = "ready"  # has started as a challenger, and waits until somebody can go
    LIVE = "live"


class Entry:
    """One session, from the first who asks for it to its end."""

    __slots__ = ("id", "kept", "key", "last_used", "opening", "phase", "waiters")

    def __init__(self, entry_id: str, key: str, opening: Any, *, kept: bool = False) -> None:
        self.id = entry_id
        self.key = key
        self.opening = opening  # may hold secrets: kept only until the start
        self.kept = kept  # it has been live before: a start that comes to nothing parks it again
        self.phase = Phase.QUEUED
        self.waiters: dict[int, bool] = {}  # tickets, earliest first; whether each wants a lease
        self.last_used = 0.0

    @property
    def placed(self) -> bool:
        return self.phase in {Phase.STARTING, Phase.LIVE}

    @property
    def has_begun(self) -> bool:
        return self.phase not in {Phase.PARKED, Phase.QUEUED}


class Entries:
    """All sessions of one kind, and those who wait for them."""

    def __init__(self) -> None:
        self.by_id: dict[str, Entry] = {}  # oldest first
        self.by_key: dict[str, Entry] = {}
        self.by_ticket: dict[int, Entry] = {}
        self.idle: OrderedDict[str, Entry] = OrderedDict()  # least recently used first
        self.patience: OrderedDict[int, float] = OrderedDict()  # who waits for capacity: until when
        self._in: dict[Phase, OrderedDict[str, Entry]] = {it: OrderedDict() for it in Phase}

    def add(self, entry: Entry) -> None:
        self.by_id[entry.id] = self.by_key[entry.key] = entry
        self._in[entry.phase][entry.id] = entry

    def remove(self, entry: Entry) -> None:
        del self.by_id[entry.id], self.by_key[entry.key], self._in[entry.phase][entry.id]
        self.idle.pop(entry.id, None)

    def move(self, entry: Entry, phase: Phase) -> None:
        """Let the entry be last in its new phase's queue."""
        del self._in[entry.phase][entry.id]
        entry.phase = phase
        self._in[phase][entry.id] = entry

    def park(self, entry: Entry) -> None:
        """Put the entry among the parked ones, by its last use."""
        del self._in[entry.phase][entry.id]
        entry.phase = Phase.PARKED
        _insert(self._in[Phase.PARKED], entry)

    def rest(self, entry: Entry) -> None:
        """Put the entry among the idle ones, by its last use."""
        _insert(self.idle, entry)

    def first(self, phase: Phase) -> Entry | None:
        """The one that has been in this phase longest."""
        return first(self._in[phase])

    def count(self, phase: Phase) -> int:
        return len(self._in[phase])

    def seat(self, entry: Entry, ticket: int, *, use: bool) -> None:
        """Let a caller wait for the entry."""
        entry.waiters[ticket] = use
        self.by_ticket[ticket] = entry

    def take(self, ticket: int) -> Entry:
        """Let a caller wait no more; returns what it waited for."""
        entry = self.by_ticket.pop(ticket)
        del entry.waiters[ticket]
        self.patience.pop(ticket, None)
        return entry


def _insert(queue: OrderedDict[str, Entry], entry: Entry) -> None:
    """Keep the queue in order of last use; at once for one that was used last, which most were."""
    newest = next(reversed(queue.values()), None)
    queue[entry.id] = entry
    if newest is not None and newest.last_used > entry.last_used:
        for each in sorted(queue.values(), key=lambda it: it.last_used):
            queue.move_to_end(each.id)


def first(queue: OrderedDict[Any, _T]) -> _T | None:
    """What stands first in the queue; None when it is empty."""
    return next(iter(queue.values()), None)
