"""The registry actor, with sessions that are actors, in virtual time: who gets what, and when."""

from __future__ import annotations

import gc
import weakref

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.engine.callers import Caller, call
from tests.engine.harbor import (
    Berth,
    Close,
    Get,
    Leave,
    List,
    NoBerth,
    Plan,
    Sail,
    open_harbor,
)

# -- starting --------------------------------------------------------------------------------------


async def test_one_start_for_each_key_when_callers_race(autojump_clock: MockClock) -> None:
    async with open_harbor() as harbor, trio.open_nursery() as nursery:
        callers = [Caller(harbor, Get("a")) for _ in range(20)]
        for caller in callers:
            nursery.start_soon(caller.run)
        await trio.sleep(2)
        assert len(harbor.log.starts) == 1
        assert {caller.answer.id for caller in callers} == set(harbor.log.starts)
        assert sum(caller.answer.is_new for caller in callers) == 1
        assert (await harbor.ask(Get("a"))).is_new is False


async def test_the_first_still_there_is_new_when_the_first_is_cancelled(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor() as harbor, trio.open_nursery() as nursery:
        first, second, third = await call(nursery, harbor, Get("a"), Get("a"), Get("a"))
        first.scope.cancel()
        await trio.sleep(2)
        assert first.answer is None
        assert second.answer.is_new
        assert not third.answer.is_new


async def test_a_start_that_nobody_waits_for_is_given_up_with_its_actor(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor() as harbor, trio.open_nursery() as nursery:
        first, second = await call(nursery, harbor, Get("a"), Sail("a", 1))
        first.scope.cancel()
        await wait_all_tasks_blocked()
        assert harbor.boats.statistics().actors == 1
        second.scope.cancel()
        await wait_all_tasks_blocked()
        assert harbor.boats.statistics().actors == 0
        assert await harbor.ask(List()) == {}
        assert harbor.log.gone == harbor.log.starts


async def test_a_caller_that_waits_past_its_own_deadline_gives_up_its_start(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor() as harbor:
        with pytest.raises(Exception, match="did not answer in time"):
            await harbor.ask(Get("a", Plan(start_s=100)), timeout_s=10)
        await wait_all_tasks_blocked()
        assert harbor.boats.statistics().actors == 0


async def test_a_refused_start_answers_all_its_callers_and_is_remembered(
    autojump_clock: MockClock,
) -> None:
    wrong = Plan(outcome="refused", remember_s=60)
    async with open_harbor() as harbor, trio.open_nursery() as nursery:
        callers = await call(nursery, harbor, Get("a", wrong), Get("a", wrong), Sail("a", 1))
        await trio.sleep(2)
        assert [caller.why for caller in callers] == ["refused"] * 3
        with pytest.raises(NoBerth, match="refused"):
            await harbor.ask(Get("a"))
        assert len(harbor.log.starts) == 1
        assert harbor.boats.statistics().actors == 0
        await trio.sleep(60)
        assert (await harbor.ask(Get("a"))).is_new


async def test_each_caller_gets_an_error_of_its_own(autojump_clock: MockClock) -> None:
    wrong = Plan(outcome="refused", remember_s=60)
    async with open_harbor() as harbor, trio.open_nursery() as nursery:
        callers = await call(nursery, harbor, Get("a", wrong), Get("a", wrong))
        await trio.sleep(2)
        callers += await call(nursery, harbor, Get("a"))
        errors = [caller.error for caller in callers]
        assert len({id(error) for error in errors}) == 3
        assert {str(error) for error in errors} == {"no berth: refused (by the plan)"}
        assert {caller.why for caller in callers} == {"refused"}


async def test_a_remembered_refusal_keeps_nothing_of_its_callers(autojump_clock: MockClock) -> None:
    class Secret:
        pass

    async def ask_with_a_secret_on_the_stack() -> weakref.ref[Secret]:
        secret = Secret()
        with pytest.raises(NoBerth):
            await harbor.ask(Get("a", Plan(outcome="refused", remember_s=60)))
        return weakref.ref(secret)

    async with open_harbor() as harbor:
        traces = [await ask_with_a_secret_on_the_stack() for _ in range(3)]
        await trio.sleep(1)  # until then Trio itself holds the last error
        gc.collect()
        assert [trace() for trace in traces] == [None, None, None]


async def test_a_remembered_refusal_keeps_nothing_of_its_session(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor() as harbor:
        with pytest.raises(NoBerth):
            await harbor.ask(Get("a", Plan(outcome="refused", remember_s=60)))
        await trio.sleep(1)
        gc.collect()
        assert [boat() for boat in harbor.log.boats] == [None]
        with pytest.raises(NoBerth, match="refused"):
            await harbor.ask(Get("a"))


# -- capacity --------------------------------------------------------------------------------------


async def test_places_are_bounded_when_all_are_on_a_trip_the_next_is_refused(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor(capacity=2) as harbor, trio.open_nursery() as nursery:
        sailors = await call(nursery, harbor, Sail("a", 50), Sail("b", 50))
        await trio.sleep(2)
        with pytest.raises(NoBerth, match="capacity"):
            await harbor.ask(Get("c"))
        await trio.sleep(60)
        assert [sailor.answer for sailor in sailors] == harbor.log.starts


async def test_victims_leave_last_and_their_ids_say_so(autojump_clock: MockClock) -> None:
    async with open_harbor(capacity=2) as harbor:
        first = await harbor.ask(Get("a"))
        await harbor.ask(Get("b"))
        for attempt in range(10):
            with pytest.raises(NoBerth, match="refused"):
                await harbor.ask(Get(f"wrong {attempt}", Plan(outcome="refused")))
        assert harbor.log.gone == harbor.log.starts[2:]
        await harbor.ask(Get("c"))
        with pytest.raises(NoBerth, match=r"unknown \(evicted\)"):
            await harbor.ask(Sail(first.id, 1, by_id=True))
        assert await harbor.ask(Sail("b", 1))


async def test_twenty_keys_at_once_at_capacity_ten_are_all_answered(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor(capacity=10, wait_s=120) as harbor, trio.open_nursery() as nursery:
        keys = [f"key-{number}" for number in range(20)]
        callers = await call(nursery, harbor, *map(Get, keys))
        await trio.sleep(60)
        assert [caller.answer for caller in callers] == [
            Berth(boat_id, is_new=True) for boat_id in harbor.log.starts
        ]
        assert list(await harbor.ask(List())) == harbor.log.starts[10:]
        assert harbor.boats.statistics().actors == 10


async def test_waiting_for_capacity_ends_by_the_registrys_own_clock(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor(capacity=1, wait_s=10) as harbor, trio.open_nursery() as nursery:
        await harbor.ask(Get("a"))
        (sailor,) = await call(nursery, harbor, Sail("a", 100))
        queued, also = await call(nursery, harbor, Get("b"), Get("b"))
        asked_at = trio.current_time()
        await trio.sleep(20)
        assert queued.why == also.why == "capacity"
        assert queued.ended_at == pytest.approx(asked_at + 10, abs=1 / 32)
        assert sailor.ended_at is None
        assert harbor.log.registry._seekers == {}


async def test_a_caller_in_the_queue_gets_in_when_a_trip_ends(autojump_clock: MockClock) -> None:
    async with open_harbor(capacity=1, wait_s=100) as harbor, trio.open_nursery() as nursery:
        _, queued = await call(nursery, harbor, Sail("a", 50), Get("b"))
        await trio.sleep(40)
        assert len(harbor.log.starts) == 1
        await trio.sleep(20)
        assert queued.answer == Berth(harbor.log.starts[1], is_new=True)
        assert harbor.log.gone == harbor.log.starts[:1]


# -- lists, closing, idleness ----------------------------------------------------------------------


async def test_lists_never_wait_for_a_start(autojump_clock: MockClock) -> None:
    async with open_harbor(capacity=10) as harbor, trio.open_nursery() as nursery:
        slow = Plan(start_s=100)
        await call(nursery, harbor, *(Get(f"key-{number}", slow) for number in range(10)))
        before = trio.current_time()
        listed = await harbor.ask(List())
        assert trio.current_time() == before
        assert listed == dict.fromkeys(harbor.log.starts, False)


async def test_closing_is_at_once_in_the_middle_of_a_start(autojump_clock: MockClock) -> None:
    async with open_harbor() as harbor, trio.open_nursery() as nursery:
        (caller,) = await call(nursery, harbor, Get("a", Plan(start_s=100)))
        before = trio.current_time()
        await harbor.ask(Close(harbor.log.starts[0]))
        await wait_all_tasks_blocked()
        assert trio.current_time() == before
        assert caller.why == "closed"
        assert harbor.boats.statistics().actors == 0


async def test_closing_is_at_once_in_the_middle_of_a_trip(autojump_clock: MockClock) -> None:
    async with open_harbor() as harbor, trio.open_nursery() as nursery:
        (sailor,) = await call(nursery, harbor, Sail("a", 100))
        await trio.sleep(2)
        before = trio.current_time()
        await harbor.ask(Close(harbor.log.starts[0]))
        await wait_all_tasks_blocked()
        assert trio.current_time() == before
        assert sailor.why == "cut short"
        assert harbor.log.tokens == []
        assert await harbor.ask(List()) == {}


async def test_idle_sessions_are_put_away_and_trips_keep_them(autojump_clock: MockClock) -> None:
    async with open_harbor() as harbor:
        await harbor.ask(Get("a"))
        await trio.sleep(590)
        boat = await harbor.ask(Sail("a", 100))
        await trio.sleep(590)
        assert await harbor.ask(List()) == {boat: False}
        await trio.sleep(20)
        assert await harbor.ask(List()) == {}
        assert harbor.boats.statistics().actors == 0
        with pytest.raises(NoBerth, match="idle_timeout"):
            await harbor.ask(Sail(boat, 1, by_id=True))


async def test_a_session_that_ends_by_itself_leaves_its_reason(autojump_clock: MockClock) -> None:
    async with open_harbor() as harbor:
        boat = (await harbor.ask(Get("a"))).id
        harbor.boat(boat).tell_nowait(Leave())
        await wait_all_tasks_blocked()
        assert harbor.log.gone == [boat]
        with pytest.raises(NoBerth, match=r"unknown \(left\)"):
            await harbor.ask(Sail(boat, 1, by_id=True))
