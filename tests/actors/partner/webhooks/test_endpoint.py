"""An endpoint, decided: secrets that overlap, failure that disables, tenants kept apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.partner.errors import NotFound
from actors.partner.webhooks.endpoint import (
    FAILURE_LIMIT,
    MAX_SECRETS,
    ROTATION_OVERLAP,
    Command,
    Enable,
    Endpoint,
    EndpointEvent,
    Register,
    Remove,
    Report,
    Rotate,
    decide,
    evolve,
)
from actors.partner.webhooks.endpoint_decider import EndpointDecider

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
REGISTER = Register(
    tenant_id="t1",
    id="e1",
    url="https://example.com/hooks",
    events=("session.completed",),
    sealed=b"first",
    slot=0,
)
FAILED = Report(tenant_id="t1", delivered=False)
EXHAUSTED = Report(tenant_id="t1", delivered=False, exhausted=True)
TAKEN = Report(tenant_id="t1", delivered=True)


def made() -> Endpoint:
    return evolve(None, decide(None, REGISTER, START)[0])


def after(state: Endpoint, command: Command, now: datetime = START) -> Endpoint:
    return reduce(evolve, decide(state, command, now), state)


def rotated(state: Endpoint, sealed: bytes, now: datetime) -> Endpoint:
    return after(state, Rotate(tenant_id="t1", sealed=sealed), now)


def signing(state: Endpoint, now: datetime) -> list[bytes]:
    return [secret.sealed for secret in state.signing(now)]


def test_after_a_rotation_both_secrets_sign_until_the_overlap_is_over() -> None:
    state = rotated(made(), b"second", START)
    assert signing(state, START) == [b"second", b"first"]
    assert signing(state, START + ROTATION_OVERLAP - timedelta(seconds=1)) == [b"second", b"first"]
    assert signing(state, START + ROTATION_OVERLAP) == [b"second"]


def test_rotating_again_does_not_lengthen_the_life_of_the_oldest() -> None:
    state = rotated(made(), b"second", START)
    state = rotated(state, b"third", START + timedelta(hours=12))
    assert signing(state, START + timedelta(hours=13)) == [b"third", b"second", b"first"]
    assert signing(state, START + timedelta(hours=25)) == [b"third", b"second"]
    assert signing(state, START + timedelta(hours=37)) == [b"third"]


@given(st.lists(st.floats(0, 200_000), max_size=20))
def test_however_often_it_is_rotated_few_secrets_sign_and_one_always_does(
    pauses: list[float],
) -> None:
    state, now = made(), START
    for number, pause_s in enumerate(pauses):
        now += timedelta(seconds=pause_s)
        state = rotated(state, str(number).encode(), now)
        assert signing(state, now)[0] == str(number).encode()
        assert len(state.secrets) <= MAX_SECRETS
    assert signing(state, now + 9 * DAY) == [state.secrets[0].sealed]


def test_five_days_in_which_everything_failed_disable_it() -> None:
    state = after(made(), FAILED)
    state = after(state, EXHAUSTED, START + FAILURE_LIMIT - timedelta(seconds=1))
    assert state.enabled
    state = after(state, EXHAUSTED, START + FAILURE_LIMIT)
    assert (state.enabled, state.disabled_reason) == (False, "failing")


def test_one_delivery_in_between_begins_the_five_days_anew() -> None:
    state = after(made(), FAILED)
    state = after(state, TAKEN, START + 4 * DAY)
    state = after(state, FAILED, START + 4 * DAY)
    assert after(state, EXHAUSTED, START + 8 * DAY).enabled
    assert not after(state, EXHAUSTED, START + 9 * DAY).enabled


def test_a_blip_long_after_a_failure_disables_nothing_before_it_had_its_retries() -> None:
    state = after(made(), FAILED)
    assert after(state, FAILED, START + 30 * DAY).enabled


def test_an_endpoint_that_says_it_is_gone_is_disabled_at_once() -> None:
    state = after(made(), Report(tenant_id="t1", delivered=False, gone=True))
    assert (state.enabled, state.disabled_reason) == (False, "gone")


def test_enabled_again_it_has_five_days_anew() -> None:
    state = after(after(made(), FAILED), EXHAUSTED, START + FAILURE_LIMIT)
    state = after(state, Enable(tenant_id="t1"), START + 6 * DAY)
    assert (state.enabled, state.disabled_reason, state.failing_since) == (True, None, None)
    state = after(state, EXHAUSTED, START + 6 * DAY)
    assert after(state, EXHAUSTED, START + 10 * DAY).enabled


def test_a_disabled_one_is_not_moved_by_late_reports() -> None:
    state = after(made(), Report(tenant_id="t1", delivered=False, gone=True))
    assert [decide(state, report, START) for report in (TAKEN, FAILED, EXHAUSTED)] == [[], [], []]


def test_news_that_changes_nothing_is_not_written() -> None:
    assert decide(made(), TAKEN, START) == []
    assert decide(made(), Enable(tenant_id="t1"), START) == []
    assert decide(after(made(), FAILED), FAILED, START + DAY) == []
    assert decide(made(), REGISTER, START) == []


def test_a_deleted_one_holds_no_secret_and_is_not_found() -> None:
    state = after(made(), Remove(tenant_id="t1"))
    assert state.secrets == ()
    for command in (Rotate(tenant_id="t1", sealed=b""), Enable(tenant_id="t1"), TAKEN):
        with pytest.raises(NotFound):
            decide(state, command, START)


COMMANDS = [Rotate, Enable, Remove, Report]


@pytest.mark.parametrize("kind", COMMANDS)
def test_another_tenants_endpoint_is_not_found(kind: type[Command]) -> None:
    fields = {Rotate: {"sealed": b""}, Report: {"delivered": True}}.get(kind, {})
    with pytest.raises(NotFound):
        decide(made(), kind(tenant_id="t2", **fields), START)


def test_what_is_stored_is_read_back_as_it_was() -> None:
    decider = EndpointDecider()
    events: list[EndpointEvent] = list(decide(None, REGISTER, START))
    state = evolve(None, events[0])
    events += decide(state, Rotate(tenant_id="t1", sealed=b"\xff\x00"), START)
    replayed = reduce(decider.evolve, (decider.decode(decider.encode(it)) for it in events), None)
    assert replayed == evolve(state, events[-1])
    assert replayed is not None
    assert decider.restore(decider.snapshot(replayed)) == replayed
