"""What is killed comes back under its id."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import trio

from tests.e2e.running import browser_pids, mooring


async def test_sessions_answer_under_their_old_ids_after_chromium_was_killed(
    data_dir: Path,
) -> None:
    async with mooring(data_dir) as server:
        first, second = await server.open_session(1), await server.open_session(2)
        before = browser_pids(data_dir)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        with trio.fail_after(40):
            assert await server.sessions()
            for session_id in (first, second):
                answer = await server.get_booking(session_id=session_id)
                if answer.status_code == 503:
                    answer = await server.get_booking(session_id=session_id)
                assert answer.json()["booking_number"] == "RICFEM857500", answer.text
        assert {it["session_id"] for it in await server.sessions()} == {first, second}
        assert await server.logins(1) == 1  # the cookies were put back


async def test_an_operation_cut_off_by_a_crash_gets_a_clear_error_at_once_and_the_next_one_works(
    data_dir: Path,
) -> None:
    async with mooring(data_dir) as server:
        session_id = await server.open_session()
        await server.control(delay_s=3)
        answers: list[httpx.Response] = []

        async def book() -> None:
            answers.append(await server.get_booking(session_id=session_id))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(book)
            await server.wait_for_status(session_id, "in_use")
            for pid in browser_pids(data_dir):
                os.kill(pid, signal.SIGKILL)
        assert answers[0].status_code == 503
        assert answers[0].json()["error"] == "Browser crashed"
        await server.control(delay_s=0)
        again = await server.get_booking(session_id=session_id)
        assert again.json()["booking_number"] == "RICFEM857500", again.text
