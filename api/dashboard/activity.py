"""What became of a tenant's sessions, day by day, counted from the catalogue.

A day's figures no longer change once all its sessions have ended. So what has been counted up to
the oldest unfinished session is kept, and only what came after is read again.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from actors.partner.hosted import KIND, UNFINISHED
from engine.store import ListQuery, Store, milliseconds

DAYS: Final = 30
# Of what came since the last look, some 250 ms' worth; a page says where it leaves out older ones.
MOST: Final = 50_000

# Long enough for a month and for the chart.
_WINDOW: Final = timedelta(days=31)
# A session that is being made may become visible behind one with a later time of creation.
_SETTLES: Final = timedelta(minutes=2)
_MOST_TENANTS: Final = 1_000


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many sessions of a day there are, and how many of them ended so."""

    created: int = 0
    completed: int = 0
    failed: int = 0

    def plus(self, other: Counts) -> Counts:
        return Counts(
            created=self.created + other.created,
            completed=self.completed + other.completed,
            failed=self.failed + other.failed,
        )


class Month(msgspec.Struct, frozen=True, kw_only=True):
    """The last 31 days, as far as they had sessions.

    Attributes:
        is_whole: false where there are more sessions than are counted; the oldest are left out.
    """

    days: Mapping[date, Counts]
    is_whole: bool = True


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """All that was created up to and with `through_ms`; it has ended."""

    through_ms: int = 0
    month: Month = Month(days={})


class _Seen(NamedTuple):
    created_ms: int
    status: str


class Activity:
    """Counts, and keeps what does not change, for a bounded number of tenants."""

    def __init__(self, store: Store, *, page: int = 200, most: int = MOST) -> None:
        self._store = store
        self._page = page
        self._most = most
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def month(self, tenant_id: str, now: datetime) -> Month:
        """Return what became of the sessions of the last month."""
        since = milliseconds(now - _WINDOW)
        kept = self._kept.get(tenant_id, _Kept())
        seen, is_whole = await self._seen_after(tenant_id, max(kept.through_ms, since))
        settled_ms = _settled_through(seen, milliseconds(now - _SETTLES))
        done = [one for one in seen if one.created_ms <= settled_ms]
        going_on = [one for one in seen if one.created_ms > settled_ms]
        first = _day(since)
        old = {day: counts for day, counts in kept.month.days.items() if day >= first}
        month = Month(days=_added(old, done), is_whole=is_whole and kept.month.is_whole)
        self._keep(tenant_id, _Kept(through_ms=max(kept.through_ms, settled_ms), month=month))
        return Month(days=_added(month.days, going_on), is_whole=month.is_whole)

    async def _seen_after(self, tenant_id: str, after_ms: int) -> tuple[list[_Seen], bool]:
        """Return the sessions since a time, the newest first, and whether these are all."""
        query = ListQuery(kind=KIND, owner=tenant_id, limit=self._page)
        seen: list[_Seen] = []
        while len(seen) < self._most:
            listing = await self._store.list_rows(query)
            rows = [entry.row for entry in listing.entries if entry.row.created_at_ms > after_ms]
            seen += [_Seen(row.created_at_ms, row.status) for row in rows]
            if listing.next_cursor is None or len(rows) < len(listing.entries):
                return seen, True
            query = msgspec.structs.replace(query, cursor=listing.next_cursor)
        return seen, False

    def _keep(self, tenant_id: str, kept: _Kept) -> None:
        self._kept[tenant_id] = kept
        self._kept.move_to_end(tenant_id)
        if len(self._kept) > _MOST_TENANTS:
            self._kept.popitem(last=False)


def last_days(days: Mapping[date, Counts], now: datetime) -> list[tuple[date, Counts]]:
    """Return the days of the chart, the oldest first, those without sessions too."""
    today = now.astimezone(UTC).date()
    shown = (today - timedelta(days=back) for back in reversed(range(DAYS)))
    return [(day, days.get(day, Counts())) for day in shown]


def this_month(days: Mapping[date, Counts], now: datetime) -> Counts:
    """Return the month's sum."""
    first = now.astimezone(UTC).date().replace(day=1)
    total = Counts()
    for day, counts in days.items():
        total = total.plus(counts) if day >= first else total
    return total


def _settled_through(seen: Sequence[_Seen], latest_ms: int) -> int:
    """Return up to when all have ended, and no later than `latest_ms`."""
    unfinished = (one.created_ms - 1 for one in seen if one.status in UNFINISHED)
    return min(min(unfinished, default=latest_ms), latest_ms)


def _added(days: Mapping[date, Counts], seen: Sequence[_Seen]) -> dict[date, Counts]:
    found = Counter((_day(one.created_ms), one.status) for one in seen)
    added = dict(days)
    for (day, status), count in found.items():
        more = Counts(
            created=count,
            completed=count if status == "completed" else 0,
            failed=count if status == "failed" else 0,
        )
        added[day] = added.get(day, Counts()).plus(more)
    return added


def _day(at_ms: int) -> date:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date()
