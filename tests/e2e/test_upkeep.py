"""Refresh and idle timeout."""

from __future__ import annotations

from pathlib import Path

import trio

from tests.e2e.running import mooring


async def test_refresh_and_idle_timeout_leave_a_running_operation_alone(data_dir: Path) -> None:
    async with mooring(data_dir, refresh_interval_s=0.5, idle_timeout_s=2) as server:
        session_id = await server.open_session()
        await server.control(delay_s=1.5)
        answer = await server.get_booking(session_id=session_id)
        assert answer.json()["booking_number"] == "RICFEM857500"
        await server.control(delay_s=0)
        await server.wait_for_status(session_id, None)
        gone = await server.get_booking(session_id=session_id)
        assert gone.json()["reason"] == "idle_timeout"


async def test_a_refresh_logs_in_again_when_the_portal_has_forgotten_the_login(
    data_dir: Path,
) -> None:
    async with mooring(data_dir, refresh_interval_s=1) as server:
        await server.open_session()
        await server.control(logout_all=True)
        with trio.fail_after(30):
            while await server.logins() < 2:
                await trio.sleep(0.1)
