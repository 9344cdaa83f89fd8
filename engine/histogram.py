"""A histogram: how often something took how long, or was how large.

For `statistics()`: observing costs a search in a short tuple and two additions, and what is given
out is frozen. Who shows it (metrics, a console) decides in which format.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

import msgspec

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Bounds for what should take milliseconds."""

LONG_SECONDS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Bounds for what a browser, a model or a person takes part in."""

SIZES: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)


class HistogramStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How many observations were at most each bound and above the one before it.

    `counts` has one more entry than `bounds`: what was above the last one.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """How many observations there were."""
        return sum(self.counts)


class Histogram:
    """Counts observations by size."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def observe(self, value: float) -> None:
        """Count one observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def statistics(self) -> HistogramStatistics:
        """Return what was observed until now."""
        return HistogramStatistics(
            bounds=self._bounds, counts=tuple(self._counts), total=self._total
        )
