"""What has become of sessions and callers of one kind, counted since its registry began."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from engine.effects import Why
from engine.histogram import SECONDS, Histogram, HistogramStatistics


class AdmissionStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Who has a place, who waits, and what has become of the others.

    Attributes:
        sessions: how many are in each phase.
        leased: how many are in use.
        waiting: callers that wait for a place.
        waits: how long starts waited for their place; those that gave up are among `refused`.
        ended: sessions that have left the table, by reason; `not_started` never came to be used.
        refused: callers that got no session, by reason.
    """

    capacity: int
    sessions: Mapping[str, int]
    leased: int
    waiting: int
    waits: HistogramStatistics
    ended: Mapping[str, int]
    refused: Mapping[str, int]


class AdmissionCounts:
    """Counts what the policy decides; decides nothing."""

    def __init__(self) -> None:
        self.waits = Histogram(SECONDS)
        self.ended: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    def has_started(self, waited_s: float) -> None:
        self.waits.observe(max(0.0, waited_s))

    def has_ended(self, reason: str | None) -> None:
        self.ended[reason or "not_started"] += 1

    def has_refused(self, why: Why) -> None:
        self.refused[why.value] += 1
