"""What became of a tenant's sessions, day by day, counted from the catalogue.

A day's figures no longer change once all its sessions have ended. So what has been counted up to
the oldest unfinished session is kept, and only what came after is read again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

import msgspec

from actors.partner.hosted import KIND, UNFINISHED
from engine.store import CatalogueRow, ListQuery, Store, milliseconds

DAYS: Final = 30

# Long enough for a month and for the chart.
_WINDOW: Final = timedelta(days=31)
# A session that is being made may become visible behind one with a later time of creation.
_SETTLES: Final = timedelta(minutes=2)
# Of what came since the last look; older ones beyond it are left out rather than waited for.
_MOST_ROWS: Final = 20_000
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


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """All that was created up to and with `through_ms`; it has ended."""

    through_ms: int = 0
    days: Mapping[date, Counts] = {}


class Activity:
    """Counts, and keeps what does not change, for a bounded number of tenants."""

    def __init__(self, store: Store, *, page: int = 200) -> None:
        self._store = store
        self._page = page
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def days(self, tenant_id: str, now: datetime) -> Mapping[date, Counts]:
        """Return the days of the last month that had sessions."""
        since = milliseconds(now - _WINDOW)
        kept = self._kept.get(tenant_id, _Kept())
        rows = await self._rows_after(tenant_id, max(kept.through_ms, since))
        settled_ms = min(
            [row.created_at_ms - 1 for row in rows if row.status in UNFINISHED],
            default=milliseconds(now - _SETTLES),
        )
        settled_ms = min(settled_ms, milliseconds(now - _SETTLES))
        done = [row for row in rows if row.created_at_ms <= settled_ms]
        first = _day(since)
        old = {day: counts for day, counts in kept.days.items() if day >= first}
        days = _added(old, done)
        self._keep(tenant_id, _Kept(through_ms=max(kept.through_ms, settled_ms), days=days))
        return _added(days, [row for row in rows if row.created_at_ms > settled_ms])

    async def _rows_after(self, tenant_id: str, after_ms: int) -> list[CatalogueRow]:
        query = ListQuery(kind=KIND, owner=tenant_id, limit=self._page)
        rows: list[CatalogueRow] = []
        while len(rows) < _MOST_ROWS:
            listing = await self._store.list_rows(query)
            page = [entry.row for entry in listing.entries if entry.row.created_at_ms > after_ms]
            rows += page
            if listing.next_cursor is None or len(page) < len(listing.entries):
                break
            query = msgspec.structs.replace(query, cursor=listing.next_cursor)
        return rows

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


def _added(days: Mapping[date, Counts], rows: list[CatalogueRow]) -> dict[date, Counts]:
    added = dict(days)
    for row in rows:
        day = _day(row.created_at_ms)
        one = Counts(created=1, completed=row.status == "completed", failed=row.status == "failed")
        added[day] = added.get(day, Counts()).plus(one)
    return added


def _day(at_ms: int) -> date:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date()
