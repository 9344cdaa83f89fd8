"""Who gets a session, who waits, who must go: the registry's policy, without I/O.

Laws of this file: it awaits nothing, reads no clock, and knows neither actors nor browsers. Time
comes in as `now`, on trio's clock. A call changes the table and returns the effects, in the order
in which they must be carried out. It keeps, whatever happens:

- never more than `capacity` entries have a place, and only an entry with a place is live;
- nothing that is leased, and nothing that is starting, is ever evicted or put away for idleness;
- one start for each key, however many ask;
- every ticket is answered exactly once, by `Grant` or `Refuse`, unless it has left;
- a victim goes only when the one who takes its place is ready.

An entry that starts without a place is a *challenger*: it starts only while there is somebody
evictable for each challenger, and takes the place of the least recently used one once it is ready.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias, TypeVar

import msgspec

from engine.errors import DomainError
from engine.lease import LeaseTable

_T = TypeVar("_T")

_REMEMBERED = (
    10_000  # ended ids and refused keys; enough to explain a late 404, bounded for all that
)


class Phase(Enum):
    QUEUED = "queued"  # waits for a place or for a victim
    STARTING = "starting"
    READY = "ready"  # has started as a challenger, and waits until somebody can go
    LIVE = "live"


class Why(Enum):
    """Why a ticket is refused."""

    CAPACITY = "capacity"
    FAILED = "failed"  # the start failed; the effect carries the error
    CLOSED = "closed"
    UNKNOWN = "unknown"  # no such id; the effect carries the reason of its end, if known


class AdmissionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and seconds."""

    capacity: int
    idle_timeout_s: float
    capacity_wait_s: float
    lease_life_s: float


class Start(msgspec.Struct, frozen=True):
    """Start this id."""

    id: str


class Stop(msgspec.Struct, frozen=True):
    """Stop this id; it is already out of the table."""

    id: str
    reason: str


class Grant(msgspec.Struct, frozen=True):
    """Let this ticket have the session, with a lease if it wanted one."""

    ticket: int
    id: str
    is_new: bool
    token: int | None


class Refuse(msgspec.Struct, frozen=True):
    """Refuse this ticket."""

    ticket: int
    why: Why
    error: DomainError | None = None
    reason: str | None = None


class Lapse(msgspec.Struct, frozen=True):
    """A lease outlived its longest life; what it was for must end."""

    id: str
    token: int


Effect: TypeAlias = Start | Stop | Grant | Refuse | Lapse
Effects: TypeAlias = list[Effect]


class _Waiter:
    __slots__ = ("use", "wait_until")

    def __init__(self, *, use: bool, wait_until: float) -> None:
        self.use = use
        self.wait_until = wait_until  # counts only while the entry waits for capacity


class Entry:
    """One session, from the first who asks for it to its end."""

    __slots__ = ("id", "key", "last_used", "phase", "placed", "waiters")

    def __init__(self, entry_id: str, key: str) -> None:
        self.id = entry_id
        self.key = key
        self.phase = Phase.QUEUED
        self.placed = False
        self.waiters: dict[int, _Waiter] = {}
        self.last_used = 0.0


