"""How well the event loop keeps up: everything here lives on one, and waits when it is held up.

Law of this file: a look costs one wake-up; four a second are made.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec
import trio

from engine.histogram import SECONDS, Histogram, HistogramStatistics

_EVERY_S: Final = 0.25
_RECENT: Final = 120  # looks, that is half a minute


class VitalsStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How late the loop woke a task that was due.

    Attributes:
        recent_s: the longest delay of the last half minute.
    """

    loop_delay: HistogramStatistics
    recent_s: float


class Vitals:
    """Looks, while `run` does."""

    def __init__(self) -> None:
        self._delays = Histogram(SECONDS)
        self._recent: deque[float] = deque(maxlen=_RECENT)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            due = trio.current_time() + _EVERY_S
            await trio.sleep_until(due)
            self.note(trio.current_time() - due)

    def note(self, delay_s: float) -> None:
        """Take down one delay."""
        self._delays.observe(delay_s)
        self._recent.append(delay_s)

    def statistics(self) -> VitalsStatistics:
        """Return what was found until now."""
        return VitalsStatistics(
            loop_delay=self._delays.statistics(), recent_s=max(self._recent, default=0.0)
        )
