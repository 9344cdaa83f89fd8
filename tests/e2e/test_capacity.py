"""How many sessions there are, who waits, and who must go."""

from __future__ import annotations

from pathlib import Path

import httpx
import trio

from tests.e2e.running import mooring


async def test_more_accounts_than_capacity_are_all_served_and_never_more_are_listed(
    data_dir: Path,
) -> None:
    async with mooring(data_dir, capacity=3, capacity_wait_s=120) as server:
        answers: dict[int, httpx.Response] = {}
        most = 0

        async def call(number: int) -> None:
            answers[number] = await server.get_session(number)

        async def watch(done: trio.Event) -> None:
            nonlocal most
            while not done.is_set():
                most = max(most, len(await server.sessions()))
                await trio.sleep(0.02)

        async with trio.open_nursery() as outer:
            done = trio.Event()
            outer.start_soon(watch, done)
            async with trio.open_nursery() as nursery:
                for number in range(1, 7):
                    nursery.start_soon(call, number)
            done.set()
        assert {answer.status_code for answer in answers.values()} == {200}
        assert most == 3
        listed = {session["session_id"] for session in await server.sessions()}
        assert len(listed) == 3
        gone = [it for it in answers.values() if it.json()["session_id"] not in listed]
        for answer in gone:
            lost = await server.get_booking(session_id=answer.json()["session_id"])
            assert lost.status_code == 404
            assert lost.json()["reason"] == "evicted"


async def test_sessions_in_use_are_never_evicted_and_an_idle_one_is(data_dir: Path) -> None:
    async with mooring(data_dir, capacity=2, capacity_wait_s=0) as server:
        first, second = await server.open_session(1), await server.open_session(2)
        await server.control(delay_s=2.0)
        bookings: list[httpx.Response] = []

        async def book(session_id: str) -> None:
            bookings.append(await server.get_booking(session_id=session_id))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(book, first)
            nursery.start_soon(book, second)
            await server.wait_for_status(first, "in_use")
            await server.wait_for_status(second, "in_use")
            refused = await server.get_session(3)
            assert refused.status_code == 503
            assert refused.json()["error"] == "Failed to allocate session capacity"
            assert int(refused.headers["Retry-After"]) >= 1
        assert [it.json()["booking_number"] for it in bookings] == ["RICFEM857500"] * 2
        await server.control(delay_s=0.0)

        for number in range(10, 14):
            assert (await server.get_session(number, password="wrong")).status_code == 401
        assert {it["session_id"] for it in await server.sessions()} == {first, second}

        assert (await server.get_booking(session_id=second)).status_code == 200
        assert (await server.get_session(3)).status_code == 200
        evicted = await server.get_booking(session_id=first)
        assert (evicted.status_code, evicted.json()["reason"]) == (404, "evicted")
        assert (await server.get_booking(session_id=second)).status_code == 200
