"""When a delivery is tried again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.partner.webhooks.retry import DELAYS_S, LIFE, next_attempt

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
JITTER = st.floats(min_value=0, max_value=1, exclude_max=True)


@pytest.mark.parametrize(("failed", "delay_s"), list(enumerate((*DELAYS_S, 7_200, 7_200), start=1)))
def test_the_pauses_are_the_tables(failed: int, delay_s: int) -> None:
    at = next_attempt(created=CREATED, now=CREATED, failed=failed, jitter=0.5)
    assert at == CREATED + timedelta(seconds=delay_s)


@given(
    failed=st.integers(1, 100), jitter=JITTER, pause_s=st.integers(0, 10**6), s=st.floats(0, 1e6)
)
def test_the_next_attempt_is_later_and_within_the_life_or_there_is_none(
    failed: int, jitter: float, pause_s: int, s: float
) -> None:
    now = CREATED + timedelta(seconds=s)
    at = next_attempt(created=CREATED, now=now, failed=failed, jitter=jitter, retry_after_s=pause_s)
    if now >= CREATED + LIFE:
        assert at is None
    else:
        assert at is not None
        assert now < at <= CREATED + LIFE


@given(st.lists(JITTER, min_size=40, max_size=40))
def test_a_day_of_failures_is_some_twenty_attempts_and_the_last_is_at_its_end(
    jitters: list[float],
) -> None:
    now, failed = CREATED, 1
    while True:
        at = next_attempt(created=CREATED, now=now, failed=failed, jitter=jitters[failed])
        if at is None:
            break
        now, failed = at, failed + 1
    assert now == CREATED + LIFE
    assert 14 <= failed <= 25


def test_a_receiver_may_ask_for_a_longer_pause_and_not_for_a_shorter_or_endless_one() -> None:
    def pause_s(retry_after_s: int) -> float:
        at = next_attempt(
            created=CREATED, now=CREATED, failed=2, jitter=0.5, retry_after_s=retry_after_s
        )
        assert at is not None
        return (at - CREATED).total_seconds()

    assert [pause_s(asked) for asked in (0, 10, 300, 10**9)] == [30, 30, 300, 7_200]
