"""The table of deadlines by itself."""

from __future__ import annotations

import random  # noqa: TID251 - seeded
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.deadlines import Bucket, Deadlines

TICK_S = 1 / 64


class Entry:
    """Notes when it expired."""

    def __init__(self, deadlines: Deadlines, at: float, log: list[Entry]) -> None:
        self.at = at
        self.log = log
        self.expired_at: float | None = None
        self.bucket: Bucket = deadlines.after(at - trio.current_time())
        self.bucket[self] = None
        self.rival: Entry | None = None

    def expire(self) -> None:
        self.expired_at = trio.current_time()
        self.log.append(self)
        if self.rival is not None:
            self.rival.withdraw()

    def withdraw(self) -> None:
        self.bucket.pop(self, None)


@pytest.fixture
async def deadlines() -> AsyncIterator[Deadlines]:
    table = Deadlines()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(table.run)
        await wait_all_tasks_blocked()
        yield table
        nursery.cancel_scope.cancel()


async def test_deadlines_are_never_early_whatever_the_order_they_come_in(
    deadlines: Deadlines, autojump_clock: MockClock
) -> None:
    rng = random.Random(7)
    log: list[Entry] = []
    entries = [Entry(deadlines, rng.uniform(0, 30), log) for _ in range(500)]
    await trio.sleep(10)
    entries += [Entry(deadlines, rng.uniform(10, 40), log) for _ in range(500)]
    await trio.sleep(60)
    assert len(log) == 1000
    for entry in entries:
        assert entry.expired_at is not None
        assert 0 <= entry.expired_at - entry.at <= TICK_S
    assert len(deadlines) == 0


async def test_entries_of_one_tick_expire_in_the_order_in_which_they_came(
    deadlines: Deadlines, autojump_clock: MockClock
) -> None:
    log: list[Entry] = []
    entries = [Entry(deadlines, 1.0, log) for _ in range(100)]
    await trio.sleep(2)
    assert log == entries


async def test_an_entry_that_was_taken_out_does_not_expire(
    deadlines: Deadlines, autojump_clock: MockClock
) -> None:
    log: list[Entry] = []
    stays, goes = Entry(deadlines, 1.0, log), Entry(deadlines, 1.0, log)
    goes.withdraw()
    assert len(deadlines) == 1
    await trio.sleep(2)
    assert log == [stays]


async def test_an_entry_may_take_another_out_as_it_expires(
    deadlines: Deadlines, autojump_clock: MockClock
) -> None:
    log: list[Entry] = []
    first, second = Entry(deadlines, 1.0, log), Entry(deadlines, 1.0, log)
    first.rival, second.rival = second, first
    await trio.sleep(2)
    assert log == [first]


async def test_a_nearer_deadline_wakes_the_ticker_earlier(
    deadlines: Deadlines, autojump_clock: MockClock
) -> None:
    log: list[Entry] = []
    far = Entry(deadlines, 100.0, log)
    await trio.sleep(1)
    near = Entry(deadlines, 2.0, log)
    await trio.sleep(2)
    assert log == [near]
    far.withdraw()


async def test_a_deadline_in_the_past_expires_at_the_next_tick(
    deadlines: Deadlines, autojump_clock: MockClock
) -> None:
    log: list[Entry] = []
    await trio.sleep(10)
    late = Entry(deadlines, 3.0, log)
    await wait_all_tasks_blocked()
    assert log == [late]


async def test_buckets_that_have_become_empty_do_not_stay(
    deadlines: Deadlines, autojump_clock: MockClock
) -> None:
    log: list[Entry] = []
    keeper = Entry(deadlines, 1000.0, log)
    for number in range(10_000):
        Entry(deadlines, number * TICK_S, log).withdraw()
    assert len(deadlines._buckets) <= 2 * 64
    assert len(deadlines) == 1
    keeper.withdraw()


async def test_a_bucket_that_was_let_go_can_be_opened_again(
    deadlines: Deadlines, autojump_clock: MockClock
) -> None:
    log: list[Entry] = []
    for number in range(200):
        Entry(deadlines, 5 + number * TICK_S, log).withdraw()
    again = [Entry(deadlines, 5 + number * TICK_S, log) for number in range(200)]
    await trio.sleep(10)
    assert log == again


async def test_the_ticker_sleeps_through_ticks_that_hold_nothing(
    deadlines: Deadlines, autojump_clock: MockClock
) -> None:
    for number in range(64):
        Entry(deadlines, 1 + number * TICK_S, []).withdraw()
    keeper = Entry(deadlines, 50.0, [])
    await trio.sleep(2)  # the first tick has woken it, and shown it the next that holds any
    assert deadlines._scope.deadline == 50.0 + TICK_S
    keeper.withdraw()


@pytest.mark.parametrize("at", [float("inf"), float("-inf"), float("nan")])
async def test_a_time_that_never_comes_is_refused(at: float) -> None:
    with pytest.raises((OverflowError, ValueError)):
        Deadlines().after(at)
