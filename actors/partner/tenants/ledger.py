"""Which sessions a tenant has: counted in memory, exactly, from what exists.

Laws of this file: it awaits nothing, reads no clock, and knows neither actors nor store. A call
changes the table or raises, never both. It keeps, whatever happens:

- a month has never more sessions of an environment than its quota, those that are being made
  counted in;
- never more than `max_active` are unfinished or being made;
- each reservation is settled once: confirmed, given back, or lapsed;
- times of creation strictly grow, so that "all up to here" is a number that never changes once
  nothing before it is being made;
- from its books and the sessions that exist it comes to the same figures again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from actors.partner.errors import QuotaExceeded, TooManyActive
from actors.partner.tenants.calendar import Month, date_of, day_of
from actors.partner.tenants.places import Reservation
from actors.partner.tenants.principal import ENVIRONMENTS, Environment
from engine.store import milliseconds

# For the chart of a month, with room for the month before.
KEPT_DAYS: Final = 62
_RETRY_ACTIVE_S: Final = 30


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How many sessions a month may have, by environment, and how many may be unfinished."""

    quotas: Mapping[Environment, int]
    max_active: int


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """How many sessions were created up to and with `through_ms`, by day and environment."""

    through_ms: int = 0
    days: Mapping[int, Mapping[Environment, int]] = {}


