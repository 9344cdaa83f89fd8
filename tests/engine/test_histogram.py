"""Histograms: every observation in exactly one place."""

from __future__ import annotations

from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from engine.histogram import SECONDS, Histogram

_VALUES = st.lists(st.floats(min_value=0, max_value=1e6), max_size=50)


@given(_VALUES)
def test_each_observation_is_counted_once_where_it_belongs(values: list[float]) -> None:
    histogram = Histogram(SECONDS)
    for value in values:
        histogram.observe(value)
    found = histogram.statistics()
    assert found.count == len(values)
    assert found.total == sum(values)
    for place, count in enumerate(found.counts):
        assert count == sum(bisect_left(SECONDS, value) == place for value in values)


def test_a_bound_belongs_to_what_is_at_most_it() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.5):
        histogram.observe(value)
    assert histogram.statistics().counts == (2, 2, 1)


def test_what_was_given_out_does_not_change() -> None:
    histogram = Histogram((1.0,))
    before = histogram.statistics()
    histogram.observe(3.0)
    assert before.counts == (0, 0)
