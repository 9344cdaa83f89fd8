"""Timers that survive: what is due is woken, also what was due before this start."""

from __future__ import annotations

from datetime import timedelta

import pytest
import trio
import trio.testing

from engine import SeededClock
from engine.errors import MooringError
from engine.store import CatalogueRow, Commit, Event, MemoryStore, milliseconds, open_memory
from engine.waker import open_waker


async def put(store: MemoryStore, clock: SeededClock, stream: str, due_in_s: float) -> None:
    due = milliseconds(clock.now() + timedelta(seconds=due_in_s))
    row = CatalogueRow(owner="", status="open", created_at_ms=0, updated_at_ms=0, due_at_ms=due)
    event = Event(seq=1, type="set", at_ms=0, body=b"{}")
    await store.commit(Commit(stream=stream, epoch=1, expected_seq=0, events=[event], row=row))


class Sleepers:
    """Notes who was woken and when."""

    def __init__(self, *, fails: int = 0) -> None:
        self.woken: list[tuple[float, str]] = []
        self._fails = fails

    async def wake(self, id_: str) -> None:
        self.woken.append((trio.current_time(), id_))
        if len(self.woken) <= self._fails:
            raise MooringError("not now")


async def test_what_is_due_is_woken_within_a_second_of_its_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    clock, sleepers = SeededClock(), Sleepers()
    async with open_memory(clock=clock) as store, open_waker(store, clock) as waker:
        for number in range(250):
            await put(store, clock, f"timer/{number}", number / 10)
        began = trio.current_time()
        with waker.waking("timer", sleepers.wake):
            await trio.sleep(27)
        assert sorted(int(id_) for _, id_ in sleepers.woken) == list(range(250))
        assert all(0 <= at - began - int(id_) / 10 <= 1.0 for at, id_ in sleepers.woken)


async def test_what_was_due_long_ago_is_woken_as_soon_as_its_kind_is_there(
    autojump_clock: trio.testing.MockClock,
) -> None:
    clock, sleepers = SeededClock(), Sleepers()
    async with open_memory(clock=clock) as store, open_waker(store, clock) as waker:
        await put(store, clock, "timer/late", -1000)
        await put(store, clock, "other/late", -1000)
        await trio.sleep(100)
        with waker.waking("timer", sleepers.wake):
            await trio.testing.wait_all_tasks_blocked()
            assert [id_ for _, id_ in sleepers.woken] == ["late"]


async def test_one_that_could_not_be_woken_is_woken_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    clock, sleepers = SeededClock(), Sleepers(fails=2)
    async with open_memory(clock=clock) as store, open_waker(store, clock) as waker:
        await put(store, clock, "timer/stubborn", 0)
        with waker.waking("timer", sleepers.wake):
            await trio.sleep(100)
    assert [round(at) for at, _ in sleepers.woken] == [0, 30, 60, 90]


@pytest.mark.parametrize("due_in_s", [5.0, 0.0])
async def test_nothing_is_woken_of_a_kind_that_has_left(
    autojump_clock: trio.testing.MockClock, due_in_s: float
) -> None:
    clock, sleepers = SeededClock(), Sleepers()
    async with open_memory(clock=clock) as store, open_waker(store, clock) as waker:
        with waker.waking("timer", sleepers.wake):
            pass
        await put(store, clock, "timer/one", due_in_s)
        await trio.sleep(100)
        assert sleepers.woken == []
