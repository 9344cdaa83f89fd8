"""Who gets a session, who waits, who must go: the registry's policy, without I/O.

Laws of this file: it awaits nothing, reads no clock, and knows neither actors nor browsers. Time
comes in as `now`, on trio's clock, and never goes back. A call changes the table and returns the
effects, in the order in which they must be carried out. It keeps, whatever happens:

- never more than `capacity` entries have a place, and only an entry with a place is live;
- nothing that is leased, and nothing that is starting, is ever evicted or put away for idleness;
- one start for each key, however many ask;
- every ticket is answered exactly once, by `Grant` or `Refuse`, unless it has left;
- a victim goes only when the one who takes its place is ready;
- no call looks at more entries and tickets than it changes.

An entry may have been live before this table was: then it is *parked*. It takes no place, starts
when it is asked for as any other, under its id, and a start that comes to nothing parks it again.

An entry that starts without a place is a *challenger*: it starts only while there is somebody
evictable for each challenger, and takes the place of the least recently used one once it is ready.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final, TypeVar

import msgspec

from engine.admission_counts import AdmissionCounts, AdmissionStatistics
from engine.effects import Effects, Grant, Lapse, Park, Refuse, Start, Stop, Why
from engine.entries import Entries, Entry, Phase, first
from engine.errors import DomainError
from engine.lease import LeaseTable

__all__ = [
    "Admission",
    "AdmissionSettings",
    "AdmissionStatistics",
    "Effects",
    "Entry",
    "Grant",
    "Phase",
    "Refuse",
    "Why",
]

_T = TypeVar("_T")

# Ended ids and refused keys; enough to explain a late 404, bounded for all that.
_REMEMBERED: Final = 10_000


class AdmissionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and seconds."""

    capacity: int
    idle_timeout_s: float
    capacity_wait_s: float
    lease_life_s: float


