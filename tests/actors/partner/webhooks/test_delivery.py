"""One delivery, as a state machine: programs of commands, and what must hold after each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.partner.errors import NotFound
from actors.partner.webhooks.delivery import (
    KEPT,
    MAX_RESENDS,
    Delivery,
    DeliveryEvent,
    Message,
    Open,
    Outcome,
    Record,
    Resend,
    decide,
    evolve,
)
from actors.partner.webhooks.delivery_decider import DeliveryDecider, decode_summary
from actors.partner.webhooks.errors import TooManyResends
from actors.partner.webhooks.retry import LIFE
from engine.clock import timestamp

START = datetime(2026, 1, 1, tzinfo=UTC)
MESSAGE = Message(
    event_id="evt_1",
    endpoint_id="e1",
    tenant_id="t1",
    type="session.completed",
    subject="s1",
    event_seq=7,
    body="{}",
)
TAKEN, REFUSED = Outcome(status=204), Outcome(status=500, error="answered 500")
OUTCOMES = st.sampled_from(
    [
        TAKEN,
        REFUSED,
        Outcome(error="no answer in time"),
        Outcome(status=429, error="answered 429", retry_after_s=600),
        Outcome(status=410, error="answered 410", final=True),
    ]
)


def opened(now: datetime = START) -> Delivery:
    (event,) = decide(None, Open(id="d1", message=MESSAGE), now, 0.5)
    return evolve(None, event)


def after(state: Delivery, command: Open | Record | Resend, now: datetime) -> Delivery:
    return reduce(evolve, decide(state, command, now, 0.5), state)


def recorded(state: Delivery, outcome: Outcome, now: datetime) -> Delivery:
    return after(state, Record(outcome=outcome, resend=state.resend), now)


# An attempt when one is due, or somebody who asks for another in between.
STEPS = st.lists(
    st.tuples(st.sampled_from(["attempt", "resend"]), OUTCOMES, st.floats(0, 20_000)),
    max_size=60,
)


@given(STEPS)
def test_whatever_happens_the_laws_of_a_delivery_hold(
    steps: list[tuple[str, Outcome, float]],
) -> None:
    now, state = START, opened()
    events: list[DeliveryEvent] = list(decide(None, Open(id="d1", message=MESSAGE), now, 0.5))
    for what, outcome, pause_s in steps:
        now += timedelta(seconds=pause_s)
        before = state
        if what == "resend" and state.resends < MAX_RESENDS:
            new = decide(state, Resend(tenant_id="t1"), now, 0.5)
        elif state.next_at is not None:
            now = max(now, datetime.fromisoformat(state.next_at))
            new = decide(state, Record(outcome=outcome, resend=state.resend), now, 0.5)
        else:
            continue
        events += new
        state = reduce(evolve, new, state)
        assert state.message == MESSAGE
        assert state.attempts[: len(before.attempts)] == before.attempts
        if before.status == "delivered":
            assert state.status == "delivered"
        if before.status == "failed":
            assert state.status in {"failed", "delivered"}
        if state.status == "pending":
            assert state.next_at is not None
        elif not state.resend:
            assert state.next_at is None
        if any(attempt.error is None for attempt in state.attempts):
            assert state.status == "delivered"
    assert [attempt.number for attempt in state.attempts] == [
        number + 1 for number in range(len(state.attempts))
    ]
    assert len(state.attempts) <= 25 + MAX_RESENDS
    assert sum(attempt.resend for attempt in state.attempts) <= state.resends
    replayed: Delivery | None = None
    decider = DeliveryDecider()
    for event in events:
        replayed = decider.evolve(replayed, decider.decode(decider.encode(event)))
    assert replayed == state
    assert decider.restore(decider.snapshot(state)) == state
    assert decode_summary(decider.row(state).summary).attempts == state.attempts


def test_opening_again_changes_nothing() -> None:
    assert decide(opened(), Open(id="d1", message=MESSAGE), START, 0.5) == []


def test_one_that_nobody_takes_fails_after_its_life_and_not_before() -> None:
    state = opened()
    while state.next_at is not None:
        assert state.status == "pending"
        state = recorded(state, REFUSED, datetime.fromisoformat(state.next_at))
    assert state.status == "failed"
    assert state.updated_at == timestamp(START + LIFE)


def test_a_server_that_was_away_for_days_still_makes_one_attempt() -> None:
    late = START + 3 * LIFE
    assert opened().is_due(late)
    assert recorded(opened(), TAKEN, late).status == "delivered"
    assert recorded(opened(), REFUSED, late).status == "failed"


def test_final_means_no_more_attempts() -> None:
    state = recorded(opened(), Outcome(status=410, error="gone", final=True), START)
    assert (state.status, state.next_at) == ("failed", None)


def test_a_failed_one_that_is_sent_again_may_be_delivered_after_all() -> None:
    state = recorded(opened(), Outcome(error="gone", final=True), START)
    again = after(state, Resend(tenant_id="t1"), START)
    assert again.is_due(START)
    assert recorded(again, REFUSED, START).status == "failed"
    assert recorded(again, REFUSED, START).next_at is None
    assert recorded(again, TAKEN, START).status == "delivered"


def test_delivered_stays_delivered_though_it_is_sent_again_and_not_taken() -> None:
    state = after(recorded(opened(), TAKEN, START), Resend(tenant_id="t1"), START)
    state = recorded(state, REFUSED, START)
    assert (state.status, state.next_at, len(state.attempts)) == ("delivered", None, 2)


def test_a_resend_during_an_attempt_brings_one_of_its_own_afterwards() -> None:
    state = after(opened(), Resend(tenant_id="t1"), START)
    state = after(state, Record(outcome=TAKEN, resend=False), START)
    assert state.is_due(START)
    state = recorded(state, TAKEN, START)
    assert [attempt.resend for attempt in state.attempts] == [False, True]
    assert state.next_at is None


def test_resends_do_not_begin_the_retries_anew() -> None:
    state = opened()
    for _ in range(3):
        state = recorded(after(state, Resend(tenant_id="t1"), START), REFUSED, START)
    assert state.next_at is not None
    assert datetime.fromisoformat(state.next_at) - START == timedelta(seconds=5)


def test_resends_are_bounded() -> None:
    state = recorded(opened(), TAKEN, START)
    for _ in range(MAX_RESENDS):
        state = recorded(after(state, Resend(tenant_id="t1"), START), TAKEN, START)
    with pytest.raises(TooManyResends):
        decide(state, Resend(tenant_id="t1"), START, 0.5)


def test_another_tenants_delivery_is_not_found() -> None:
    with pytest.raises(NotFound):
        decide(opened(), Resend(tenant_id="t2"), START, 0.5)
    with pytest.raises(NotFound):
        decide(None, Resend(tenant_id="t1"), START, 0.5)


def test_an_ended_one_is_kept_for_a_month_and_a_pending_one_until_it_ends() -> None:
    assert opened().kept_until is None
    assert recorded(opened(), TAKEN, START).kept_until == START + KEPT
