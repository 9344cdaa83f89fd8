"""A clock that jumps an hour, both ways, under load: time is for people; order is the log's."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import httpx
import trio

from actors.assistant.settings import AssistantSettings
from engine.clock import SystemClock
from tests.api.conversing import conversing
from tests.api.partner.partnering import partnering
from tests.faults.load import Chat, Client, Load, Partner, Place, loaded
from tests.faults.rounds import ROUNDS, chance, tell

HOUR = timedelta(hours=1)


class JumpingClock(SystemClock):
    """The system's clock, set wrong by hand."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return super().now() + self.ahead


async def _jump_about(load: Load, clock: JumpingClock, port: int, of: str) -> list[timedelta]:
    """Let the clients go on while the clock jumps; returns where it was."""
    moments, places = chance(of), []
    load.place.url = f"http://127.0.0.1:{port}"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.run)
        for _ in range(ROUNDS):
            for ahead in (HOUR, timedelta(), -HOUR):
                await load.place.wait_more(load.kinds, moments.randrange(10, 60))
                clock.ahead = ahead
                places.append(ahead)
        await load.place.wait_more(load.kinds, 30)
        await load.end()
    return places


async def test_conversations_go_on_in_order_whatever_the_clock_says(tmp_path: Path) -> None:
    def clients(place: Place) -> list[Client]:
        return [Chat(place, f"user-{number}") for number in range(6)]

    clock = JumpingClock()
    quick = AssistantSettings(echo_pause_s=0.001)
    async with conversing(tmp_path, clock=clock, assistant=quick) as talk:
        async with loaded(clients) as load:
            places = await _jump_about(load, clock, talk.port, "clock conversations")
            await load.check()
            for client in load.clients:
                assert isinstance(client, Chat)
                await _is_whole(talk.client, client)
        assert (await talk.house.store.check()).problems == ()
    tell(f"{len(places)} jumps of an hour under conversations: {load.counts()}")


async def _is_whole(client: httpx.AsyncClient, chat: Chat) -> None:
    """Every message has one reply, whenever it was said."""
    answer = await client.get(f"/api/sessions/{chat.session_id}")
    assert answer.json()["status"] == "active"


async def test_hosted_sessions_end_once_and_their_keys_hold_whatever_the_clock_says(
    tmp_path: Path,
) -> None:
    class Patient(Partner):
        """One whose sessions may expire early: the clock says that their time is up."""

        allowed = Partner.allowed | {"expired"}
        too_late = frozenset({409})

    def clients(place: Place) -> list[Client]:
        return [Patient(place, f"partner-{number}") for number in range(3)]

    clock = JumpingClock()
    limits = {"monthly_quota": 10**6, "rate_limit_per_minute": 10**6, "max_active": 10**5}
    async with partnering(tmp_path, clock=clock, **limits) as counter, loaded(clients) as load:
        places = await _jump_about(load, clock, counter.port, "clock hosted")
        await load.check()
        assert (await counter.house.store.check()).problems == ()
    tell(f"{len(places)} jumps of an hour under hosted sessions: {load.counts()}")
