"""Browser sessions over REST: reuse, capacity, protection, recovery."""

from __future__ import annotations

import io
import os
import signal
import zipfile
from pathlib import Path

import httpx
import trio

from tests.e2e.running import Mooring, browser_pids, credentials, mooring


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


async def test_sessions_answer_under_their_old_ids_after_chromium_was_killed(
    data_dir: Path,
) -> None:
    async with mooring(data_dir) as server:
        first, second = await server.open_session(1), await server.open_session(2)
        before = browser_pids(data_dir)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        with trio.fail_after(10):
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


async def _leave_during(server: Mooring, path: str, body: dict[str, str]) -> None:
    """Send a request, and close the connection without reading the answer."""
    async with httpx.AsyncClient(trust_env=False) as http:
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
