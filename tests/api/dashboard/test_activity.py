"""Counting by day: the same as counting everything anew, however it is cut into looks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import trio
from hypothesis import given
from hypothesis import strategies as st

from api.dashboard.activity import Activity, Counts, last_days, this_month
from engine.clock import SeededClock
from engine.store import CatalogueRow, Commit, Event, ListQuery, milliseconds, open_memory

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
ENDS = ("completed", "failed", "expired", "cancelled")


class Sessions:
    """Rows of hosted sessions, as the catalogue has them."""

    def __init__(self, store: Any, epoch: int) -> None:
        self.store = store
        self.epoch = epoch
        self.reads = 0
        self._seqs: dict[str, int] = {}

    async def put(self, name: str, *, at: datetime, status: str, owner: str = "one") -> None:
        seq = self._seqs.get(name, 0)
        ms = milliseconds(at)
        row = CatalogueRow(owner=owner, status=status, created_at_ms=ms, updated_at_ms=ms)
        event = Event(seq=seq + 1, type="session.updated", at_ms=ms, body=b"{}")
        await self.store.commit(
            Commit(
                stream=f"hosted/{name}",
                epoch=self.epoch,
                expected_seq=seq,
                events=(event,),
                row=row,
            )
        )
        self._seqs[name] = seq + 1

    async def list_rows(self, query: ListQuery) -> Any:
        listing = await self.store.list_rows(query)
        self.reads += len(listing.entries)
        return listing


async def counted(work: Any) -> Any:
    async with open_memory(clock=SeededClock()) as store:
        sessions = Sessions(store, await store.begin_epoch())
        return await work(sessions, Activity(sessions, page=10))  # type: ignore[arg-type]


async def test_a_day_has_what_was_created_on_it_and_how_that_ended() -> None:
    async def work(sessions: Sessions, activity: Activity) -> None:
        yesterday = NOW - timedelta(days=1)
        await sessions.put("a", at=yesterday, status="completed")
        await sessions.put("b", at=yesterday, status="failed")
        await sessions.put("c", at=yesterday, status="expired")
        await sessions.put("d", at=NOW, status="pending")
        await sessions.put("e", at=NOW, status="completed", owner="two")
        assert (await activity.month("one", NOW)).days == {
            yesterday.date(): Counts(created=3, completed=1, failed=1),
            NOW.date(): Counts(created=1),
        }

    await counted(work)


async def test_what_has_ended_is_not_read_again_and_what_goes_on_is() -> None:
    async def work(sessions: Sessions, activity: Activity) -> None:
        for number in range(40):
            at = NOW - timedelta(hours=number + 2)
            await sessions.put(f"old-{number}", at=at, status="completed")
        await sessions.put("open", at=NOW - timedelta(hours=1), status="in_progress")
        await activity.month("one", NOW)
        assert sessions.reads == 41
        sessions.reads = 0
        await sessions.put("open", at=NOW - timedelta(hours=1), status="completed")
        days = (await activity.month("one", NOW)).days
        assert sum(one.completed for one in days.values()) == 41
        assert sessions.reads == 10  # one page, and nothing behind it

    await counted(work)


async def test_where_there_are_more_than_are_counted_it_says_so_and_counts_the_newest() -> None:
    async def work(sessions: Sessions, _: Activity) -> None:
        for number in range(30):
            await sessions.put(f"s{number}", at=NOW - timedelta(days=number), status="completed")
        activity = Activity(sessions, page=10, most=20)  # type: ignore[arg-type]
        month = await activity.month("one", NOW)
        assert not month.is_whole
        assert sorted(month.days) == [(NOW - timedelta(days=n)).date() for n in range(19, -1, -1)]
        assert not (await activity.month("one", NOW)).is_whole

    await counted(work)


async def test_what_is_older_than_the_window_is_not_counted() -> None:
    async def work(sessions: Sessions, activity: Activity) -> None:
        await sessions.put("old", at=NOW - timedelta(days=32), status="completed")
        assert (await activity.month("one", NOW)).days == {}

    await counted(work)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 12),
            st.sampled_from(("pending", "in_progress", *ENDS)),
            st.integers(0, 40 * 60),
        ),
        max_size=40,
    )
)
def test_however_looks_and_changes_are_mixed_the_count_is_that_of_everything(
    steps: list[tuple[int, str, int]],
) -> None:
    async def work(sessions: Sessions, activity: Activity) -> None:
        known: dict[str, tuple[datetime, str]] = {}
        now = NOW
        for which, status, passed_min in steps:
            now += timedelta(minutes=passed_min)
            name = f"s{which}"
            at, before = known.get(name, (now, "pending"))
            if before in ENDS:
                continue  # nothing follows an end
            known[name] = (at, status)
            await sessions.put(name, at=at, status=status)
            shown = (await activity.month("one", now)).days
            wanted = sum(at >= now - timedelta(days=30) for at, _ in known.values())
            assert sum(one.created for one in shown.values()) >= wanted
            fresh = (await Activity(sessions).month("one", now)).days  # type: ignore[arg-type]
            recent = last_days(shown, now)
            assert recent == last_days(fresh, now)

    trio.run(counted, work)


def test_the_chart_has_a_month_of_days_also_those_without_sessions() -> None:
    days = last_days({NOW.date(): Counts(created=2)}, NOW)
    assert len(days) == 30
    assert days[-1] == (NOW.date(), Counts(created=2))
    assert days[0][0] == NOW.date() - timedelta(days=29)


def test_a_months_figures_are_of_its_own_days_only() -> None:
    days = {
        NOW.date(): Counts(created=2, completed=1),
        NOW.date().replace(day=1): Counts(created=1, failed=1),
        NOW.date() - timedelta(days=25): Counts(created=9, completed=9),
    }
    assert this_month(days, NOW) == Counts(created=3, completed=1, failed=1)
