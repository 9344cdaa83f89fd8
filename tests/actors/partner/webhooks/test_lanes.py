"""How many are sent at once, and that one endpoint holds up no other."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
import trio.testing

from actors.partner.webhooks.endpoint_decider import MAX_ENDPOINTS
from actors.partner.webhooks.lanes import (
    IN_ALL,
    PER_ENDPOINT,
    REMEMBERED_PER_ENDPOINT,
    WAITING_IN_ALL,
    WAITING_PER_ENDPOINT,
    Crowded,
    Lanes,
)


def test_one_tenant_whose_endpoints_all_hang_leaves_half_of_the_lanes() -> None:
    assert MAX_ENDPOINTS * PER_ENDPOINT <= IN_ALL // 2
    assert MAX_ENDPOINTS * WAITING_PER_ENDPOINT <= WAITING_IN_ALL // 2


async def test_at_most_so_many_are_sent_at_once(autojump_clock: trio.testing.MockClock) -> None:
    lanes, sending, most = Lanes(per_endpoint=2, in_all=5), {}, []

    async def send(endpoint: str) -> None:
        async with lanes.lane(endpoint):
            sending[endpoint] = sending.get(endpoint, 0) + 1
            most.append((max(sending.values()), sum(sending.values())))
            await trio.sleep(1)
            sending[endpoint] -= 1

    async with trio.open_nursery() as nursery:
        for number in range(60):
            nursery.start_soon(send, f"e{number % 6}")
    assert max(one for one, _ in most) == 2
    assert max(together for _, together in most) == 5
    assert trio.current_time() == 12
    assert lanes.statistics().endpoints == lanes.statistics().waiting == 0


async def test_who_waits_behind_a_hanging_endpoint_keeps_no_other_waiting(
    autojump_clock: trio.testing.MockClock,
) -> None:
    lanes = Lanes(per_endpoint=2, in_all=4)

    async def hang() -> None:
        async with lanes.lane("hangs"):
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(hang)
        await trio.testing.wait_all_tasks_blocked()
        assert lanes.statistics().waiting == 48
        with trio.fail_after(1):
            async with lanes.lane("answers"):
                pass
        nursery.cancel_scope.cancel()
    assert lanes.statistics() == Lanes().statistics()


async def test_what_waits_is_bounded(autojump_clock: trio.testing.MockClock) -> None:
    lanes, turned_away = Lanes(per_endpoint=1), []

    async def hang() -> None:
        try:
            async with lanes.lane("hangs"):
                await trio.sleep_forever()
        except Crowded:
            turned_away.append(1)

    async with trio.open_nursery() as nursery:
        for _ in range(300):
            nursery.start_soon(hang)
        await trio.testing.wait_all_tasks_blocked()
        assert lanes.statistics().waiting == 250
        assert len(turned_away) == 49
        async with lanes.lane("another"):
            pass
        nursery.cancel_scope.cancel()


async def test_who_was_turned_away_is_called_as_others_leave_in_order_of_arrival(
    autojump_clock: trio.testing.MockClock,
) -> None:
    called: list[str] = []
    lanes = Lanes(per_endpoint=1, call=called.append)

    async def send(number: int) -> None:
        with suppress(Crowded):
            async with lanes.lane("e", who=str(number)):
                await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        for number in range(WAITING_PER_ENDPOINT + 1 + REMEMBERED_PER_ENDPOINT + 50):
            nursery.start_soon(send, number)
            await trio.testing.wait_all_tasks_blocked()
        await send(WAITING_PER_ENDPOINT + 1)  # it is remembered once
        assert called == []
        await trio.sleep(2.5)
        first = WAITING_PER_ENDPOINT + 1
        assert called == [str(first), str(first + 1)]
    assert called == [str(first + number) for number in range(first)]
    for _ in range(2 * REMEMBERED_PER_ENDPOINT):
        await send(0)
    assert len(called) == REMEMBERED_PER_ENDPOINT
    assert len(set(called)) == REMEMBERED_PER_ENDPOINT


async def test_lanes_are_given_back_however_sending_ends() -> None:
    lanes = Lanes(per_endpoint=1, in_all=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"):
            async with lanes.lane("e"):
                raise ValueError("broken")
