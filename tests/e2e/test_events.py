"""What happens to a browser session, watched live and read afterwards."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.api.wire import lined
from tests.e2e.running import Mooring, browser_pids, mooring


async def history(server: Mooring, session_id: str) -> list[str]:
    """Return the types of all events of a session that has ended."""
    url = f"{server.url}/sessions/{session_id}/events?after=0"
    answer = await server.http.get(url, headers={"Accept": "text/event-stream"})
    data = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line)["type"] for line in data]


async def test_a_session_is_watched_live_from_its_login_to_its_end(data_dir: Path) -> None:
    async with mooring(data_dir) as server:
        session_id = await server.open_session()
        async with lined(server.port, f"/sessions/{session_id}/events?after=0") as line:
            assert (await line.next())["type"] == "ready"
            await server.get_booking(session_id=session_id)
            await server.delete(session_id)
            assert (await line.closed()).code == 1000
        types = [event["type"] for event in line.events]
        assert types[:3] == ["session.created", "login.started", "captcha.solved"]
        for wanted in ("login.succeeded", "lease.granted", "operation.started", "lease.released"):
            assert wanted in types
        finished = next(event for event in line.events if event["type"] == "operation.finished")
        assert finished["data"] == {"name": "get_booking_number", "success": True}
        assert types[-1] == "session.closed"
        assert line.events[-1]["data"] == {"reason": "closed"}
        seqs = [event["seq"] for event in line.events]
        assert seqs == list(range(1, len(seqs) + 1))
        assert await history(server, session_id) == ["ready", *types]


async def test_a_crash_and_the_recovery_are_on_the_stream(data_dir: Path) -> None:
    async with mooring(data_dir) as server:
        session_id = await server.open_session()
        for pid in browser_pids(data_dir):
            os.kill(pid, signal.SIGKILL)
        await server.wait_for_status(session_id, "recovering")
        await server.wait_for_status(session_id, "live")
        await server.delete(session_id)
        types = await history(server, session_id)
        assert types.index("browser.crashed") < types.index("session.recovered")
        unknown = await server.http.get(f"{server.url}/sessions/session_1_2/events")
        assert unknown.status_code == 404
        assert unknown.json() == {"success": False, "error": "Session not found"}
