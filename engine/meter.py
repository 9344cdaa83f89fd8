"""How long a family's work takes: a histogram for each kind of work and how it ended.

One is shared by all sessions of a family and lives as long as it does. Which names and outcomes
there are is the family's to say: few, and never what a client has sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import trio

from engine.histogram import LONG_SECONDS, Histogram, HistogramStatistics


class WorkStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How long work of one kind took that ended one way."""

    work: str
    outcome: str
    seconds: HistogramStatistics


class Meter:
    """Observes work as it ends."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Histogram] = {}
        self._running: Counter[str] = Counter()

    def ended(self, work: str, outcome: str, seconds: float) -> None:
        """Count one piece of work."""
        histogram = self._found.get((work, outcome))
        if histogram is None:
            histogram = self._found[work, outcome] = Histogram(LONG_SECONDS)
        histogram.observe(seconds)

    @contextmanager
    def measuring(self, work: str) -> Iterator[None]:
        """Count the block as one piece of work, however it ends."""
        began, outcome = trio.current_time(), "cancelled"
        self._running[work] += 1
        try:
            yield
            outcome = "succeeded"
        except Exception:
            outcome = "failed"
            raise
        finally:
            self._running[work] -= 1
            self.ended(work, outcome, trio.current_time() - began)

    def running(self, work: str) -> int:
        """Return how many blocks are being measured now."""
        return self._running[work]

    def statistics(self) -> tuple[WorkStatistics, ...]:
        """Return what was observed until now."""
        return tuple(
            WorkStatistics(work=work, outcome=outcome, seconds=histogram.statistics())
            for (work, outcome), histogram in sorted(self._found.items())
        )


def outcome_of(error: Exception | None, *, cancelled: bool = False) -> str:
    """Return how work ended, in one word."""
    if cancelled:
        return "cancelled"
    return "succeeded" if error is None else "failed"
