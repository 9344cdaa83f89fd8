"""Sessions that were live under an earlier registry, and wait to be asked for."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.engine.callers import call
from tests.engine.harbor import (
    Adopt,
    Close,
    Get,
    List,
    NoBerth,
    Parked,
    Plan,
    Sail,
    Sink,
    Wake,
    open_harbor,
)


async def test_parked_sessions_take_no_place(autojump_clock: MockClock) -> None:
    async with open_harbor(capacity=1) as harbor:
        assert await harbor.ask(Adopt("old", "a"))
        assert await harbor.ask(Parked()) == ["old"]
        assert await harbor.ask(List()) == {}
        assert (await harbor.ask(Get("b"))).is_new
        await harbor.ask(Close("old"))
        assert await harbor.ask(Parked()) == []
        assert harbor.log.gone == ["old"]
        with pytest.raises(NoBerth) as told:
            await harbor.ask(Sail("old", 1.0, by_id=True))
        assert (told.value.why, told.value.detail) == ("unknown", "closed")


async def test_parked_sessions_are_started_as_others_are(autojump_clock: MockClock) -> None:
    async with open_harbor(capacity=1) as harbor:
        await harbor.ask(Adopt("old", "a"))
        await harbor.ask(Adopt("older", "b"))
        berth = await harbor.ask(Get("a"))
        assert (berth.id, berth.is_new) == ("old", False)
        assert await harbor.ask(Sail("older", 1.0, by_id=True)) == "older"
        assert await harbor.ask(List()) == {"older": False}
        assert harbor.log.gone == ["old"], "evicted by a start like any other"


async def test_parked_sessions_have_their_key_and_id_for_themselves(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor() as harbor:
        assert await harbor.ask(Adopt("old", "a"))
        assert not await harbor.ask(Adopt("other", "a"))
        assert not await harbor.ask(Adopt("old", "b"))
        assert await harbor.ask(Parked()) == ["old"]


async def test_parked_sessions_idle_out_by_their_last_use(autojump_clock: MockClock) -> None:
    async with open_harbor() as harbor:
        await harbor.ask(Adopt("old", "a", 700.0))
        await harbor.ask(Adopt("newer", "b", 590.0))
        await harbor.ask(Adopt("newest", "c", 10.0))
        assert await harbor.ask(Parked()) == ["newer", "newest"]
        await trio.sleep(11)
        assert await harbor.ask(Parked()) == ["newest"]
        assert harbor.log.gone == ["old", "newer"]


async def test_a_start_of_a_parked_session_that_comes_to_nothing_parks_it_again(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor() as harbor:
        await harbor.ask(Adopt("old", "a"))
        for _ in range(2):
            with pytest.raises(NoBerth, match="refused"):
                await harbor.ask(Get("a", Plan(outcome="refused", keep=True)))
            assert await harbor.ask(Parked()) == ["old"]
        assert (await harbor.ask(Get("a"))).id == "old"
        assert harbor.log.starts == ["old"] * 3
        assert (harbor.log.parked, harbor.log.gone) == (["old"] * 2, [])


async def test_a_start_of_a_parked_session_that_fails_for_good_ends_it(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor() as harbor:
        await harbor.ask(Adopt("old", "a"))
        with pytest.raises(NoBerth, match="refused"):
            await harbor.ask(Get("a", Plan(outcome="refused")))
        assert await harbor.ask(Parked()) == []
        assert harbor.log.gone == ["old"]


async def test_a_parked_session_begins_anew_only_once_its_former_start_has_ended(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor(capacity=1) as harbor, trio.open_nursery() as nursery:
        await harbor.ask(Get("b"))
        await harbor.ask(Adopt("old", "a"))
        slow = Plan(start_s=5.0, clean_up_s=3.0)
        (first,) = await call(nursery, harbor, Get("a", slow))
        await trio.sleep(1)
        first.scope.cancel()
        await wait_all_tasks_blocked()
        assert await harbor.ask(Parked()) == ["old"]
        (second,) = await call(nursery, harbor, Get("a"))
        assert harbor.log.starts.count("old") == 1
        await trio.sleep(10)
        assert second.answer.id == "old"
        assert harbor.log.starts.count("old") == 2
        assert "old" not in harbor.log.gone


async def test_one_that_is_closed_while_its_former_start_ends_is_gone(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor(capacity=1) as harbor, trio.open_nursery() as nursery:
        await harbor.ask(Get("b"))
        await harbor.ask(Adopt("old", "a"))
        slow = Plan(start_s=5.0, clean_up_s=3.0)
        (first,) = await call(nursery, harbor, Get("a", slow))
        await trio.sleep(1)
        first.scope.cancel()
        await wait_all_tasks_blocked()
        (second,) = await call(nursery, harbor, Get("a"))
        await harbor.ask(Close("old"))
        await trio.sleep(10)
        assert second.error is not None
        assert await harbor.ask(Parked()) == []
        assert harbor.log.gone == ["old"]
        assert (await harbor.ask(Get("a"))).is_new


async def test_waking_is_no_use_of_a_session(autojump_clock: MockClock) -> None:
    async with open_harbor(capacity=1) as harbor:
        await harbor.ask(Adopt("old", "a", 500.0))
        await harbor.ask(Adopt("other", "b", 0.0))
        assert await harbor.ask(Wake("old"))
        assert not await harbor.ask(Wake("other")), "there is no place"
        assert not await harbor.ask(Wake("nobody"))
        await trio.sleep(10)
        assert await harbor.ask(List()) == {"old": False}
        await trio.sleep(91)
        assert await harbor.ask(List()) == {}


async def test_a_restored_session_that_crashes_is_gone_as_any_other(
    autojump_clock: MockClock,
) -> None:
    async with open_harbor() as harbor:
        await harbor.ask(Adopt("old", "a"))
        await harbor.ask(Get("a"))
        harbor.boat("old").signal(Sink())
        await trio.sleep(1)
        assert await harbor.ask(Parked()) == []
        assert harbor.log.gone == ["old"]
