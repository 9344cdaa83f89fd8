"""The pool gives contexts, keeps one warm, replaces what dies, and loses none."""

from __future__ import annotations

import pytest
import trio

from actors.browser.errors import BrowserUnavailable
from actors.browser.pool_messages import ContextLost, PoolStatistics, ReturnContext
from engine import ActorCrashed
from tests.actors.browser.bench import open_bench
from tests.actors.browser.fakes import Machine

# -- warm ------------------------------------------------------------------------------------------


async def test_a_spare_is_ready_before_anybody_asks(autojump_clock):
    async with open_bench() as bench:
        await trio.sleep(2.0)
        found = await bench.statistics()
        assert found == PoolStatistics(processes=1, contexts=0, spare=True, waiting=0)


async def test_the_spare_is_given_at_once_and_another_one_made(autojump_clock):
    async with open_bench() as bench:
        await trio.sleep(2.0)
        before = trio.current_time()
        taker = await bench.take()
        assert trio.current_time() == before
        assert taker.context_id in bench.contexts
        assert not (await bench.statistics()).spare
        await trio.sleep(1.0)
        assert (await bench.statistics()).spare
        assert bench.loads() == [2]


async def test_takers_get_a_context_each_in_the_order_in_which_they_came(autojump_clock):
    async with open_bench() as bench:
        takers = []
        for _ in range(5):
            takers.append(bench.take_soon())
            await trio.sleep(0.01)
        for taker in takers:
            await taker.over.wait()
            assert all(it.over.is_set() for it in takers[: takers.index(taker)])
        assert len({taker.context_id for taker in takers}) == 5


# -- placement -------------------------------------------------------------------------------------


async def test_a_chromium_never_holds_more_than_it_may(autojump_clock):
    async with open_bench(per_process=3, capacity=9) as bench:
        takers = [bench.take_soon() for _ in range(9)]
        while not all(taker.over.is_set() for taker in takers):
            await trio.sleep(0.01)
            assert all(load <= 3 for load in bench.loads())
        assert bench.loads() == [3, 3, 3]
        assert bench.machine.launches == 3


async def test_no_chromium_is_launched_for_a_spare_at_full_capacity(autojump_clock):
    async with open_bench(per_process=5, capacity=10) as bench:
        for taker in [bench.take_soon() for _ in range(10)]:
            await taker.over.wait()
        await trio.sleep(5.0)
        found = await bench.statistics()
        assert found == PoolStatistics(processes=2, contexts=10, spare=False, waiting=0)


async def test_the_fullest_chromium_gets_the_next_context_so_that_others_can_go(autojump_clock):
    async with open_bench(per_process=3, capacity=9) as bench:
        takers = [await bench.take() for _ in range(9)]
        homes = [bench.home(taker) for taker in takers]
        assert homes == [home for home in dict.fromkeys(homes) for _ in range(3)]
        # One place in the first and in the second, three in the third.
        for number in (0, 3, 6, 7, 8):
            takers[number].give_back()
        await trio.sleep(5.0)
        assert sorted(bench.loads()) == [2, 3]
        assert (await bench.statistics()).spare


async def test_an_empty_chromium_goes_when_another_has_room(autojump_clock):
    async with open_bench(per_process=2, capacity=6) as bench:
        takers = [await bench.take() for _ in range(6)]
        for taker in takers[2:]:
            taker.give_back()
        await trio.sleep(5.0)
        assert (await bench.statistics()).processes == 2
        for taker in takers[:2]:
            taker.give_back()


async def test_a_chromium_that_has_served_enough_goes_with_its_last_context(autojump_clock):
    async with open_bench(per_process=2, recycle_contexts=4) as bench:
        (first,) = [await bench.take()]
        home = bench.home(first)
        for _ in range(5):
            (await bench.take()).give_back()
            await trio.sleep(1.0)
        assert bench.home(first) is home
        assert bench.machine.launches >= 2
        first.give_back()
        await trio.sleep(1.0)
        assert home not in bench.machine.running.values()