class Admission:
    """The policy of one kind of session.

    Args:
        settings: its figures.
        newest_token: no lease of an earlier table has a higher token.
    """

    def __init__(self, settings: AdmissionSettings, *, newest_token: int = 0) -> None:
        self.settings = settings
        self.leases = LeaseTable(settings.lease_life_s, newest_token=newest_token)
        self._entries = Entries()
        self._reasons: OrderedDict[str, str] = OrderedDict()  # of ids that have ended
        self._refused: OrderedDict[str, tuple[float, DomainError]] = OrderedDict()  # by key
        self.counts = AdmissionCounts()

    # -- looking -------------------------------------------------------------------------------

    def visible(self) -> tuple[Entry, ...]:
        """The entries that have a place, oldest first; looks at all."""
        return tuple(entry for entry in self._entries.by_id.values() if entry.placed)

    def waiting(self) -> tuple[Entry, ...]:
        """The entries that were live before and have no place now, oldest first; looks at all."""
        return tuple(it for it in self._entries.by_id.values() if it.kept and not it.placed)

    def has(self, entry_id: str) -> bool:
        """Tell whether this id is in the table for those outside: it has begun to start, once."""
        entry = self._entries.by_id.get(entry_id)
        return entry is not None and (entry.kept or entry.phase is not Phase.QUEUED)

    def has_begun(self, entry_id: str) -> bool:
        """Tell whether this id starts or is live."""
        entry = self._entries.by_id.get(entry_id)
        return entry is not None and entry.has_begun

    def has_key(self, key: str) -> bool:
        """Tell whether this key has an entry, in whatever phase."""
        return key in self._entries.by_key

    def reason(self, entry_id: str) -> str | None:
        """Why an id has ended, if that is still known."""
        return self._reasons.get(entry_id)

    def statistics(self) -> AdmissionStatistics:
        """Return counts, without looking at each session."""
        return AdmissionStatistics(
            capacity=self.settings.capacity,
            sessions={phase.value: self._entries.count(phase) for phase in Phase},
            leased=self._entries.count(Phase.LIVE) - len(self._entries.idle),
            waiting=len(self._entries.patience),
            waits=self.counts.waits.statistics(),
            ended=dict(self.counts.ended),
            refused=dict(self.counts.refused),
        )

    def next_due(self) -> float | None:
        """When `tick` has something to do, if nothing else happens before."""
        idle, parked = first(self._entries.idle), self._entries.first(Phase.PARKED)
        dues = (
            None if idle is None else idle.last_used + self.settings.idle_timeout_s,
            None if parked is None else parked.last_used + self.settings.idle_timeout_s,
            first(self._entries.patience),
            self.leases.next_lapse(),
        )
        return min((due for due in dues if due is not None), default=None)

    # -- what was there before -----------------------------------------------------------------

    def park(self, entry_id: str, key: str, *, last_used: float) -> bool:
        """Enter one that was live before; False when its id or its key is in the table already.

        `last_used` may lie before trio's clock began. A `tick` puts away what has idled meanwhile.
        """
        if entry_id in self._entries.by_id or key in self._entries.by_key:
            return False
        entry = Entry(entry_id, key, None, kept=True)
        entry.last_used = last_used
        self._entries.add(entry)
        self._entries.park(entry)
        return True

    def wake(self, entry_id: str, now: float) -> Effects:
        """Start a parked one that nobody has asked for, if a place is free; that is no use of it.

        Once started it is live and as idle as it was.
        """
        effects: Effects = []
        entry = self._entries.by_id.get(entry_id)
        if entry is not None and entry.phase is Phase.PARKED and self._free:
            self._start(entry, Phase.STARTING, now, effects)
        return effects

    def note_end(self, entry_id: str, reason: str) -> None:
        """Say why an id has ended that never was in this table."""
        _remember(self._reasons, entry_id, reason)

    # -- asking --------------------------------------------------------------------------------

    def ask(
        self, ticket: int, key: str, new_id: str, *, use: bool, now: float, opening: Any = None
    ) -> Effects:
        """Somebody wants the session of `key`.

        If there is none yet, it gets `new_id`; its start gets `opening`, a parked one's too.
        """
        error = self._remembered_error(key, now)
        if error is not None:
            return [Refuse(ticket, Why.FAILED, error)]
        entry = self._entries.by_key.get(key)
        if entry is None:
            entry = Entry(new_id, key, opening)
            self._entries.add(entry)
        elif entry.phase is Phase.PARKED:
            entry.opening = opening
        return self._join(entry, ticket, use=use, now=now)

    def ask_id(self, ticket: int, entry_id: str, *, use: bool, now: float) -> Effects:
        """Somebody wants the session that has this id."""
        if not self.has(entry_id):
            return [Refuse(ticket, Why.UNKNOWN, reason=self.reason(entry_id))]
        entry = self._entries.by_id[entry_id]
        error = self._remembered_error(entry.key, now) if entry.phase is Phase.PARKED else None
        if error is not None:
            return [Refuse(ticket, Why.FAILED, error)]
        return self._join(entry, ticket, use=use, now=now)

    def left(self, ticket: int, now: float) -> Effects:
        """Whoever held this ticket waits no more."""
        effects: Effects = []
        if ticket in self._entries.by_ticket:
            self._give_up_if_unwanted(self._entries.take(ticket), now, effects)
        return self._settle(now, effects)

    # -- what has happened ---------------------------------------------------------------------

    def started(self, entry_id: str, now: float) -> Effects:
        """A start has succeeded."""
        effects: Effects = []
        entry = self._entries.by_id.get(entry_id)
        if entry is not None and entry.phase is Phase.STARTING:
            self._go_live(entry, now, effects)
        elif entry is not None and entry.phase is Phase.CHALLENGING:
            self._entries.move(entry, Phase.READY)
            for ticket in entry.waiters:
                self._entries.patience[ticket] = now + self.settings.capacity_wait_s
        return self._settle(now, effects)

    def failed(
        self,
        entry_id: str,
        error: DomainError,
        now: float,
        *,
        remember_s: float = 0.0,
        reason: str | None = None,
        keep: bool = False,
    ) -> Effects:
        """A start has failed.

        Args:
            remember_s: how long the key is refused without a start.
            reason: why the id has ended, for those who ask later.
            keep: one that was live before is parked again; that was a use if somebody waited.
        """
        entry = self._entries.by_id.get(entry_id)
        if entry is not None and remember_s > 0:
            _remember(self._refused, entry.key, (now + remember_s, error))
        if entry is None or not (keep and entry.kept and entry.has_begun):
            return self.ended(entry_id, reason, error, now)
        effects: Effects = []
        if entry.waiters:
            entry.last_used = now
        self._refuse_all(entry, effects, Why.FAILED, error)
        self._entries.park(entry)
        return self._settle(now, effects)

    def ended(self, entry_id: str, reason: str | None, error: DomainError, now: float) -> Effects:
        """A session has ended by itself; `error` is for those who still waited for it."""
        effects: Effects = []
        entry = self._entries.by_id.get(entry_id)
        if entry is not None and entry.has_begun:
            self._refuse_all(entry, effects, Why.FAILED, error)
            self._remove(entry, reason)
        return self._settle(now, effects)

    def close(self, entry_id: str, reason: str, now: float) -> Effects:
        """Somebody wants the session gone, whatever it does."""
        effects: Effects = []
        if self.has(entry_id):
            entry = self._entries.by_id[entry_id]
            self._refuse_all(entry, effects, Why.CLOSED)
            self._stop(entry, reason, effects)
        return self._settle(now, effects)

    def released(self, token: int, now: float) -> Effects:
        """What a lease was for has ended."""
        lease = self.leases.release(token)
        if lease is not None:
            self._touch(self._entries.by_id[lease.holder], now)
        return self._settle(now, [])

    def tick(self, now: float) -> Effects:
        """Time has passed: put away what is idle, refuse who waited too long, end old leases."""
        effects: Effects = []
        for lease in self.leases.lapsed(now):
            self.leases.release(lease.token)
            self._touch(self._entries.by_id[lease.holder], now)
            effects.append(Lapse(lease.holder, lease.token))
        timeout_s = self.settings.idle_timeout_s
        # The very sum that `next_due` forms: else the two could differ in the last bit.
        entries = self._entries
        while (entry := first(entries.idle)) and entry.last_used + timeout_s <= now:
            self._stop(entry, "idle_timeout", effects)
        while (entry := entries.first(Phase.PARKED)) and entry.last_used + timeout_s <= now:
            self._stop(entry, "idle_timeout", effects)
        return self._settle(now, effects)

    # -- the rules -----------------------------------------------------------------------------

    def _join(self, entry: Entry, ticket: int, *, use: bool, now: float) -> Effects:
        if entry.phase is Phase.LIVE:
            return [self._grant(entry, ticket, use=use, is_new=False, now=now)]
        entry.last_used = now
        if entry.phase is Phase.PARKED:
            self._entries.move(entry, Phase.QUEUED)
        self._entries.seat(entry, ticket, use=use)
        if entry.phase in {Phase.QUEUED, Phase.READY}:
            self._entries.patience[ticket] = now + self.settings.capacity_wait_s
        return self._settle(now, [])

    def _settle(self, now: float, effects: Effects) -> Effects:
        """Give places to those who can take them, and refuse those who have waited too long."""
        entries = self._entries
        # Who has begun already comes before who has not.
        while self._free and (entry := entries.first(Phase.READY)):
            self._go_live(entry, now, effects)
        while self._free and (entry := entries.first(Phase.CHALLENGING)):
            entries.move(entry, Phase.STARTING)
        while self._free and (entry := entries.first(Phase.QUEUED)):
            self._start(entry, Phase.STARTING, now, effects)
        while (victim := first(entries.idle)) and (entry := entries.first(Phase.READY)):
            self._stop(victim, "evicted", effects)
            self._go_live(entry, now, effects)
        while entries.count(Phase.CHALLENGING) < len(entries.idle) and (
            entry := entries.first(Phase.QUEUED)
        ):
            self._start(entry, Phase.CHALLENGING, now, effects)
        self._refuse_late(now, effects)
        return effects

    @property
    def _free(self) -> bool:
        placed = self._entries.count(Phase.STARTING) + self._entries.count(Phase.LIVE)
        return placed < self.settings.capacity

    def _refuse_late(self, now: float, effects: Effects) -> None:
        patience = self._entries.patience
        while patience and next(iter(patience.values())) <= now:
            ticket = next(iter(patience))
            entry = self._entries.take(ticket)
            effects.append(Refuse(ticket, Why.CAPACITY))
            self._give_up_if_unwanted(entry, now, effects)

    # -- changing the table --------------------------------------------------------------------

    def _start(self, entry: Entry, phase: Phase, now: float, effects: Effects) -> None:
        self._entries.move(entry, phase)
        wait_s = self.settings.capacity_wait_s
        # Nobody waits for one that is woken.
        dues = [self._entries.patience.pop(ticket) for ticket in entry.waiters]
        self.counts.has_started(now - min(dues, default=now + wait_s) + wait_s)
        effects.append(Start(entry.id, entry.opening))
        entry.opening = None

    def _go_live(self, entry: Entry, now: float, effects: Effects) -> None:
        self._entries.move(entry, Phase.LIVE)
        if not entry.waiters:  # it was woken
            self._entries.rest(entry)
        is_new = not entry.kept
        for ticket, use in tuple(entry.waiters.items()):
            self._entries.take(ticket)
            effects.append(self._grant(entry, ticket, use=use, is_new=is_new, now=now))
            is_new = False

    def _grant(self, entry: Entry, ticket: int, *, use: bool, is_new: bool, now: float) -> Grant:
        token = self.leases.grant(entry.id, now=now).token if use else None
        self._touch(entry, now)
        return Grant(ticket, entry.id, is_new, token)

    def _touch(self, entry: Entry, now: float) -> None:
        """A live entry was used, or a lease on it has begun or ended."""
        entry.last_used = now
        self._entries.idle.pop(entry.id, None)
        if not self.leases.count(entry.id):
            self._entries.idle[entry.id] = entry

    def _refuse_all(
        self, entry: Entry, effects: Effects, why: Why, error: DomainError | None = None
    ) -> None:
        for ticket in tuple(entry.waiters):
            self._entries.take(ticket)
            effects.append(Refuse(ticket, why, error))

    def _give_up_if_unwanted(self, entry: Entry, now: float, effects: Effects) -> None:
        if entry.waiters:
            return
        if entry.kept:
            self._park_again(entry, now, effects)
        elif entry.phase is Phase.QUEUED:
            self._remove(entry, None)
        else:
            self._stop(entry, "closed", effects)

    def _park_again(self, entry: Entry, now: float, effects: Effects) -> None:
        """Nobody waits for it any more; one that has a place goes on to be live."""
        if entry.phase is Phase.STARTING:
            return
        if entry.has_begun:
            effects.append(Park(entry.id))
        entry.opening = None
        entry.last_used = now  # somebody has waited for it until now
        self._entries.park(entry)

    def _stop(self, entry: Entry, reason: str, effects: Effects) -> None:
        self._remove(entry, reason)
        effects.append(Stop(entry.id, reason))

    def _remove(self, entry: Entry, reason: str | None) -> None:
        if reason is not None:
            _remember(self._reasons, entry.id, reason)
        self.counts.has_ended(reason)
        self.leases.release_all(entry.id)
        self._entries.remove(entry)

    def _remembered_error(self, key: str, now: float) -> DomainError | None:
        until, error = self._refused.get(key, (now, None))
        if until > now:
            return error
        self._refused.pop(key, None)
        return None


def _remember(table: OrderedDict[str, _T], key: str, value: _T) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > _REMEMBERED:
        table.popitem(last=False)
