"""How well the loop keeps up."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from api.monitoring.vitals import Vitals


async def test_it_looks_four_times_a_second_and_finds_an_idle_loop_in_time(
    autojump_clock: MockClock,
) -> None:
    vitals = Vitals()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(vitals.run)
        await trio.sleep(10)
        nursery.cancel_scope.cancel()
    found = vitals.statistics()
    assert 39 <= found.loop_delay.count <= 40
    assert found.recent_s < 1e-6


async def test_a_loop_that_was_held_up_shows_until_it_is_long_ago(mock_clock: MockClock) -> None:
    vitals = Vitals()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(vitals.run)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(3.25)  # nobody could run meanwhile
        await trio.testing.wait_all_tasks_blocked()
        assert vitals.statistics().recent_s == 3.0
        for _ in range(120):
            mock_clock.jump(0.25)
            await trio.testing.wait_all_tasks_blocked()
        assert vitals.statistics().recent_s == 0.0
        nursery.cancel_scope.cancel()
