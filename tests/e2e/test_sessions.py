"""Sessions over REST: sharing a login, and what operations answer."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import httpx
import trio

from tests.e2e.running import credentials, mooring


async def test_twenty_callers_at_once_for_one_account_share_one_login(data_dir: Path) -> None:
    async with mooring(data_dir) as server:
        answers: list[httpx.Response] = []

        async def call() -> None:
            answers.append(await server.get_session())

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(call)
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["session_id"] for answer in answers}) == 1
        assert [answer.json()["is_new"] for answer in answers].count(True) == 1
        assert await server.logins() == 1
        again = (await server.get_session()).json()
        assert not again["is_new"]
        assert again["message"] == "Using existing persistent session"


async def test_another_password_gets_a_401_and_leaves_the_live_session_alone(
    data_dir: Path,
) -> None:
    async with mooring(data_dir) as server:
        session_id = await server.open_session()
        wrong = await server.get_session(password="wrong")
        assert wrong.status_code == 401
        assert wrong.json() == {
            "success": False,
            "error": "Authentication failed",
            "details": "Invalid credentials",
        }
        booking = await server.get_booking(session_id=session_id)
        assert booking.json()["booking_number"] == "RICFEM857500"
        assert await server.logins() == 1


async def test_a_debug_bundle_can_be_fetched_with_screenshot_html_and_log(data_dir: Path) -> None:
    async with mooring(data_dir) as server:
        answer = await server.get_booking(**credentials(1), debug=True)
        assert answer.json()["is_new_session"] is True
        bundle = await server.http.get(answer.json()["debug_bundle_url"])
        archive = zipfile.ZipFile(io.BytesIO(bundle.content))
        assert set(archive.namelist()) == {"screenshot.png", "page.html", "log.txt"}
        assert archive.read("screenshot.png").startswith(b"\x89PNG")
        assert "harbor-1" not in archive.read("log.txt").decode()


async def test_containers_without_booking_and_unknown_ones_are_told_apart(
    data_dir: Path,
) -> None:
    async with mooring(data_dir) as server:
        session_id = await server.open_session()
        none = await server.get_booking("MSCU5165756", session_id=session_id)
        assert (none.status_code, none.json()["booking_number"]) == (200, None)
        late = await server.get_booking("MSDU5772413", session_id=session_id)
        assert late.json()["booking_number"] == "BKG5772413"
        unknown = await server.get_booking("NONE0000000", session_id=session_id)
        assert unknown.status_code == 404
        assert unknown.json()["error"] == "Container not found"
        assert unknown.json()["container_id"] == "NONE0000000"