class Found(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A session that exists, as the catalogue has it."""

    session_id: str
    environment: Environment
    created_ms: int
    unfinished: bool


class DayUsage(msgspec.Struct, frozen=True, kw_only=True):
    """How many sessions were created on a day."""

    day: str
    sandbox: int
    production: int


class _Place(msgspec.Struct, frozen=True, gc=False):
    environment: Environment
    created_ms: int


class Ledger:
    """The table of one tenant.

    Args:
        books: what was counted before; sessions created since then are told by `found`.
        now: no session is created before it.
    """

    def __init__(self, limits: Limits, books: Books, now: datetime) -> None:
        self.limits = limits
        self._books = books
        self._newest_ms = max(books.through_ms, milliseconds(now) - 1)
        self._reserved: dict[int, _Place] = {}
        self._sessions: dict[str, _Place] = {}  # created after the books were closed
        self._active: set[str] = set()
        self._ended: set[str] = set()  # while a session may still be told as unfinished
        self._looking = False
        self._tokens = 0
        self._turn_to(self._newest_ms + 1)

    # -- making sessions -----------------------------------------------------------------------

    def reserve(self, environment: Environment, now: datetime) -> Reservation:
        """Return a place for one session.

        Raises:
            QuotaExceeded, TooManyActive: nothing has changed.
        """
        created_ms = max(milliseconds(now), self._newest_ms + 1)
        if created_ms not in self._month:
            self._turn_to(created_ms)
        self._check(environment, created_ms)
        self._newest_ms = created_ms
        self._tokens += 1
        self._reserved[self._tokens] = _Place(environment, created_ms)
        self._used[environment] += 1
        return Reservation(token=self._tokens, created_at=_moment(created_ms))

    def confirm(self, token: int, session_id: str) -> bool:
        """Turn a place into a session; False when nothing is known of either: look what exists."""
        place = self._reserved.pop(token, None)
        if place is None:
            return session_id in self._sessions
        self._sessions[session_id] = place
        if session_id not in self._ended:
            self._active.add(session_id)
        self._forget_ended()
        return True

    def give_back(self, token: int) -> None:
        """Free a place; one that is settled already stays as it is."""
        place = self._reserved.pop(token, None)
        if place is not None and place.created_ms in self._month:
            self._used[place.environment] -= 1
        self._forget_ended()

    def end(self, session_id: str) -> None:
        """Count a session among the unfinished no longer."""
        is_confirmed = session_id in self._active
        self._active.discard(session_id)
        if self._looking or (self._reserved and not is_confirmed):
            self._ended.add(session_id)

    # -- looking what exists -------------------------------------------------------------------

    def look(self) -> None:
        """The catalogue is about to be read: what ends meanwhile stays ended."""
        self._looking = True

    def found(self, sessions: Iterable[Found], *, lapse_before: datetime | None = None) -> None:
        """Take in what the catalogue has, and with that the outcome of places that were never
        settled: those reserved before `lapse_before` are free when there is no session of theirs.
        """
        unsettled = {place.created_ms: token for token, place in self._reserved.items()}
        for it in sessions:
            token = unsettled.get(it.created_ms)
            if it.created_ms > self._books.through_ms and it.session_id not in self._sessions:
                self._take_in(it, token)
            if it.unfinished and it.session_id not in self._ended:
                self._active.add(it.session_id)
        if lapse_before is not None:
            before_ms = milliseconds(lapse_before)
            for token in [t for t, it in self._reserved.items() if it.created_ms < before_ms]:
                self.give_back(token)
        self._looking = False
        self._forget_ended()

    def _take_in(self, it: Found, token: int | None) -> None:
        place = None if token is None else self._reserved.get(token)
        if token is not None and place is not None and place.environment == it.environment:
            del self._reserved[token]
        else:
            place = _Place(it.environment, it.created_ms)
            self._newest_ms = max(self._newest_ms, it.created_ms)
            if it.created_ms in self._month:
                self._used[it.environment] += 1
        self._sessions[it.session_id] = place

    # -- figures -------------------------------------------------------------------------------

    @property
    def active(self) -> int:
        """How many sessions are unfinished or being made."""
        return len(self._active) + len(self._reserved)

    @property
    def unsettled(self) -> int:
        """How many sessions are being made."""
        return len(self._reserved)

    @property
    def unbooked(self) -> int:
        """How many sessions exist that are not in the books."""
        return len(self._sessions)

    def month(self, now: datetime) -> Month:
        """Return the month that is counted in now."""
        created_ms = max(milliseconds(now), self._newest_ms + 1)
        if created_ms not in self._month:
            self._turn_to(created_ms)
        return self._month

    def used(self, environment: Environment, now: datetime) -> int:
        """Return how many of the month's sessions are used up, those being made counted in."""
        self.month(now)
        return self._used[environment]

    def days(self) -> tuple[DayUsage, ...]:
        """Return the days that had sessions, oldest first."""
        counts = self._counted(self._sessions.values())
        return tuple(
            DayUsage(
                day=date_of(day),
                sandbox=count.get("sandbox", 0),
                production=count.get("production", 0),
            )
            for day, count in sorted(counts.items())
        )

    # -- books ---------------------------------------------------------------------------------

    def close(self) -> Books:
        """Return books as far as they can be closed: up to the oldest place that is not settled."""
        through_ms = self._newest_ms
        if self._reserved:
            through_ms = min(place.created_ms for place in self._reserved.values()) - 1
        closed = [it for it in self._sessions.values() if it.created_ms <= through_ms]
        oldest = day_of(through_ms) - KEPT_DAYS
        days = {day: count for day, count in self._counted(closed).items() if day > oldest}
        return Books(through_ms=max(through_ms, self._books.through_ms), days=days)

    def closed(self, books: Books) -> None:
        """The books that `close` returned are durable."""
        self._books = books
        self._sessions = {
            session_id: place
            for session_id, place in self._sessions.items()
            if place.created_ms > books.through_ms
        }

    # -- inside --------------------------------------------------------------------------------

    def _check(self, environment: Environment, created_ms: int) -> None:
        quota = self.limits.quotas[environment]
        if self._used[environment] >= quota:
            resets_at = self._month.ends_at
            raise QuotaExceeded(
                limit=quota,
                resets_at=resets_at,
                retry_after_s=math.ceil((resets_at - _moment(created_ms)).total_seconds()),
            )
        if self.active >= self.limits.max_active:
            raise TooManyActive(limit=self.limits.max_active, retry_after_s=_RETRY_ACTIVE_S)

    def _turn_to(self, at_ms: int) -> None:
        """Count the month of a time."""
        self._month = Month(at_ms)
        self._used: dict[Environment, int] = dict.fromkeys(ENVIRONMENTS, 0)
        places = [*self._sessions.values(), *self._reserved.values()]
        for day, count in self._counted(places).items():
            if day in self._month.days:
                for environment, much in count.items():
                    self._used[environment] += much

    def _counted(self, places: Iterable[_Place]) -> dict[int, dict[Environment, int]]:
        """Return the books' counts by day, with these places added."""
        days = {day: dict(count) for day, count in self._books.days.items()}
        for place in places:
            count = days.setdefault(day_of(place.created_ms), {})
            count[place.environment] = count.get(place.environment, 0) + 1
        return days

    def _forget_ended(self) -> None:
        if not self._reserved and not self._looking:
            self._ended.clear()


def _moment(at_ms: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
