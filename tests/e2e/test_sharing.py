"""Two servers on one PostgreSQL: one has a browser session, and the other goes on with it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trio

from tests.e2e.running import (
    Mooring,
    chromium_directories,
    chromium_processes,
    demo_on_its_own,
    mooring,
)
from tests.e2e.test_two_servers import KEY, LEASE_S, owners
from tests.engine.store.parts import PostgresBackend
from tests.faults.private_postgres import PrivatePostgres


@pytest.fixture
def place(postgres: PrivatePostgres) -> PostgresBackend:
    return PostgresBackend(postgres)


@pytest.fixture
def data_dirs(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Two servers' data directories; nothing of their Chromiums outlives the test."""
    directories = tmp_path / "a", tmp_path / "b"
    yield directories
    for directory in directories:
        assert chromium_processes(directory) == {}
        assert chromium_directories(directory) == []


async def _until_restored(by: Mooring, session_id: str) -> httpx.Response:
    with trio.fail_after(60):
        while (answer := await by.get_booking(session_id=session_id)).status_code == 503:
            await trio.sleep(0.1)  # another process's lease gives no event to wait for
    return answer


async def test_a_browser_session_has_one_server_and_goes_on_under_the_other_after_its_end(
    data_dirs: tuple[Path, Path], place: PostgresBackend
) -> None:
    first, second = data_dirs
    env = {"MOORING_STORE": place.where, "MOORING_KEY": KEY, "MOORING_LEASE_S": str(LEASE_S)}
    async with demo_on_its_own() as demo:
        async with mooring(first, demo=demo, environment=env) as a:
            session_id = await a.open_session()
            async with mooring(second, demo=demo, environment=env) as b:
                for refused in (
                    await b.get_session(),
                    await b.get_booking(session_id=session_id),
                    await b.delete(session_id),
                ):
                    assert refused.status_code == 503, refused.text
                    assert 1 <= int(refused.headers["Retry-After"]) <= LEASE_S
                assert await b.sessions() == []
                assert owners(place) == [f"browser/{session_id}"]
                await a.stop(signal.SIGKILL)
                booking = await _until_restored(b, session_id)
                assert booking.json()["booking_number"] == "RICFEM857500", booking.text
                assert (await b.get_session()).json()["session_id"] == session_id
                assert await b.logins() == 1
                assert await b.stop() == 0
        async with mooring(first, demo=demo, environment=env) as a:
            assert await a.status(session_id) == "waiting"
            assert (await a.get_booking(session_id=session_id)).status_code == 200
            assert await a.logins() == 1
            assert (await a.delete(session_id)).status_code == 200
        assert owners(place) == []
