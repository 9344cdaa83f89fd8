"""Restarts, decided without an actor."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import ActorPolicy, Restart
from engine.policy import RestartHistory

CRASH = RuntimeError("crash")


@pytest.mark.parametrize(
    ("restart", "after_crash", "after_stopping_itself"),
    [
        (Restart.PERMANENT, True, True),
        (Restart.TRANSIENT, True, False),
        (Restart.TEMPORARY, False, False),
    ],
)
def test_restart_policy_says_which_actors_are_started_again(
    restart: Restart, after_crash: bool, after_stopping_itself: bool
) -> None:
    policy = ActorPolicy(restart=restart)
    assert policy.restarts_after(CRASH) is after_crash
    assert policy.restarts_after(None) is after_stopping_itself


def test_restart_policy_doubles_the_backoff_up_to_its_maximum() -> None:
    policy = ActorPolicy(backoff_s=0.1, backoff_max_s=5.0)
    waits = [policy.backoff(restart, 0.0) for restart in range(1, 9)]
    assert waits == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0])


@given(restart=st.integers(1, 10**9), jitter=st.floats(0, 1, exclude_max=True))
def test_restart_policy_takes_at_most_half_of_the_backoff_for_jitter(
    restart: int, jitter: float
) -> None:
    policy = ActorPolicy()
    full = policy.backoff(restart, 0.0)
    assert full / 2 <= policy.backoff(restart, jitter) <= full <= policy.backoff_max_s


@given(
    gaps=st.lists(st.floats(0, 20), max_size=40),
    limit=st.integers(0, 5),
    window_s=st.floats(1, 30),
)
def test_restart_limit_escalates_exactly_when_a_window_would_hold_one_too_many(
    gaps: list[float], limit: int, window_s: float
) -> None:
    policy = ActorPolicy(max_restarts=limit, restart_window_s=window_s)
    history, restarts, now = RestartHistory(), list[float](), 0.0
    for gap in gaps:
        now += gap
        recent = sum(now - at <= window_s for at in restarts)
        delay = history.next_delay(policy, now, 0.0)
        if recent == limit:
            assert delay is None
            return
        assert delay == policy.backoff(recent + 1, 0.0)
        restarts.append(now)
