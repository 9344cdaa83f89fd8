"""SIGTERM, and what is left of a server that was killed."""

from __future__ import annotations

import signal
from pathlib import Path

import httpx
import pytest
import trio

from tests.e2e.running import chromium_directories, chromium_processes, mooring


async def test_sigterm_lets_operations_end_and_leaves_nothing(data_dir: Path) -> None:
    async with mooring(data_dir) as server:
        session_id = await server.open_session()
        await server.control(delay_s=1)
        answers: list[httpx.Response] = []

        async def book() -> None:
            answers.append(await server.get_booking(session_id=session_id))

        deaf = await trio.open_tcp_stream("127.0.0.1", server.port)
        async with deaf, trio.open_nursery() as nursery:
            # One client keeps its connection open and idle, this one asks and reads nothing.
            await deaf.send_all(b"GET /sessions HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
            nursery.start_soon(book)
            await server.wait_for_status(session_id, "in_use")
            assert await server.stop(signal.SIGTERM, within_s=15) == 0
        assert answers[0].status_code in {200, 409, 503}
        with pytest.raises(OSError, match="connect"):
            await trio.open_tcp_stream("127.0.0.1", server.port)


async def test_leftovers_of_a_killed_server_are_removed_by_the_next_start(data_dir: Path) -> None:
    async with mooring(data_dir) as server:
        await server.open_session()
        await server.stop(signal.SIGKILL)
        left = set(chromium_processes(data_dir)), set(chromium_directories(data_dir))
        assert all(left)
    async with mooring(data_dir) as server:
        await server.open_session()
        assert not left[0] & set(chromium_processes(data_dir))
        assert not left[1] & set(chromium_directories(data_dir))


async def test_no_secret_stands_in_the_log(data_dir: Path) -> None:
    async with mooring(data_dir) as server:
        session_id = await server.open_session()
        await server.get_session(password="a-wrong-secret")
        await server.get_booking(session_id=session_id, debug=True)
        assert await server.stop() == 0
    text = server.errors.decode()
    assert "get_session" in text
    for secret in ("harbor-1", "a-wrong-secret", "demo-captcha-key"):
        assert secret not in text


async def test_the_demo_does_not_outlive_a_server_that_was_killed(data_dir: Path) -> None:
    async with mooring(data_dir) as server:
        await server.stop(signal.SIGKILL)
        portal = httpx.URL(server.portal_url)
        with trio.fail_after(40):
            while await _listens(portal):
                await trio.sleep(0.05)
    async with mooring(data_dir):  # removes what the first one left
        pass


async def _listens(url: httpx.URL) -> bool:
    try:
        stream = await trio.open_tcp_stream(url.host, url.port or 80)
    except OSError:
        return False
    await stream.aclose()
    return True
