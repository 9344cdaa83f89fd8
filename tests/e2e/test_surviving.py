"""Browser sessions outlive their server: killed or stopped, and started again on its directory."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trio
import trio_websocket

from engine.clock import SystemClock
from engine.seal import MasterKey
from tests.e2e.running import chromium_directories, demo_on_its_own, mooring
from tests.e2e.test_events import history
from tests.faults.private_postgres import PrivatePostgres


async def test_a_killed_servers_sessions_answer_under_their_ids_without_a_second_login(
    data_dir: Path,
) -> None:
    async with demo_on_its_own() as demo:
        async with mooring(data_dir, demo=demo) as server:
            ids = [await server.open_session(number) for number in (1, 2)]
            await server.stop(signal.SIGKILL)
        async with mooring(data_dir, demo=demo) as server:
            before = await server.sessions()
            assert [it["session_id"] for it in before] == ids
            assert {it["status"] for it in before} == {"waiting"}
            assert {it["current_url"] for it in before} == {f"{demo.portal_url}/containers"}
            assert (await server.http.get(f"{server.url}/health")).json()["active_sessions"] == 0
            booking = await server.get_booking(session_id=ids[0])
            assert booking.status_code == 200, booking.text
            assert booking.json()["booking_number"] == "RICFEM857500"
            assert booking.json()["session_id"] == ids[0]
            assert booking.json()["is_new_session"] is False
            again = (await server.get_session(2)).json()
            assert (again["session_id"], again["is_new"]) == (ids[1], False)
            assert (await server.control())["logins"] == {"driver-1": 1, "driver-2": 1}
            assert {it["status"] for it in await server.sessions()} == {"live"}


async def test_a_restored_session_goes_back_to_the_page_that_it_was_at(data_dir: Path) -> None:
    async with demo_on_its_own() as demo:
        elsewhere = f"{demo.portal_url}/myappointments"
        async with mooring(data_dir, demo=demo) as server:
            session_id = await server.open_session()
            await lead_away(data_dir, elsewhere)
            assert await server.stop() == 0
        async with mooring(data_dir, demo=demo, restore="eager") as server:
            await server.wait_for_status(session_id, "live")
            assert [it["current_url"] for it in await server.sessions()] == [elsewhere]
            assert await server.logins() == 1


async def test_cookies_that_hold_no_more_cost_one_login_with_the_saved_credentials(
    data_dir: Path,
) -> None:
    async with demo_on_its_own() as demo:
        async with mooring(data_dir, demo=demo) as server:
            session_id = await server.open_session()
            await server.stop(signal.SIGKILL)
        async with mooring(data_dir, demo=demo) as server:
            await server.control(logout_all=True)
            booking = await server.get_booking(session_id=session_id)
            assert booking.json()["booking_number"] == "RICFEM857500", booking.text
            assert await server.logins() == 2


async def test_a_clean_stop_keeps_sessions_for_the_next_start_on_one_line_of_events(
    data_dir: Path,
) -> None:
    async with demo_on_its_own() as demo:
        async with mooring(data_dir, demo=demo) as server:
            session_id = await server.open_session()
            assert await server.stop() == 0
        async with mooring(data_dir, demo=demo, restore="eager") as server:
            await server.wait_for_status(session_id, "live")
            assert await server.logins() == 1
            await server.delete(session_id)
            events = await history(server, session_id)
        told = ["session.created", "session.parked", "session.recovered", "session.closed"]
        assert [event for event in events if event in told] == told


async def test_restore_off_and_a_closed_session_leave_nothing_to_come_back(
    data_dir: Path,
) -> None:
    async with demo_on_its_own() as demo:
        async with mooring(data_dir, demo=demo) as server:
            closed, waiting = await server.open_session(1), await server.open_session(2)
            assert (await server.delete(closed)).status_code == 200
            await server.stop(signal.SIGKILL)
        async with mooring(data_dir, demo=demo, restore="off") as server:
            assert await server.sessions() == []
            gone = await server.get_booking(session_id=waiting)
            assert (gone.status_code, gone.json()["reason"]) == (404, "closed")
        async with mooring(data_dir, demo=demo) as server:
            assert await server.sessions() == []


async def test_without_persist_sessions_end_with_their_server(data_dir: Path) -> None:
    async with demo_on_its_own() as demo:
        async with mooring(data_dir, demo=demo, persist="false") as server:
            session_id = await server.open_session()
            await server.stop(signal.SIGKILL)
        async with mooring(data_dir, demo=demo) as server:
            assert await server.sessions() == []
            assert (await server.get_booking(session_id=session_id)).status_code == 404
            assert (await server.delete(session_id)).status_code == 404


async def test_a_session_that_waits_can_be_deleted(data_dir: Path) -> None:
    async with demo_on_its_own() as demo:
        async with mooring(data_dir, demo=demo) as server:
            session_id = await server.open_session()
            await server.stop(signal.SIGKILL)
        async with mooring(data_dir, demo=demo) as server:
            assert (await server.delete(session_id)).status_code == 200
            assert await server.sessions() == []
            await server.stop(signal.SIGKILL)
        async with mooring(data_dir, demo=demo) as server:
            assert await server.sessions() == []
            with trio.fail_after(30):
                assert (await server.get_session()).json()["is_new"] is True


async def test_the_demo_that_a_server_starts_knows_its_visitors_after_a_kill(
    data_dir: Path,
) -> None:
    """`make serve`, a login, `kill -9`, `make serve`: as a person tries it."""
    async with mooring(data_dir) as server:
        session_id = await server.open_session()
        await server.stop(signal.SIGKILL)
        where = server.portal_url
    async with mooring(data_dir) as server:
        assert server.portal_url == where
        booking = await server.get_booking(session_id=session_id)
        assert booking.json()["booking_number"] == "RICFEM857500", booking.text
        assert await server.logins() == 1


async def test_nothing_in_the_data_directory_gives_a_secret_away(data_dir: Path) -> None:
    async with mooring(data_dir, restore="eager") as server:
        ids = [await server.open_session(number) for number in (1, 2)]
        await server.get_booking(session_id=ids[0], debug=True)
        cookies = await cookies_in_chromium(data_dir)
        assert len(cookies) >= 2
        secrets = {b"harbor-1", b"harbor-2", b"demo-captcha-key", *cookies}
        assert found_in(data_dir, secrets) == {}
        await server.stop(signal.SIGKILL)
        assert found_in(data_dir, secrets) == {}
    async with mooring(data_dir, restore="eager") as server:
        await server.wait_for_status(ids[1], "live")
        # It is the same login: what has been looked for is what restored it.
        assert await cookies_in_chromium(data_dir) >= cookies
        await server.delete(ids[0])
        assert await server.stop() == 0
    assert found_in(data_dir, secrets) == {}


async def test_with_postgresql_it_is_the_same_and_a_dump_gives_nothing_away(
    data_dir: Path, postgres: PrivatePostgres
) -> None:
    postgres.sql("CREATE DATABASE surviving")
    environment = {
        "MOORING_STORE": postgres.url("surviving"),
        "MOORING_KEY": MasterKey.generate(SystemClock()).text,
    }
    async with demo_on_its_own() as demo:
        async with mooring(data_dir, demo=demo, environment=environment) as server:
            session_id = await server.open_session()
            secrets = {b"harbor-1", b"demo-captcha-key", *await cookies_in_chromium(data_dir)}
            assert len(secrets) > 2
            await server.stop(signal.SIGKILL)
        dump = await trio.to_thread.run_sync(postgres.dump, "surviving")
        assert session_id.encode() in dump
        assert [form for form in forms_of(secrets) if form in dump] == []
        async with mooring(data_dir, demo=demo, environment=environment) as server:
            assert await server.status(session_id) == "waiting"
            booking = await server.get_booking(session_id=session_id)
            assert booking.json()["booking_number"] == "RICFEM857500", booking.text
            assert await server.logins() == 1
            assert (await server.delete(session_id)).status_code == 200


def forms_of(secrets: set[bytes]) -> dict[bytes, bytes]:
    """Return the secrets by what they may look like: raw, in base64, in hex."""
    return {
        form: secret
        for secret in secrets
        for form in (secret, base64.b64encode(secret).rstrip(b"="), secret.hex().encode())
    }


def found_in(directory: Path, secrets: set[bytes]) -> dict[str, bytes]:
    """Return the files that hold a secret."""
    forms = forms_of(secrets)
    files = [file for file in directory.rglob("*") if file.is_file()]
    assert any(file.name == "mooring.db" for file in files)
    texts = {str(file): file.read_bytes() for file in files}
    return {
        name: secret
        for name, text in texts.items()
        for form, secret in forms.items()
        if form in text
    }


async def cookies_in_chromium(data_dir: Path) -> set[bytes]:
    """Return the login cookies of all contexts, asked of Chromium by a connection of our own."""
    found: set[bytes] = set()
    for endpoint in endpoints(data_dir):
        async with trio_websocket.open_websocket_url(endpoint) as socket:
            contexts = (await asked(socket, "Target.getBrowserContexts"))["browserContextIds"]
            for context in contexts:
                answer = await asked(socket, "Storage.getCookies", browserContextId=context)
                found |= {each["value"].encode() for each in answer["cookies"]}
    return found


async def lead_away(data_dir: Path, url: str) -> None:
    """Have the pages that show the portal show another address, behind the server's back."""
    for endpoint in endpoints(data_dir):
        async with trio_websocket.open_websocket_url(endpoint) as socket:
            for target in (await asked(socket, "Target.getTargets"))["targetInfos"]:
                if target["type"] == "page" and target["url"].endswith("/containers"):
                    place, _, _ = endpoint.partition("/devtools/")
                    page = f"{place}/devtools/page/{target['targetId']}"
                    async with trio_websocket.open_websocket_url(page) as tab:
                        await asked(tab, "Page.navigate", url=url)


def endpoints(data_dir: Path) -> Iterator[str]:
    """Yield where a server's Chromiums can be connected to."""
    for directory in chromium_directories(data_dir):
        port, path = (directory / "profile" / "DevToolsActivePort").read_text().splitlines()
        yield f"ws://127.0.0.1:{port}{path}"


async def asked(socket: trio_websocket.WebSocketConnection, method: str, **params: str) -> Any:
    await socket.send_message(json.dumps({"id": 1, "method": method, "params": params}))
    while True:
        message = json.loads(await socket.get_message())
        if message.get("id") == 1:
            return message["result"]
