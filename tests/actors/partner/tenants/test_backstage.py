"""Threads that make way: what runs there, how it ends, and that none is left."""

from __future__ import annotations

import os
import threading

import pytest
import trio
import trio.testing

from actors.partner.tenants.backstage import open_backstage


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


async def test_work_runs_with_less_priority_than_everybody_else() -> None:
    before = niceness()
    async with open_backstage(1, name="quiet") as backstage:
        assert await backstage.run(niceness) == min(19, before + 10)
    assert niceness() == before
    assert await trio.to_thread.run_sync(niceness) == before


async def test_what_work_raises_is_raised_and_the_next_one_runs() -> None:
    def fail() -> None:
        raise ValueError("no")

    async with open_backstage(1, name="quiet") as backstage:
        with pytest.raises(ValueError, match="no"):
            await backstage.run(fail)
        assert await backstage.run(lambda: 7) == 7


async def test_what_has_begun_is_waited_for_and_what_has_not_never_begins() -> None:
    let, begun, done = threading.Event(), trio.Event(), []
    token = trio.lowlevel.current_trio_token()

    def work() -> None:
        token.run_sync_soon(begun.set)
        let.wait(10)
        done.append("first")

    async with open_backstage(1, name="quiet") as backstage, trio.open_nursery() as nursery:
        nursery.start_soon(backstage.run, work)
        await begun.wait()
        nursery.start_soon(backstage.run, lambda: done.append("second"))
        await trio.testing.wait_all_tasks_blocked()
        assert backstage.waiting == 1
        nursery.cancel_scope.cancel()
        let.set()
    assert done == ["first"]


async def test_no_thread_is_left() -> None:
    async with open_backstage(3, name="quiet") as backstage:
        await backstage.run(lambda: None)
    assert not [it for it in threading.enumerate() if it.name.startswith("quiet")]
