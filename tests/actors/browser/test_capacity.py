"""Never more sessions than there may be: who waits for a place, who is refused, who must go."""

from __future__ import annotations

import pytest
import trio

from actors.browser.errors import (
    AuthenticationFailed,
    CapacityExhausted,
    SessionNotFound,
)
from tests.actors.browser.fakes import Task
from tests.actors.browser.house import open_house


async def test_twenty_accounts_at_once_all_get_their_session_and_never_more_than_ten_are_listed(
    autojump_clock,
):
    async with open_house(capacity=10, capacity_wait_s=120.0) as house:
        callers = [house.get_soon(number) for number in range(20)]
        most = 0
        while not all(caller.ended for caller in callers):
            most = max(most, len(await house.list()))
            await trio.sleep(0.05)
        granted = [await caller.outcome() for caller in callers]
        assert all(each.is_new for each in granted)
        assert most == 10
        assert house.site.logins == {f"driver-{number}": 1 for number in range(20)}
        by_use = sorted(zip(callers, granted, strict=True), key=lambda it: it[0].ended_at)
        latest = {each.session_id for _, each in by_use[10:]}
        assert {view.session_id for view in await house.list()} == latest


async def test_ten_sessions_at_full_capacity_need_no_chromium_for_a_spare(autojump_clock):
    async with open_house(capacity=10, sessions_per_process=5) as house:
        callers = [house.get_soon(number) for number in range(10)]
        for caller in callers:
            await caller.outcome()
        await trio.sleep(1.0)
        found = await house.pool()
        assert (found.processes, found.contexts, found.spare) == (2, 10, False)
        assert house.machine.launches == 2


async def test_the_session_that_was_used_least_recently_makes_room_and_its_id_says_so(
    autojump_clock,
):
    async with open_house(capacity=2) as house:
        first, second = await house.get(1), await house.get(2)
        await trio.sleep(1.0)
        await house.get(1)
        third = await house.get(3)
        assert {view.session_id for view in await house.list()} == {
            first.session_id,
            third.session_id,
        }
        with pytest.raises(SessionNotFound) as told:
            await house.run(Task(), second.session_id)
        assert told.value.fields == {"reason": "evicted"}


async def test_a_create_is_refused_while_all_sessions_are_in_use_and_their_operations_finish(
    autojump_clock,
):
    async with open_house(capacity=2, capacity_wait_s=0.0) as house:
        for number in (1, 2):
            await house.get(number)
        running = [house.run_soon(Task(name=f"{n}", seconds=60.0), number=n) for n in (1, 2)]
        for name in ("1", "2"):
            await house.begun(name)
        with pytest.raises(CapacityExhausted):
            await house.get(3)
        for caller in running:
            await caller.outcome()
        assert sorted(house.site.ended) == ["1", "2"]


async def test_with_one_of_the_sessions_idle_that_one_is_evicted(autojump_clock):
    async with open_house(capacity=2, capacity_wait_s=0.0) as house:
        busy, idle = await house.get(1), await house.get(2)
        running = house.run_soon(Task(name="long", seconds=60.0), busy.session_id)
        await house.begun("long")
        await house.get(3)
        with pytest.raises(SessionNotFound) as told:
            await house.run(Task(), idle.session_id)
        assert told.value.fields == {"reason": "evicted"}
        assert (await running.outcome()).session_id == busy.session_id


async def test_wrong_passwords_at_full_capacity_evict_nobody(autojump_clock):
    async with open_house(capacity=2) as house:
        before = {(await house.get(number)).session_id for number in (1, 2)}
        callers = [house.get_soon(number, "wrong") for number in range(3, 13)]
        for caller in callers:
            with pytest.raises((AuthenticationFailed, CapacityExhausted)):
                await caller.outcome()
        assert {view.session_id for view in await house.list()} == before
        await trio.sleep(1.0)
        assert (await house.pool()).contexts == 2


async def test_a_create_waits_for_a_session_to_come_free(autojump_clock):
    async with open_house(capacity=1, capacity_wait_s=30.0) as house:
        await house.get(1)
        running = house.run_soon(Task(name="long", seconds=20.0), number=1)
        await house.begun("long")
        assert (await house.get(2)).is_new
        assert running.ended