class Admission:
    """The table of one kind of session."""

    def __init__(self, settings: AdmissionSettings) -> None:
        self.settings = settings
        self.leases = LeaseTable()
        self._entries: dict[str, Entry] = {}  # by id, oldest first
        self._by_key: dict[str, Entry] = {}
        self._by_ticket: dict[int, Entry] = {}
        self._live: dict[str, Entry] = {}  # least recently used first
        self._waiting: dict[str, Entry] = {}  # not live, in order of arrival
        self._placed = 0
        self._reasons: dict[str, str] = {}  # of ids that have ended, newest last
        self._refused: dict[str, tuple[float, DomainError]] = {}  # keys, newest last

    # -- looking -------------------------------------------------------------------------------

    def visible(self) -> tuple[Entry, ...]:
        """The entries that have a place, oldest first."""
        return tuple(entry for entry in self._entries.values() if entry.placed)

    def knows(self, entry_id: str) -> bool:
        """Tell whether this id is in the table, be it only in the queue."""
        return entry_id in self._entries

    def has(self, entry_id: str) -> bool:
        """Tell whether this id is in the table for those outside: it has begun to start."""
        entry = self._entries.get(entry_id)
        return entry is not None and entry.phase is not Phase.QUEUED

    def reason(self, entry_id: str) -> str | None:
        """Why an id has ended, if that is still known."""
        return self._reasons.get(entry_id)

    def next_due(self) -> float | None:
        """When `tick` has something to do, if nothing else happens before."""
        dues = [entry.last_used + self.settings.idle_timeout_s for entry in self._idle(1)]
        dues += [
            waiter.wait_until
            for entry in self._waiting.values()
            if entry.phase is not Phase.STARTING
            for waiter in entry.waiters.values()
        ]
        lapse = self.leases.next_lapse()
        if lapse is not None:
            dues.append(lapse)
        return min(dues, default=None)

    # -- asking --------------------------------------------------------------------------------

    def ask(self, ticket: int, key: str, new_id: str, *, use: bool, now: float) -> Effects:
        """Somebody wants the session of `key`; `new_id` is its id if there is none yet."""
        until, error = self._refused.get(key, (now, None))
        if error is not None and until > now:
            return [Refuse(ticket, Why.FAILED, error)]
        entry = self._by_key.get(key)
        if entry is None:
            entry = Entry(new_id, key)
            self._entries[new_id] = self._by_key[key] = self._waiting[new_id] = entry
        return self._join(entry, ticket, use=use, now=now)

    def ask_id(self, ticket: int, entry_id: str, *, use: bool, now: float) -> Effects:
        """Somebody wants the session that has this id."""
        if not self.has(entry_id):
            return [Refuse(ticket, Why.UNKNOWN, reason=self.reason(entry_id))]
        return self._join(self._entries[entry_id], ticket, use=use, now=now)

    def left(self, ticket: int, now: float) -> Effects:
        """Whoever held this ticket waits no more."""
        entry = self._by_ticket.pop(ticket, None)
        if entry is None:
            return []
        del entry.waiters[ticket]
        effects: Effects = []
        if not entry.waiters:
            self._give_up(entry, effects)
        return self._settle(now, effects)

    # -- what has happened ---------------------------------------------------------------------

    def started(self, entry_id: str, now: float) -> Effects:
        """A start has succeeded."""
        entry = self._entries.get(entry_id)
        if entry is None or entry.phase is not Phase.STARTING:
            return []
        entry.phase = Phase.READY
        for waiter in entry.waiters.values():
            waiter.wait_until = now + self.settings.capacity_wait_s
        return self._settle(now, [])

    def failed(
        self, entry_id: str, error: DomainError, now: float, *, remember_s: float = 0.0
    ) -> Effects:
        """A start has failed; with `remember_s` the key is refused that long without a start."""
        entry = self._entries.get(entry_id)
        if entry is None or entry.phase is Phase.LIVE:
            return []
        if remember_s > 0:
            _remember(self._refused, entry.key, (now + remember_s, error))
        effects: Effects = []
        self._refuse_all(entry, effects, Why.FAILED, error)
        self._remove(entry, "failed")
        return self._settle(now, effects)

    def ended(self, entry_id: str, reason: str, error: DomainError, now: float) -> Effects:
        """A session has ended by itself; `error` is for those who still waited for it."""
        entry = self._entries.get(entry_id)
        if entry is None:
            return []
        effects: Effects = []
        self._refuse_all(entry, effects, Why.FAILED, error)
        self._remove(entry, reason)
        return self._settle(now, effects)

    def close(self, entry_id: str, reason: str, now: float) -> Effects:
        """Somebody wants the session gone, whatever it does."""
        if not self.has(entry_id):
            return []
        entry = self._entries[entry_id]
        effects: Effects = []
        self._refuse_all(entry, effects, Why.CLOSED)
        self._remove(entry, reason)
        effects.append(Stop(entry_id, reason))
        return self._settle(now, effects)

    def released(self, token: int, now: float) -> Effects:
        """What a lease was for has ended."""
        lease = self.leases.release(token)
        if lease is None:
            return []
        self._touch(self._entries[lease.holder], now)
        return self._settle(now, [])

    def tick(self, now: float) -> Effects:
        """Time has passed: put away what is idle, refuse who waited too long, end old leases."""
        effects: Effects = []
        for lease in self.leases.lapsed(now):
            self.leases.release(lease.token)
            self._touch(self._entries[lease.holder], now)
            effects.append(Lapse(lease.holder, lease.token))
        for entry in self._idle(len(self._live)):
            if entry.last_used + self.settings.idle_timeout_s <= now:
                self._retire(entry, "idle_timeout", effects)
        return self._settle(now, effects)

    # -- the rules -----------------------------------------------------------------------------

    def _join(self, entry: Entry, ticket: int, *, use: bool, now: float) -> Effects:
        if entry.phase is Phase.LIVE:
            return [self._grant(entry, ticket, use=use, is_new=False, now=now)]
        wait_until = now + self.settings.capacity_wait_s
        entry.waiters[ticket] = _Waiter(use=use, wait_until=wait_until)
        self._by_ticket[ticket] = entry
        return self._settle(now, [])

    def _settle(self, now: float, effects: Effects) -> Effects:
        """Give places to those who can take them, and refuse those who have waited too long."""
        self._give_free_places(now, effects)
        self._replace_victims(now, effects)
        self._start_challengers(effects)
        self._refuse_late(now, effects)
        return effects

    def _give_free_places(self, now: float, effects: Effects) -> None:
        # Who has begun already comes before who has not: a ready one, a challenger, the queue.
        for phase in (Phase.READY, Phase.STARTING, Phase.QUEUED):
            for entry in self._in_phase(phase):
                if entry.placed:
                    if phase is Phase.READY:
                        self._go_live(entry, now, effects)
                    continue
                if self._placed >= self.settings.capacity:
                    continue
                self._placed += 1
                entry.placed = True
                if phase is Phase.READY:
                    self._go_live(entry, now, effects)
                elif phase is Phase.QUEUED:
                    self._start(entry, effects)

    def _replace_victims(self, now: float, effects: Effects) -> None:
        for entry in self._in_phase(Phase.READY):
            for victim in self._idle(1):
                self._retire(victim, "evicted", effects)
                self._placed += 1
                entry.placed = True
                self._go_live(entry, now, effects)

    def _start_challengers(self, effects: Effects) -> None:
        challengers = sum(
            1
            for entry in self._waiting.values()
            if entry.phase is not Phase.QUEUED and not entry.placed
        )
        evictable = len(self._live) - self.leases.holders
        for entry in self._in_phase(Phase.QUEUED):
            if challengers >= evictable:
                return
            challengers += 1
            self._start(entry, effects)

    def _refuse_late(self, now: float, effects: Effects) -> None:
        for entry in tuple(self._waiting.values()):
            if entry.phase is Phase.STARTING:
                continue
            late = [ticket for ticket, it in entry.waiters.items() if it.wait_until <= now]
            for ticket in late:
                del entry.waiters[ticket], self._by_ticket[ticket]
                effects.append(Refuse(ticket, Why.CAPACITY))
            if not entry.waiters:
                self._give_up(entry, effects)

    # -- changing the table --------------------------------------------------------------------

    def _in_phase(self, phase: Phase) -> tuple[Entry, ...]:
        return tuple(entry for entry in self._waiting.values() if entry.phase is phase)

    def _idle(self, most: int) -> tuple[Entry, ...]:
        """Up to `most` live entries that nobody leases, least recently used first."""
        found: list[Entry] = []
        for entry in self._live.values():
            if len(found) == most:
                break
            if not self.leases.count(entry.id):
                found.append(entry)
        return tuple(found)

    def _start(self, entry: Entry, effects: Effects) -> None:
        entry.phase = Phase.STARTING
        effects.append(Start(entry.id))

    def _go_live(self, entry: Entry, now: float, effects: Effects) -> None:
        entry.phase = Phase.LIVE
        del self._waiting[entry.id]
        self._touch(entry, now)
        is_new = True
        for ticket, waiter in entry.waiters.items():
            del self._by_ticket[ticket]
            effects.append(self._grant(entry, ticket, use=waiter.use, is_new=is_new, now=now))
            is_new = False
        entry.waiters = {}

    def _grant(self, entry: Entry, ticket: int, *, use: bool, is_new: bool, now: float) -> Grant:
        self._touch(entry, now)
        token = None
        if use:
            lease = self.leases.grant(entry.id, now=now, life_s=self.settings.lease_life_s)
            token = lease.token
        return Grant(ticket, entry.id, is_new, token)

    def _touch(self, entry: Entry, now: float) -> None:
        entry.last_used = now
        self._live.pop(entry.id, None)
        self._live[entry.id] = entry

    def _retire(self, entry: Entry, reason: str, effects: Effects) -> None:
        self._remove(entry, reason)
        effects.append(Stop(entry.id, reason))

    def _give_up(self, entry: Entry, effects: Effects) -> None:
        """Nobody waits for it any more."""
        began = entry.phase is not Phase.QUEUED
        self._remove(entry, "closed")
        if began:
            effects.append(Stop(entry.id, "closed"))

    def _refuse_all(
        self, entry: Entry, effects: Effects, why: Why, error: DomainError | None = None
    ) -> None:
        for ticket in entry.waiters:
            del self._by_ticket[ticket]
            effects.append(Refuse(ticket, why, error))
        entry.waiters = {}

    def _remove(self, entry: Entry, reason: str) -> None:
        if entry.phase is not Phase.QUEUED:
            _remember(self._reasons, entry.id, reason)
        self._placed -= entry.placed
        self.leases.release_all(entry.id)
        self._live.pop(entry.id, None)
        self._waiting.pop(entry.id, None)
        del self._entries[entry.id], self._by_key[entry.key]


def _remember(table: dict[str, _T], key: str, value: _T) -> None:
    table.pop(key, None)
    table[key] = value
    if len(table) > _REMEMBERED:
        del table[next(iter(table))]
