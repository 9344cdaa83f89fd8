"""How leases, sessions and registries end, and that nothing of them is left."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from engine import ActorCrashed, ActorStopped
from engine.registry import LeaseRenewed
from tests.engine.callers import Caller, call
from tests.engine.harbor import (
    Break,
    Close,
    Get,
    Leave,
    List,
    NoBerth,
    OpenHarbor,
    Plan,
    Sail,
    Sink,
    open_harbor,
)

# -- leases ----------------------------------------------------------------------------------------


async def test_leases_are_counted_while_trips_last(autojump_clock: MockClock) -> None:
    async with open_harbor() as harbor, trio.open_nursery() as nursery:
        boat = (await harbor.ask(Get("a"))).id
        await call(nursery, harbor, Sail("a", 10), Sail(boat, 20, by_id=True))
        assert len(harbor.log.tokens) == 2
        await trio.sleep(15)
        assert await harbor.ask(List()) == {boat: True}
        await trio.sleep(10)
        assert await harbor.ask(List()) == {boat: False}


async def test_leases_never_leak_when_the_caller_leaves_in_the_step_of_the_grant(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor() as harbor, trio.open_nursery() as nursery:
        (caller,) = await call(nursery, harbor, Sail("a", 50))
        harbor.log.on_grant = caller.scope.cancel
        await trio.sleep(2)
        assert caller.answer is None
        assert harbor.log.tokens == []
        assert list((await harbor.ask(List())).values()) == [False]


async def test_leases_never_leak_when_the_caller_leaves_between_grant_and_handling(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor() as harbor, trio.open_nursery() as nursery:
        granted = []
        (caller,) = await call(nursery, harbor, Sail("a", 50))
        harbor.log.on_grant = lambda: granted.append(caller)
        harbor.log.on_bell = caller.scope.cancel
        await trio.sleep(2)
        assert granted == [caller]
        assert caller.answer is None
        assert harbor.log.tokens == []
        assert list((await harbor.ask(List())).values()) == [False]


async def test_leases_stay_when_the_caller_leaves_during_the_trip(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor() as harbor, trio.open_nursery() as nursery:
        (caller,) = await call(nursery, harbor, Sail("a", 50))
        await trio.sleep(10)
        caller.scope.cancel()
        await trio.sleep(30)
        assert len(harbor.log.tokens) == 1
        await trio.sleep(20)
        assert harbor.log.tokens == []


async def test_leases_lapse_and_the_trip_is_cut_short(autojump_clock: MockClock) -> None:
    async with open_harbor() as harbor, trio.open_nursery() as nursery:
        (caller,) = await call(nursery, harbor, Sail("a", 5000))
        await trio.sleep(299)
        assert len(harbor.log.tokens) == 1
        await trio.sleep(5)
        assert caller.why == "cut short"
        assert harbor.log.tokens == []


async def test_leases_lapse_a_whole_life_after_their_work_has_begun(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor() as harbor, trio.open_nursery() as nursery:
        (caller,) = await call(nursery, harbor, Sail("a", 400))
        await trio.sleep(200)
        (token,) = harbor.log.tokens
        harbor.ref.signal(LeaseRenewed(token=token))
        await trio.sleep(210)
        assert caller.answer == harbor.log.starts[0]
        assert harbor.log.tokens == []


# -- crashes, stops --------------------------------------------------------------------------------


async def test_a_crash_frees_everything_during_a_start(autojump_clock: MockClock) -> None:
    async with open_harbor(capacity=1) as harbor, trio.open_nursery() as nursery:
        sinking = Plan(outcome="crash")
        callers = await call(nursery, harbor, Get("a", sinking), Sail("a", 1))
        await trio.sleep(2)
        assert [caller.why for caller in callers] == ["sunk", "sunk"]
        assert harbor.log.gone == harbor.log.starts
        assert (await harbor.ask(Get("a"))).is_new


async def test_a_crash_frees_everything_during_a_trip(autojump_clock: MockClock) -> None:
    async with open_harbor(capacity=1, wait_s=100) as harbor, trio.open_nursery() as nursery:
        sailor, queued = await call(nursery, harbor, Sail("a", 50), Get("b"))
        await trio.sleep(2)
        boat = harbor.log.starts[0]
        assert len(harbor.log.tokens) == 1
        harbor.boat(boat).tell_nowait(Sink())
        await trio.sleep(2)
        assert isinstance(sailor.error, ActorCrashed)
        assert harbor.log.tokens == []
        assert queued.answer.is_new
        with pytest.raises(NoBerth, match="crashed"):
            await harbor.ask(Sail(boat, 1, by_id=True))


async def test_a_registry_takes_its_sessions_with_it(autojump_clock: MockClock) -> None:
    async with open_harbor() as harbor, trio.open_nursery() as nursery:
        (sailor,) = await call(nursery, harbor, Sail("a", 50))
        await trio.sleep(2)
        (waiting,) = await call(nursery, harbor, Get("b", Plan(start_s=50)))
        harbor.ref.tell_nowait(Break())
        await trio.sleep(1)
        assert isinstance(waiting.error, ActorCrashed)
        assert sailor.why == "cut short"
        assert harbor.boats.statistics().actors == 0
        assert await harbor.ask(List()) == {}


async def test_late_news_of_a_former_registrys_sessions_mean_nothing_to_the_next(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor(capacity=1) as harbor, trio.open_nursery() as nursery:
        await call(nursery, harbor, Sail("a", 50, plan=Plan(clean_up_s=5)))
        await trio.sleep(2)
        harbor.ref.tell_nowait(Break())
        await trio.sleep(1)  # the old boat is still being put away
        await call(nursery, harbor, Sail("b", 50))
        await trio.sleep(10)
        assert len(harbor.log.tokens) == 1
        with pytest.raises(NoBerth, match="capacity"):
            await harbor.ask(Get("c"))


async def test_callers_in_the_queue_are_answered_when_no_session_can_be_started_any_more(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor(capacity=1, wait_s=100) as harbor, trio.open_nursery() as nursery:
        _, *queued = await call(nursery, harbor, Sail("a", 50), Get("b"), Get("c"), Sail("c", 1))
        await trio.sleep(2)
        await harbor.boats.stop_all()
        await wait_all_tasks_blocked()
        assert [caller.why for caller in queued] == ["sunk"] * 3
        assert await harbor.ask(List()) == {}
        assert sorted(harbor.log.gone) == sorted(harbor.log.starts)
        assert harbor.ref.stopped is False


async def test_openings_are_let_go_when_the_queue_is_left_early_or_late(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor(capacity=1, wait_s=10) as harbor, trio.open_nursery() as nursery:
        await call(nursery, harbor, Sail("a", 50))
        plans = [Plan(), Plan()]
        traces = [weakref.ref(plan) for plan in plans]
        late, early = await call(nursery, harbor, Get("b", plans.pop()), Get("c", plans.pop()))
        early.scope.cancel()
        await trio.sleep(20)
        assert late.why == "capacity"
        del late, early
        await harbor.ask(List())  # until then the registry's task itself holds the last message
        gc.collect()
        assert [trace() for trace in traces] == [None, None]


# -- anything at once ------------------------------------------------------------------------------


_CALLS: st.SearchStrategy[dict[str, Any]] = st.builds(
    dict,
    key=st.sampled_from("abcd"),
    trip_s=st.sampled_from((None, 0.0, 1.0, 5.0, 400.0)),
    at=st.integers(0, 12),
    leaves_after=st.sampled_from((None, None, 0, 1, 2, 6)),
    plan=st.builds(
        Plan,
        start_s=st.sampled_from((0.0, 1.0, 4.0)),
        outcome=st.sampled_from(("live", "live", "live", "refused", "crash")),
        remember_s=st.sampled_from((0.0, 3.0)),
        clean_up_s=st.sampled_from((0.0, 2.0)),
    ),
)
_BLOWS = st.tuples(st.integers(0, 12), st.sampled_from(("close", "sink", "leave", "break")))


@settings(max_examples=400, deadline=None)
@given(
    capacity=st.integers(1, 3),
    wait_s=st.sampled_from((0.0, 3.0)),
    calls=st.lists(_CALLS, min_size=1, max_size=10),
    blows=st.lists(_BLOWS, max_size=3),
)
def test_every_caller_is_answered_once_whatever_happens(
    capacity: int, wait_s: float, calls: list[dict[str, Any]], blows: list[tuple[int, str]]
) -> None:
    async def make(harbor: OpenHarbor, wish: dict[str, Any], ends: list[object]) -> None:
        await trio.sleep(wish["at"])
        key, plan, trip_s = wish["key"], wish["plan"], wish["trip_s"]
        caller = Caller(harbor, Get(key, plan) if trip_s is None else Sail(key, trip_s, plan=plan))
        if wish["leaves_after"] is not None:
            caller.scope.deadline = trio.current_time() + wish["leaves_after"]
        await caller.run()
        assert caller.error is None or isinstance(
            caller.error, (NoBerth, ActorStopped, ActorCrashed)
        )
        ends.append(caller)

    async def strike(harbor: OpenHarbor, at: int, blow: str) -> None:
        await trio.sleep(at)
        if blow == "break":
            harbor.ref.tell_nowait(Break())
        for boat_id in harbor.log.starts[-1:]:
            boat = harbor.boats.lookup(f"boat/{boat_id}")
            if blow == "close":
                await harbor.ref.tell(Close(boat_id))
            elif boat is not None and not boat.stopped:
                boat.tell_nowait(Sink() if blow == "sink" else Leave())

    async def main() -> None:
        async with open_harbor(capacity=capacity, wait_s=wait_s) as harbor:
            ends: list[object] = []
            async with trio.open_nursery() as nursery:
                for wish in calls:
                    nursery.start_soon(make, harbor, wish, ends)
                for at, blow in blows:
                    nursery.start_soon(strike, harbor, at, blow)
            assert len(ends) == len(calls)
            await trio.sleep(400)
            assert harbor.log.tokens == []
            assert harbor.log.registry._seekers == {}
            listed = await harbor.ask(List())
            assert len(listed) <= capacity
            assert len(listed) == harbor.boats.statistics().actors
            await trio.sleep(700)
            assert await harbor.ask(List()) == {}
            assert harbor.boats.statistics().actors == 0
            if not any(blow == "break" for _, blow in blows):
                assert sorted(harbor.log.gone) == sorted(harbor.log.starts)

    trio.run(main, clock=MockClock(autojump_threshold=0))