async def test_a_chromium_that_has_run_for_long_takes_no_new_contexts(autojump_clock):
    async with open_bench(per_process=5, recycle_s=1000.0) as bench:
        first = await bench.take()
        await trio.sleep(1001.0)
        await bench.take()  # the spare that it had
        await trio.sleep(1.0)
        third = await bench.take()
        assert bench.home(third) is not bench.home(first)


# -- failing launches ------------------------------------------------------------------------------


async def test_a_taker_is_refused_after_two_launches_that_fail_with_a_pause_between(
    autojump_clock,
):
    machine = Machine()
    machine.broken = True
    async with open_bench(machine=machine) as bench:
        taker = await bench.take()
        assert isinstance(taker.refused, BrowserUnavailable)
        assert (
            taker.refused.details == "Chromium did not start: it ended with status 1 (no display)"
        )
        first, second = machine.launched_at
        assert second - first == pytest.approx(machine.launch_s + 1.0, abs=0.1)


async def test_many_launches_at_once_that_fail_are_one_try(autojump_clock):
    machine = Machine()
    machine.broken = True
    async with open_bench(machine=machine, per_process=1) as bench:
        takers = [bench.take_soon() for _ in range(8)]
        await trio.sleep(1.0)
        assert machine.launches >= 8
        assert not any(taker.over.is_set() for taker in takers)
        machine.heal()
        for taker in takers:
            await taker.over.wait()
            assert taker.refused is None


async def test_whoever_asks_while_no_launch_is_tried_is_refused_at_once(autojump_clock):
    machine = Machine()
    machine.broken = True
    async with open_bench(machine=machine) as bench:
        await trio.sleep(30.0)
        launches = machine.launches
        before = trio.current_time()
        taker = await bench.take()
        assert isinstance(taker.refused, BrowserUnavailable)
        assert trio.current_time() == before
        assert machine.launches == launches


async def test_launches_that_fail_come_at_growing_intervals_and_heal_by_themselves(autojump_clock):
    machine = Machine()
    machine.broken = True
    async with open_bench(machine=machine) as bench:
        await trio.sleep(600.0)
        pauses = [
            later - earlier
            for earlier, later in zip(machine.launched_at, machine.launched_at[1:], strict=False)
        ]
        expected = [1.5, 2.5, 4.5, 8.5, 16.5, 32.5, 60.5]
        assert pauses[:7] == pytest.approx(expected, abs=0.1)
        assert max(pauses) < 61.0
        machine.heal()
        await trio.sleep(61.0)
        assert (await bench.statistics()).spare
        assert (await bench.take()).refused is None


async def test_those_for_whom_there_is_room_are_served_while_launches_fail(autojump_clock):
    async with open_bench(per_process=2, capacity=10) as bench:
        await bench.take()
        await trio.sleep(2.0)
        bench.machine.broken = True
        second, third = bench.take_soon(), bench.take_soon()
        for taker in (second, third):
            await taker.over.wait()
        assert {second.refused is None, third.refused is None} == {True, False}


async def test_a_chromium_that_opens_no_context_counts_as_one_that_does_not_start(autojump_clock):
    machine = Machine()
    machine.barren = True
    async with open_bench(machine=machine) as bench:
        taker = await bench.take()
        assert isinstance(taker.refused, BrowserUnavailable)
        assert taker.refused.details == "Failed to create browser context"
        await trio.sleep(100.0)
        assert machine.launches < 10
        assert len(machine.running) <= 1
        machine.heal()
        await trio.sleep(61.0)
        assert (await bench.take()).refused is None


async def test_a_chromium_that_dies_over_its_first_context_counts_as_one_that_does_not_start(
    autojump_clock,
):
    async with open_bench() as bench:
        taker = bench.take_soon()
        while not taker.over.is_set():
            await trio.sleep(0.05)
            for chromium in tuple(bench.machine.running.values()):
                chromium.kill()
        assert isinstance(taker.refused, BrowserUnavailable)
        assert bench.machine.launches == 2


async def test_a_chromium_that_can_open_no_more_contexts_keeps_those_that_it_has(autojump_clock):
    async with open_bench() as bench:
        first = await bench.take()
        await trio.sleep(1.0)
        bench.machine.barren = True
        home = bench.home(first)
        (await bench.take()).give_back()
        await trio.sleep(30.0)
        bench.machine.barren = False
        await trio.sleep(61.0)
        other = await bench.take()
        assert bench.home(first) is home
        assert bench.home(other) is not home


