"""Letting go of what has ended, on every store there is."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from engine.audit import AuditLog
from engine.errors import StoreUnavailable
from engine.ownership import open_ownership
from engine.retention import BEGUN, DONE, Ended, Eraser, Retention, owned_by
from engine.store import Claim, Commit, ListQuery, Store
from tests.engine.store.parts import Backend, HandClock, commit, events, put, row

DAY_MS = 86_400_000
RULES = (
    Ended(kind="note", statuses=frozenset({"closed", "lost"})),
    Ended(kind="hosted", statuses=frozenset({"done"}), counted_by_month=True),
)


async def ended(store: Store, stream: str, *, created: int, ended_at: int, status: str) -> None:
    """A session that was created, and ended later."""
    first = row(created=created, status=status, updated_at_ms=ended_at)
    await store.commit(commit(stream, row=first, claims=[Claim(alias=f"of {stream}")], count=3))


def retention(store: Store, clock: HandClock, ends: list[tuple[str, str]], days: int = 10) -> Any:
    audit = AuditLog(store, epoch=1, clock=clock)
    eraser = Eraser(store, epoch=1, audit=audit, end=lambda *end: ends.append(end), pause_s=0.0)
    return Retention(store, eraser, clock, keep=timedelta(days=days), rules=RULES)


async def streams(store: Store, kind: str) -> set[str]:
    listing = await store.list_rows(ListQuery(kind=kind, limit=1000))
    return {entry.stream for entry in listing.entries}


async def audited(store: Store) -> list[dict[str, Any]]:
    found = []
    for stream in sorted(await streams(store, "audit")):
        page = await store.read(stream)
        found += [msgspec.json.decode(event.body) for event in page.events]
    return found


async def test_what_ended_long_enough_ago_goes_and_all_else_stays(store: Store) -> None:
    clock = HandClock()
    clock.now_ms = 100 * DAY_MS
    await ended(store, "note/long-ago", created=0, ended_at=80 * DAY_MS, status="closed")
    await ended(store, "note/lost", created=0, ended_at=89 * DAY_MS, status="lost")
    await ended(store, "note/exactly", created=0, ended_at=90 * DAY_MS, status="closed")
    await ended(store, "note/lately", created=0, ended_at=90 * DAY_MS + 1, status="closed")
    await ended(store, "note/active", created=0, ended_at=1, status="active")
    await ended(store, "tenant/old", created=0, ended_at=1, status="closed")
    ends: list[tuple[str, str]] = []
    assert await retention(store, clock, ends).sweep() == {"note": 3}
    assert await streams(store, "note") == {"note/lately", "note/active"}
    assert await streams(store, "tenant") == {"tenant/old"}
    assert await store.resolve("of note/long-ago") is None
    assert await store.newest("note/long-ago") == 0
    assert sorted(ends) == [
        ("note/exactly", "erased"),
        ("note/long-ago", "erased"),
        ("note/lost", "erased"),
    ]


async def test_what_is_counted_by_month_stays_until_its_month_is_over(store: Store) -> None:
    clock = HandClock()
    clock.now_ms = 45 * DAY_MS  # the 15th of February 1970
    for name, day in (("january", 20), ("first", 31), ("february", 32)):
        at = day * DAY_MS
        await ended(store, f"hosted/{name}", created=at, ended_at=at + 1, status="done")
    keeper = retention(store, clock, [])
    assert await keeper.sweep() == {"hosted": 1}
    assert await streams(store, "hosted") == {"hosted/first", "hosted/february"}
    clock.now_ms = 60 * DAY_MS  # March
    assert await keeper.sweep() == {"hosted": 2}


async def test_an_erasure_is_on_the_audit_log_before_and_after_with_counts_and_no_names(
    store: Store,
) -> None:
    clock = HandClock()
    clock.now_ms = 100 * DAY_MS
    await ended(store, "note/ann-smith", created=0, ended_at=1, status="closed")
    await ended(store, "note/bob", created=0, ended_at=1, status="closed")
    await retention(store, clock, []).sweep()
    begun, done = await audited(store)
    assert (begun["type"], done["type"]) == (BEGUN, DONE)
    assert begun["data"] == {"by": "retention", "days": 10}
    assert done["data"] == {"by": "retention", "days": 10, "erased": {"note": 2}}
    assert begun["at"] == "1970-04-11T00:00:00.000Z"
    assert "ann" not in str((begun, done))


async def test_a_sweep_that_finds_nothing_writes_nothing(store: Store) -> None:
    clock = HandClock()
    clock.now_ms = 100 * DAY_MS
    assert await retention(store, clock, []).sweep() == {}
    assert await audited(store) == []


async def test_more_than_a_page_goes_in_one_sweep(store: Store) -> None:
    clock = HandClock()
    clock.now_ms = 100 * DAY_MS
    for number in range(230):
        status = "closed" if number % 3 else "active"
        await put(store, f"note/{number:03}", status=status, created=number)
    assert await retention(store, clock, []).sweep() == {"note": 153}
    assert len(await streams(store, "note")) == 77


async def test_what_belongs_to_a_newer_epoch_is_left_to_its_owner(store: Store) -> None:
    clock = HandClock()
    clock.now_ms = 100 * DAY_MS
    await put(store, "note/mine", status="closed")
    newer_epoch = await store.begin_epoch()
    newer = Commit(
        stream="note/theirs",
        epoch=newer_epoch,
        expected_seq=0,
        events=events(1),
        row=row(status="closed"),
    )
    await store.commit(newer)
    assert await retention(store, clock, []).sweep() == {"note": 1}
    assert await streams(store, "note") == {"note/theirs"}


async def test_what_was_acted_on_since_the_start_of_who_erases_goes_unless_another_node_has_it(
    store: Store,
) -> None:
    clock = HandClock()
    clock.now_ms = 100 * DAY_MS
    audit = AuditLog(store, epoch=await store.begin_epoch(), clock=clock)
    async with open_ownership(store, node="mine") as ownership:
        await acted_on(store, "note/left", node="mine", stays=False)
        await acted_on(store, "note/in-memory", node="mine", stays=True)
        await acted_on(store, "note/of-another", node="another", stays=not store.exclusive)
        eraser = Eraser(store, epoch=1, audit=audit, ownership=ownership, pause_s=0.0)
        keeper = Retention(store, eraser, clock, keep=timedelta(days=10), rules=RULES)
        assert await keeper.sweep() == {"note": 3 if store.exclusive else 2}
    assert await streams(store, "note") == (set() if store.exclusive else {"note/of-another"})


async def acted_on(store: Store, stream: str, *, node: str, stays: bool) -> None:
    """Let a node's actor end a session, and then leave memory or stay."""
    epoch = await store.own(stream, node=node, lease_s=60)
    await store.commit(commit(stream, epoch=epoch, row=row(status="closed")))
    if not stays:
        await store.disown({stream: epoch}, node=node)


