"""How many requests there were, how they ended, and how long answers took.

Laws of this file: what a client sends never becomes a name here, so the counts stay few.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

import msgspec

from engine.histogram import SECONDS, Histogram, HistogramStatistics

WEBSOCKET: Final = "WEBSOCKET"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", WEBSOCKET})


class RequestCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests had this method and ended with this status."""

    method: str
    status: int
    count: int


class RequestStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Of all requests that have ended; `seconds` leaves out websockets, which last."""

    counts: tuple[RequestCount, ...]
    seconds: HistogramStatistics
    running: int


class RequestCounts:
    """Counts requests as they begin and end."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, int]] = Counter()
        self._seconds = Histogram(SECONDS)
        self._running = 0

    def begun(self) -> None:
        self._running += 1

    def ended(self, method: str, status: int, seconds: float) -> None:
        self._running -= 1
        known = method if method in _METHODS else "OTHER"
        self._counts[known, status] += 1
        if known != WEBSOCKET:
            self._seconds.observe(seconds)

    def statistics(self) -> RequestStatistics:
        """Return what was counted until now."""
        return RequestStatistics(
            counts=tuple(
                RequestCount(method=method, status=status, count=count)
                for (method, status), count in sorted(self._counts.items())
            ),
            seconds=self._seconds.statistics(),
            running=self._running,
        )
