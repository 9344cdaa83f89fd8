"""The end of the server: what is running gets its time, and everybody is answered."""

from __future__ import annotations

import pytest
import trio

from actors.browser.errors import (
    SessionClosed,
)
from tests.actors.browser.fakes import Task
from tests.actors.browser.house import open_house


async def test_a_stop_lets_running_operations_finish_and_answers_whoever_waits(autojump_clock):
    async with open_house(leaves=False, drain_s=10.0, capacity=2, capacity_wait_s=60.0) as house:
        for number in (1, 2):
            await house.get(number)
        short = house.run_soon(Task(name="short", seconds=5.0), number=1)
        await house.begun("short")
        queued = house.run_soon(Task(name="queued"), number=1)
        long = house.run_soon(Task(name="long", seconds=500.0), number=2)
        await house.begun("long")
        waiting = [house.get_soon(number) for number in (3, 4)]
        await trio.sleep(1.0)
    assert (await short.outcome()).answer.name == "short"
    assert house.site.ended == ["short"]
    for caller in (queued, long, *waiting):
        with pytest.raises(SessionClosed):
            await caller.outcome()


async def test_a_stop_lets_a_running_login_finish(autojump_clock):
    async with open_house(leaves=False, drain_s=10.0) as house:
        caller = house.get_soon()
        await trio.sleep(1.0)
    assert (await caller.outcome()).is_new


async def test_a_stop_without_grace_ends_everything_at_once(autojump_clock):
    async with open_house(leaves=False, drain_s=0.0) as house:
        await house.get(1)
        running = house.run_soon(Task(name="running", seconds=500.0), number=1)
        await house.begun("running")
        login = house.get_soon(2)
        await trio.sleep(0.5)
        stopped_at = trio.current_time()
    for caller in (running, login):
        with pytest.raises(SessionClosed):
            await caller.outcome()
        assert caller.ended_at == stopped_at


async def test_whoever_asks_while_the_sessions_are_stopping_is_told_so(autojump_clock):
    async with open_house(leaves=False, drain_s=10.0) as house:
        await house.get(1)
        running = house.run_soon(Task(name="running", seconds=8.0), number=1)
        await house.begun("running")

        async def ask_late() -> None:
            await trio.sleep(3.0)
            with pytest.raises(SessionClosed):
                await house.get(2)

        house.start_soon(ask_late)
    assert (await running.outcome()).answer.name == "running"
