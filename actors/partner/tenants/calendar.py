"""Days and months in UTC, as quotas count them.

Laws of this file: pure. A day is its number since 1970; a month is written `2026-01`.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final

DAY_MS: Final = 86_400_000
_EPOCH: Final = date(1970, 1, 1)


def day_of(at_ms: int) -> int:
    """Return the number of the day that a time lies in."""
    return at_ms // DAY_MS


def date_of(day: int) -> str:
    """Return a day as `2026-01-31`."""
    return (_EPOCH + timedelta(days=day)).isoformat()


class Month:
    """The month that a time lies in.

    Attributes:
        name: as `2026-01`.
        days: the numbers of its days.
        ends_at: the first moment of the next one.
    """

    __slots__ = ("days", "ends_at", "name")

    def __init__(self, at_ms: int) -> None:
        first = (_EPOCH + timedelta(days=day_of(at_ms))).replace(day=1)
        following = (first + timedelta(days=31)).replace(day=1)
        self.name = first.isoformat()[:7]
        self.days = range((first - _EPOCH).days, (following - _EPOCH).days)
        self.ends_at = datetime(following.year, following.month, 1, tzinfo=UTC)

    def __contains__(self, at_ms: int) -> bool:
        return day_of(at_ms) in self.days
