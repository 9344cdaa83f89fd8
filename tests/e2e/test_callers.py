"""Callers that leave, and sessions that are closed under them."""

from __future__ import annotations

from pathlib import Path

import httpx
import trio

from tests.e2e.running import Mooring, credentials, mooring


async def _leave_during(server: Mooring, path: str, body: dict[str, str]) -> None:
    """Send a request, and close the connection without reading the answer."""
    async with httpx.AsyncClient(trust_env=False, timeout=40) as http:
        with trio.move_on_after(0.7):
            await http.post(f"{server.url}{path}", json=body)


async def test_a_client_that_leaves_during_its_login_leaves_nothing_behind(
    data_dir: Path,
) -> None:
    async with mooring(data_dir) as server:
        await server.control(delay_s=2)
        await _leave_during(server, "/get_session", credentials(1))
        await server.wait_for_sessions(0)
        assert await server.logins() == 0


async def test_a_login_goes_on_for_another_caller_who_waits_for_it(data_dir: Path) -> None:
    async with mooring(data_dir) as server:
        await server.control(delay_s=1)
        answers: list[httpx.Response] = []

        async def stay() -> None:
            await trio.sleep(0.1)
            answers.append(await server.get_session())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stay)
            await _leave_during(server, "/get_session", credentials(1))
        assert answers[0].json()["is_new"] is True
        assert await server.logins() == 1


async def test_a_client_that_leaves_during_an_operation_does_not_end_it(data_dir: Path) -> None:
    async with mooring(data_dir) as server:
        session_id = await server.open_session()
        await server.control(delay_s=1.5)
        body = {"session_id": session_id, "container_id": "TRHU1866154"}
        await _leave_during(server, "/get_booking_number", body)
        assert await server.status(session_id) == "in_use"
        await server.wait_for_status(session_id, "live")


async def test_a_session_can_be_deleted_in_the_middle_of_a_login_and_of_an_operation(
    data_dir: Path,
) -> None:
    async with mooring(data_dir) as server:
        used = await server.open_session(1)
        await server.control(delay_s=3)
        cut_off: list[httpx.Response] = []

        async def book() -> None:
            cut_off.append(await server.get_booking(session_id=used))

        async def log_in() -> None:
            cut_off.append(await server.get_session(2))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(book)
            nursery.start_soon(log_in)
            await server.wait_for_status(used, "in_use")
            found = await server.wait_for_sessions(2)
            starting = next(it for it in found if it["status"] == "starting")["session_id"]
            for session_id in (used, starting):
                closed = await server.delete(session_id)
                assert closed.json() == {
                    "success": True,
                    "message": f"Session {session_id} closed",
                }
            assert await server.sessions() == []
        assert [it.status_code for it in cut_off] == [409, 409]
        assert {it.json()["error"] for it in cut_off} == {"Session closed"}
        assert (await server.delete(used)).status_code == 404
