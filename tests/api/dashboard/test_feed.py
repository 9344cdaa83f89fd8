"""The bell: heard by whoever watches, once, and missed by nobody."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from api.dashboard.feed import Bell, Feed
from engine.errors import TooManySubscribers


async def test_whoever_watches_a_tenant_hears_its_bell_and_nobody_elses() -> None:
    feed, heard = Feed(), list[str]()

    async def listen(name: str, bell: Bell) -> None:
        await bell.heard()
        heard.append(name)

    with feed.watch("one") as first, feed.watch("one") as second, feed.watch("two") as other:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, "first", first)
            nursery.start_soon(listen, "second", second)
            nursery.start_soon(listen, "other", other)
            await wait_all_tasks_blocked()
            feed.ring("one")
            await wait_all_tasks_blocked()
            assert sorted(heard) == ["first", "second"]
            nursery.cancel_scope.cancel()


async def test_what_was_rung_while_nobody_listened_is_heard_once(autojump_clock: object) -> None:
    feed = Feed()
    with feed.watch("one") as bell:
        for _ in range(3):
            feed.ring("one")
        await bell.heard()
        with pytest.raises(trio.TooSlowError), trio.fail_after(1):
            await bell.heard()


async def test_ringing_where_nobody_watches_is_nothing() -> None:
    feed = Feed()
    feed.ring("one")
    with feed.watch("one"):
        pass
    feed.ring("one")


async def test_so_many_may_watch_a_tenant_and_no_more() -> None:
    feed = Feed()
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(feed.watch("one"))
        with pytest.raises(TooManySubscribers), feed.watch("one"):
            pass
        stack.enter_context(feed.watch("two"))
    with feed.watch("one"):
        pass
