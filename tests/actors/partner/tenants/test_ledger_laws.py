"""The laws that `ledger` opens with, walked through random programs beside a model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.partner import QuotaExceeded, TooManyActive
from actors.partner.tenants.calendar import Month
from actors.partner.tenants.ledger import Books, Found, Ledger, Limits
from actors.partner.tenants.places import Reservation
from actors.partner.tenants.principal import ENVIRONMENTS, Environment
from engine.store import milliseconds

START = datetime(2026, 1, 31, 23, 50, tzinfo=UTC)
LIMITS = Limits(quotas={"sandbox": 6, "production": 4}, max_active=5)
_ENVIRONMENTS = st.sampled_from(ENVIRONMENTS)
_PICK = st.integers(0, 9)


class LedgerMachine(RuleBasedStateMachine):
    """Creates that succeed, fail and are forgotten, ends, months that turn, and crashes.

    The model is the truth that a store would hold: every session that exists, ended or not.
    """

    @initialize()
    def begin(self) -> None:
        self.now = START
        self.books = Books()
        self.ledger = Ledger(LIMITS, self.books, self.now)
        self.open: dict[int, tuple[Reservation, Environment]] = {}
        self.written: dict[int, str] = {}  # of the open ones, whose session exists already
        self.exists: dict[str, Found] = {}
        self.erased: list[Found] = []
        self.newest: datetime | None = None

    # -- what callers do -----------------------------------------------------------------------

    @rule(environment=_ENVIRONMENTS)
    def reserve(self, environment: Environment) -> None:
        before = self.figures()
        try:
            place = self.ledger.reserve(environment, self.now)
        except (QuotaExceeded, TooManyActive):
            assert self.figures() == before
            return
        assert self.newest is None or place.created_at > self.newest
        assert place.token not in self.open
        self.newest = place.created_at
        self.open[place.token] = place, environment

    @rule(pick=_PICK)
    def write(self, pick: int) -> None:
        """The session's own stream is committed; whether its tenant hears of it is open."""
        waiting = [token for token in self.open if token not in self.written]
        if waiting:
            token = waiting[pick % len(waiting)]
            place, environment = self.open[token]
            session_id = f"s{len(self.exists) + len(self.erased)}"
            self.written[token] = session_id
            self.exists[session_id] = Found(
                session_id=session_id,
                environment=environment,
                created_ms=milliseconds(place.created_at),
                unfinished=True,
            )

    @rule(pick=_PICK, again=st.booleans())
    def confirm(self, pick: int, again: bool) -> None:
        if self.written:
            token = list(self.written)[pick % len(self.written)]
            session_id = self.written[token]
            for _ in range(1 + again):
                assert self.ledger.confirm(token, session_id)
            del self.open[token], self.written[token]

    @rule(pick=_PICK, again=st.booleans())
    def give_back(self, pick: int, again: bool) -> None:
        waiting = [token for token in self.open if token not in self.written]
        if waiting:
            token = waiting[pick % len(waiting)]
            for _ in range(1 + again):
                self.ledger.give_back(token)
            del self.open[token]

    @rule(pick=_PICK, again=st.booleans())
    def end(self, pick: int, again: bool) -> None:
        """A session ends, perhaps before its create was confirmed."""
        going = [it for it in self.exists.values() if it.unfinished]
        if going:
            it = going[pick % len(going)]
            self.exists[it.session_id] = Found(
                session_id=it.session_id,
                environment=it.environment,
                created_ms=it.created_ms,
                unfinished=False,
            )
            for _ in range(1 + again):
                self.ledger.end(it.session_id)

    @rule(seconds=st.sampled_from([0.0004, 1.0, 400.0, 86_400.0]))
    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # -- what the tenant does ------------------------------------------------------------------

    @rule()
    def look(self) -> None:
        """Everybody who reserved has gone: what was written counts, what was not is free."""
        self.ledger.look()
        future = self.now + timedelta(days=40)
        self.ledger.found(list(self.exists.values()), lapse_before=future)
        self.open.clear()
        self.written.clear()

    @rule()
    def close(self) -> None:
        books = self.ledger.close()
        self.ledger.closed(books)
        self.books = books

    @rule()
    def erase_what_is_in_the_books(self) -> None:
        for it in list(self.exists.values()):
            if not it.unfinished and it.created_ms <= self.books.through_ms:
                self.erased.append(self.exists.pop(it.session_id))

    @rule()
    def crash(self) -> None:
        """What was in memory is gone; open reservations are never settled."""
        self.ledger = Ledger(LIMITS, self.books, self.now)
        self.ledger.found(list(self.exists.values()))
        self.open.clear()
        self.written.clear()
        self.newest = None  # what was only reserved has never been
        if self.exists:
            newest_ms = max(it.created_ms for it in self.exists.values())
            self.newest = datetime.fromtimestamp(newest_ms / 1000, UTC)

    # -- what holds ----------------------------------------------------------------------------

    def figures(self) -> tuple[int, ...]:
        return (self.ledger.active, *(self.ledger.used(it, self.now) for it in ENVIRONMENTS))

    def truly_used(self, environment: Environment, month: Month) -> int:
        sessions = [*self.exists.values(), *self.erased]
        made = [it for it in sessions if it.environment == environment and it.created_ms in month]
        being_made = [
            place
            for token, (place, where) in self.open.items()
            if where == environment
            and token not in self.written
            and milliseconds(place.created_at) in month
        ]
        return len(made) + len(being_made)

    @invariant()
    def counts_are_what_exists_and_is_being_made(self) -> None:
        month = self.ledger.month(self.now)
        for environment in ENVIRONMENTS:
            truly = self.truly_used(environment, month)
            assert self.ledger.used(environment, self.now) == truly
            assert truly <= LIMITS.quotas[environment]

    @invariant()
    def unfinished_ones_are_never_too_many(self) -> None:
        unfinished = {it.session_id for it in self.exists.values() if it.unfinished}
        being_made = [token for token in self.open if token not in self.written]
        # One that was written, and has not been confirmed, counts however it goes on.
        unheard = [it for it in self.written.values() if it not in unfinished]
        assert self.ledger.active == len(unfinished) + len(being_made) + len(unheard)
        assert self.ledger.active <= LIMITS.max_active

    @invariant()
    def days_add_up_to_all_there_ever_was(self) -> None:
        total = sum(day.sandbox + day.production for day in self.ledger.days())
        recent = milliseconds(self.now) - 60 * 86_400_000
        unheard = set(self.written.values())
        kept = [
            it
            for it in [*self.exists.values(), *self.erased]
            if it.created_ms > recent and it.session_id not in unheard
        ]
        assert total >= len(kept)


TestLedgerLaws = LedgerMachine.TestCase
TestLedgerLaws.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def test_a_month_that_begins_anew_has_its_whole_quota() -> None:
    ledger = Ledger(LIMITS, Books(), START)
    for number in range(4):
        ledger.confirm(ledger.reserve("production", START).token, f"s{number}")
        ledger.end(f"s{number}")
    with pytest.raises(QuotaExceeded) as refused:
        ledger.reserve("production", START)
    assert refused.value.retry_after_s == 600
    assert ledger.reserve("production", START + timedelta(minutes=10)).token


def test_times_of_creation_grow_also_where_the_clock_does_not() -> None:
    ledger = Ledger(LIMITS, Books(), START)
    times = [
        milliseconds(ledger.reserve(environment, START - timedelta(seconds=second)).created_at)
        for second, environment in enumerate(ENVIRONMENTS)
    ]
    assert times == sorted(set(times))
