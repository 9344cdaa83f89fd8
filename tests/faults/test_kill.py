"""`kill -9` of the server, and of its Chromiums, at random moments under load of every kind."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.api.cli.test_store import run
from tests.api.monitoring.test_metrics import scrape
from tests.e2e.running import (
    Mooring,
    browser_pids,
    chromium_directories,
    chromium_processes,
    demo_on_its_own,
    mooring,
)
from tests.faults.load import (
    SETTINGS,
    Chat,
    Client,
    Driver,
    Load,
    Partner,
    Place,
    loaded,
    until_idle,
)
from tests.faults.private_postgres import PrivatePostgres
from tests.faults.rounds import ROUNDS, chance, tell
from tests.leaks import reap_orphans

KEY = "A" * 43 + "="


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A server's data directory; no process and no profile of its Chromiums outlives the test."""
    directory = tmp_path / "data"
    yield directory
    reap_orphans()
    assert chromium_processes(directory) == {}
    assert chromium_directories(directory) == []


def everybody(place: Place) -> list[Client]:
    return [
        *(Chat(place, f"user-{number}") for number in range(4)),
        *(Driver(place, number) for number in (1, 2)),
        *(Partner(place, f"partner-{number}") for number in range(2)),
    ]


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> dict[str, str]:
    """Where the server keeps everything."""
    if request.param == "sqlite":
        return {}
    postgres: PrivatePostgres = request.getfixturevalue("postgres")
    return {"MOORING_STORE": postgres.url(schema="killed"), "MOORING_KEY": KEY}


async def test_what_was_answered_is_there_once_and_in_order_after_kills_of_the_server(
    data_dir: Path, store: dict[str, str]
) -> None:
    moments = chance(f"server {sorted(store)}")
    env = SETTINGS | store
    async with demo_on_its_own() as demo, loaded(everybody) as load:
        async with trio.open_nursery() as nursery:
            for number in range(ROUNDS):
                async with mooring(data_dir, demo=demo, capacity=4, environment=env) as server:
                    load.place.url = server.url
                    if number == 0:
                        nursery.start_soon(load.run)
                    await load.place.wait_more(load.kinds, moments.randrange(20, 120))
                    await server.stop(signal.SIGKILL)
            async with mooring(data_dir, demo=demo, capacity=4, environment=env) as server:
                load.place.url = server.url
                await load.place.wait_more(load.kinds, 30)
                await load.end()
        async with mooring(data_dir, demo=demo, capacity=4, environment=env) as server:
            load.place.url = server.url
            await _hold_against(server, load)
            logins = await server.control()
            assert await server.stop() == 0
    for client in load.clients:
        if isinstance(client, Driver):
            assert len(client.ids) == 1, "a session that had answered came back under another id"
    # A login whose end was cut off with the server is done again, nothing else.
    assert max(logins["logins"].values()) <= 1 + ROUNDS
    checked = await trio.to_thread.run_sync(lambda: run(data_dir, "check", **store))
    assert checked.returncode == 0, checked.stdout
    name = "PostgreSQL" if store else "SQLite"
    tell(f"{ROUNDS} kills of the server on {name}: {load.counts()}; logins {logins['logins']}")


async def test_kills_of_chromium_cost_no_session_and_no_answer(data_dir: Path) -> None:
    moments = chance("chromium")
    killed = 0
    async with demo_on_its_own() as demo, loaded(everybody) as load:
        settings = {"capacity": 4, "sessions_per_process": 1}
        async with mooring(data_dir, demo=demo, environment=SETTINGS, **settings) as server:
            load.place.url = server.url
            async with trio.open_nursery() as nursery:
                nursery.start_soon(load.run)
                await load.place.wait_more(load.kinds, 10)
                for _ in range(ROUNDS):
                    await load.place.wait_more(load.kinds, moments.randrange(10, 60))
                    pids = browser_pids(data_dir)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(moments.choice(pids), signal.SIGKILL)
                        killed += 1
                await load.place.wait_more(load.kinds, 20)
                await load.end()
            await _hold_against(server, load)
            found = await scrape(server.http, server.url)
            assert await server.stop() == 0
    for client in load.clients:
        if isinstance(client, Driver):
            assert len(client.ids) == 1
    crashed = sum(value for name, value in found.items() if name.startswith("mooring_actor_crash"))
    assert crashed == 0
    tell(f"{killed} kills of a Chromium: {load.counts()}")


async def _hold_against(server: Mooring, load: Load) -> None:
    with trio.fail_after(120):
        await load.check()
    await until_idle(lambda: scrape(server.http, server.url))