# -- leaving and giving back -----------------------------------------------------------------------


async def test_the_context_of_a_taker_that_left_while_it_opened_becomes_the_spare(autojump_clock):
    async with open_bench(per_process=1, capacity=1) as bench:
        taker = bench.take_soon()
        await trio.sleep(0.55)
        taker.leave()
        await trio.sleep(1.0)
        found = await bench.statistics()
        assert found == PoolStatistics(processes=1, contexts=0, spare=True, waiting=0)
        assert bench.loads() == [1]


async def test_contexts_of_takers_that_left_are_not_kept_beyond_the_spare(autojump_clock):
    async with open_bench() as bench:
        takers = [bench.take_soon() for _ in range(5)]
        await trio.sleep(0.55)
        for taker in takers:
            taker.leave()
        await trio.sleep(1.0)
        assert bench.loads() == [1]


async def test_giving_back_twice_or_what_is_unknown_harms_nobody(autojump_clock):
    async with open_bench() as bench:
        taker, other = await bench.take(), await bench.take()
        for context_id in (taker.context_id, taker.context_id, "unknown"):
            bench.pool.signal(ReturnContext(context_id=context_id))
        await trio.sleep(1.0)
        assert (await bench.statistics()).contexts == 1
        assert bench.home(other) is not None
        assert bench.home(taker) is None


# -- what dies -------------------------------------------------------------------------------------


async def test_owners_hear_that_a_chromium_died_and_cannot_regain_what_was_in_it(autojump_clock):
    async with open_bench() as bench:
        taker = await bench.take()
        context_id = taker.context_id
        bench.machine.chromium_of(context_id).kill()
        await trio.sleep(0.01)
        assert await bench.regain(context_id) is False
        assert bench.heard == [ContextLost(context_id=context_id)] * len(bench.heard)
        assert bench.heard
        assert (await bench.take()).refused is None


async def test_owners_regain_their_contexts_after_a_dropped_socket(autojump_clock):
    async with open_bench() as bench:
        bench.machine.connect_s = 3.0
        taker = await bench.take()
        chromium = bench.machine.chromium_of(taker.context_id)
        before = trio.current_time()
        chromium.drop()
        await trio.sleep(0.1)
        assert bench.heard == [ContextLost(context_id=taker.context_id)]
        assert await bench.regain(taker.context_id) is True
        assert trio.current_time() - before > 3.0
        assert bench.home(taker) is chromium
        assert bench.machine.launches == 1


async def test_a_context_that_nobody_knows_cannot_be_regained(autojump_clock):
    async with open_bench() as bench:
        assert await bench.regain("unknown") is False


async def test_a_spare_is_not_kept_through_a_dropped_socket(autojump_clock):
    async with open_bench() as bench:
        await trio.sleep(2.0)
        (before,) = bench.machine.contexts
        next(iter(bench.machine.running.values())).drop()
        await trio.sleep(2.0)
        (after,) = bench.machine.contexts
        assert after is not before
        assert (await bench.statistics()).spare


async def test_takers_that_wait_for_a_chromium_that_dies_get_theirs_from_another(autojump_clock):
    async with open_bench() as bench:
        await bench.take()
        await trio.sleep(1.0)
        takers = [bench.take_soon() for _ in range(3)]
        await trio.sleep(0.05)
        for chromium in tuple(bench.machine.running.values()):
            chromium.kill()
        for taker in takers:
            await taker.over.wait()
            assert taker.refused is None


async def test_a_pool_that_crashes_leaves_no_chromium_behind_and_begins_anew(autojump_clock):
    async with open_bench(crashes=1) as bench:
        taker = await bench.take()
        waiting = bench.take_soon()
        await trio.sleep(0.01)
        before = tuple(bench.machine.running.values())
        bench.pool.signal("what no pool knows")
        await waiting.over.wait()
        assert waiting.refused is None or isinstance(waiting.refused, ActorCrashed)
        await trio.sleep(5.0)
        assert not set(before) & set(bench.machine.running.values())
        assert await bench.regain(taker.context_id) is False
        assert (await bench.take()).refused is None
