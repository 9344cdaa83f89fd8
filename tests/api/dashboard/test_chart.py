"""The chart: bars that add up, an axis that reads well, and the same in words."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dashboard.activity import Counts
from api.dashboard.chart import draw

FIRST = date(2026, 10, 27)


def days(*counts: Counts) -> list[tuple[date, Counts]]:
    return [(FIRST + timedelta(days=at), one) for at, one in enumerate(counts)]


counts = st.builds(
    lambda completed, failed, other: Counts(
        created=completed + failed + other, completed=completed, failed=failed
    ),
    *[st.integers(0, 5_000)] * 3,
)


@given(st.lists(counts, min_size=1, max_size=31))
def test_the_bars_of_a_day_stand_on_one_another_and_are_as_high_as_its_sessions(
    given_counts: list[Counts],
) -> None:
    chart = draw(days(*given_counts))
    for day, one in zip(chart.days, given_counts, strict=True):
        bottom = float(chart.height)
        for bar in day.bars:
            assert bar.y + bar.height == pytest.approx(bottom, abs=0.02)
            assert bar.height > 0
            assert 0 <= bar.x < bar.x + bar.width <= chart.width
            bottom = bar.y
        assert bottom == pytest.approx(chart.height * (1 - one.created / chart.top), abs=0.03)
        assert bottom >= -0.02


def test_the_axis_ends_at_a_number_that_reads_well() -> None:
    tops = [draw(days(Counts(created=most))).top for most in (0, 4, 5, 10, 11, 21, 41, 101, 999)]
    assert tops == [4, 4, 10, 10, 20, 40, 100, 200, 1000]


def test_who_does_not_see_it_is_told_the_same() -> None:
    chart = draw(days(Counts(created=1), Counts(created=5, completed=3, failed=1)))
    assert chart.summary == "6 sessions created, most on 28 Oct: 5."
    assert chart.days[1].says == "28 Oct: 5 created, 3 completed, 1 failed"
    assert draw(days(Counts())).summary == "No session was created."
