from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.partner import RateLimited
from actors.partner.limits import WINDOW_S, Buckets, Window, Windows

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@given(
    limit=st.integers(1, 5),
    steps=st.lists(st.floats(0, 90, allow_nan=False), max_size=40),
)
def test_no_window_lets_more_through_than_its_limit(limit: int, steps: list[float]) -> None:
    window, at_s = Window(limit), 0.0
    began: float | None = None
    taken = 0
    for step in steps:
        at_s += step
        if began is None or at_s >= began + WINDOW_S:
            began, taken = at_s, 0
        if taken == limit:
            with pytest.raises(RateLimited) as refused:
                window.take(later(at_s))
            assert refused.value.rate is not None
            assert refused.value.rate.remaining == 0
            assert 1 <= refused.value.retry_after_s <= WINDOW_S
        else:
            taken += 1
            assert window.take(later(at_s)).remaining == limit - taken


def test_whoever_waits_as_long_as_it_says_is_let_in() -> None:
    window = Window(1)
    window.take(later(0.3))
    with pytest.raises(RateLimited) as refused:
        window.take(later(20.9))
    window.take(later(20.9 + refused.value.retry_after_s))


def test_a_clock_that_is_set_back_shuts_nobody_out() -> None:
    window = Window(1)
    window.take(later(3600))
    assert window.take(later(0)).remaining == 0


def test_of_too_many_names_the_first_ones_are_forgotten() -> None:
    windows = Windows(1, remembered=2)
    for name in ("a", "b", "c"):
        windows.take(name, NOW)
    windows.take("a", NOW)
    with pytest.raises(RateLimited):
        windows.take("c", NOW)


def test_a_bucket_gives_what_it_holds_and_then_what_comes_back() -> None:
    buckets = Buckets(2, refill_s=10)
    for _ in range(2):
        assert buckets.wait_s("x", NOW) == 0
        buckets.take("x", NOW)
    assert buckets.wait_s("x", NOW) == 10
    assert buckets.wait_s("x", later(4)) == pytest.approx(6)
    assert buckets.wait_s("x", later(10)) == pytest.approx(0)
    assert buckets.wait_s("y", NOW) == 0
    buckets.refund("x")
    assert buckets.wait_s("x", NOW) == 0
