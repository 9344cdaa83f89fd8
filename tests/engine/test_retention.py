"""When retention sweeps, in virtual time."""

from __future__ import annotations

from datetime import timedelta

import trio
from trio.testing import MockClock

from engine.audit import AuditLog
from engine.retention import Ended, Eraser, Retention
from engine.store import Faults, ListQuery, MemoryDisk, Store, open_memory
from tests.engine.store.parts import HandClock, put

DAY_MS = 86_400_000
NOTES = (Ended(kind="note", statuses=frozenset({"closed"})),)


def retention(store: Store, clock: HandClock) -> Retention:
    eraser = Eraser(store, epoch=1, audit=AuditLog(store, epoch=1, clock=clock))
    return Retention(store, eraser, clock, keep=timedelta(days=1), rules=NOTES)


async def left(store: Store) -> int:
    return len((await store.list_rows(ListQuery(kind="note", limit=100))).entries)


async def test_it_sweeps_at_once_and_then_each_hour(autojump_clock: MockClock) -> None:
    clock = HandClock()
    clock.now_ms = 2 * DAY_MS
    async with open_memory(clock=clock) as store, trio.open_nursery() as nursery:
        await put(store, "note/1", status="closed")
        await put(store, "note/2", status="closed", created=2 * DAY_MS)
        nursery.start_soon(retention(store, clock).run)
        await trio.sleep(60)
        assert await left(store) == 1
        clock.now_ms = 4 * DAY_MS
        await trio.sleep(3000)
        assert await left(store) == 1
        await trio.sleep(600)
        assert await left(store) == 0
        nursery.cancel_scope.cancel()


async def test_a_store_that_fails_only_puts_it_off(autojump_clock: MockClock) -> None:
    clock, disk = HandClock(), MemoryDisk()
    clock.now_ms = 2 * DAY_MS
    async with open_memory(disk, clock=clock) as store:
        await put(store, "note/1", status="closed")
    faults = Faults(seed=1, failure_rate=1.0)
    async with open_memory(disk, clock=clock, faults=faults) as store:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(retention(store, clock).run)
            await trio.sleep(7200)
            nursery.cancel_scope.cancel()
        assert await left(store) == 1  # nothing is erased that the audit log does not know of
    async with open_memory(disk, clock=clock) as store, trio.open_nursery() as nursery:
        nursery.start_soon(retention(store, clock).run)
        await trio.sleep(60)
        assert await left(store) == 0
        nursery.cancel_scope.cancel()


async def test_it_makes_a_pause_after_each_so_that_others_come_to_write(
    autojump_clock: MockClock,
) -> None:
    clock = HandClock()
    clock.now_ms = 2 * DAY_MS
    async with open_memory(clock=clock) as store:
        for number in range(50):
            await put(store, f"note/{number}", status="closed")
        began = trio.current_time()
        assert await retention(store, clock).sweep() == {"note": 50}
        assert trio.current_time() - began >= 50 * 0.02