async def test_a_sweep_that_is_cut_short_is_finished_by_the_next_start(backend: Backend) -> None:
    clock = HandClock()
    clock.now_ms = 100 * DAY_MS
    async with backend.open() as store:
        epoch = await store.begin_epoch()
        for number in range(5):
            await put(store, f"note/{number}", status="closed")

        async def cut() -> AsyncGenerator[str, None]:
            yield "note/0"
            raise StoreUnavailable("a fault was injected")

        eraser = Eraser(
            store, epoch=epoch, audit=AuditLog(store, epoch=epoch, clock=clock), pause_s=0
        )
        with pytest.raises(StoreUnavailable):
            async with aclosing(cut()) as found:
                await eraser.erase(found, {"by": "retention"})
    async with backend.open() as store:
        epoch = await store.begin_epoch()
        audit = AuditLog(store, epoch=epoch, clock=clock)
        eraser = Eraser(store, epoch=epoch, audit=audit, pause_s=0)
        again = Retention(store, eraser, clock, keep=timedelta(days=1), rules=RULES)
        assert await again.sweep() == {"note": 4}
        assert await streams(store, "note") == set()
        assert [event["type"] for event in await audited(store)] == [BEGUN, BEGUN, DONE]


async def test_what_has_something_left_to_do_stays(store: Store) -> None:
    clock = HandClock()
    clock.now_ms = 100 * DAY_MS
    await store.commit(commit("note/1", row=row(status="closed", due_at_ms=5)))
    await store.commit(commit("note/2", row=row(status="closed")))
    assert await retention(store, clock, []).sweep() == {"note": 1}
    assert await streams(store, "note") == {"note/1"}


async def test_everything_that_is_an_owners_is_found_kind_by_kind(store: Store) -> None:
    for stream, owner in (
        ("tenant/t1", "t1"),
        ("hosted/a", "t1"),
        ("hosted/b", "t2"),
        ("delivery/c", "t1"),
        ("note/d", "t"),
    ):
        await put(store, stream, owner=owner)
    async with aclosing(owned_by(store, "t1", kinds=("hosted", "delivery", "tenant"))) as found:
        assert [stream async for stream in found] == ["hosted/a", "delivery/c", "tenant/t1"]
    async with aclosing(owned_by(store, "t1", kinds=("hosted",))) as found:
        assert [stream async for stream in found] == ["hosted/a"]
