"""PostgreSQL killed, and the network to it cut, stalled and slow, under load of every kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import trio

from tests.api.cli.test_store import run
from tests.api.monitoring.test_metrics import scrape
from tests.e2e.running import Mooring, demo_on_its_own, mooring
from tests.faults.load import SETTINGS, Driver, Load, loaded, until_idle
from tests.faults.private_postgres import PrivatePostgres, private_postgres
from tests.faults.proxy import Proxy, open_proxy
from tests.faults.rounds import ROUNDS, chance, tell
from tests.faults.test_kill import KEY, data_dir, everybody

__all__ = ["data_dir"]

# Short, so that an outage outlasts it, and sessions are lost and had again.
LEASE_S = "5"


@pytest.fixture(scope="module")
def durable_postgres() -> Iterator[PrivatePostgres]:
    """A server that flushes to the disk, and may be killed."""
    with private_postgres(durable=True) as server:
        yield server


def settings(store: str) -> dict[str, str]:
    return SETTINGS | {"MOORING_STORE": store, "MOORING_KEY": KEY, "MOORING_LEASE_S": LEASE_S}


async def _until_health(server: Mooring, *, is_well: bool) -> None:
    """Wait until `/health` says so."""
    with trio.fail_after(60):
        while True:
            said = (await server.http.get(f"{server.url}/health")).json()
            codes = [problem["code"] for problem in said.get("problems", ())]
            if ("store_failing" not in codes) is is_well:
                return
            await trio.sleep(0.05)


async def _break_again_and_again(
    server: Mooring, load: Load, faults: list[Callable[[], Awaitable[None]]], of: str
) -> None:
    """Let everybody go on while one fault comes after the other; hold what is there against it."""
    moments = chance(of)
    load.place.url = server.url
    async with trio.open_nursery() as nursery:
        nursery.start_soon(load.run)
        for _ in range(ROUNDS):
            for fault in faults:
                await load.place.wait_more(load.kinds, moments.randrange(10, 60))
                await fault()
                await _until_health(server, is_well=True)
                await load.place.wait_more(load.kinds, 20)  # it has recovered by itself
        await load.end()
    with trio.fail_after(120):
        await load.check()
    await until_idle(lambda: scrape(server.http, server.url))
    for client in load.clients:
        if isinstance(client, Driver):
            assert len(client.ids) == 1, "a session that had answered came back under another id"


def _owned_once(postgres: PrivatePostgres, schema: str) -> None:
    """Every owner's row is of the one server that there is, and of a stream that exists."""
    found = postgres.sql(
        f"SELECT count(DISTINCT o.node), count(*) FILTER (WHERE s.epoch <> o.epoch)"
        f" FROM {schema}.owners o LEFT JOIN {schema}.streams s USING (stream)"
        f" WHERE o.expires_at > clock_timestamp()"
    )
    nodes, apart = found.strip().split("|")
    assert int(nodes) <= 1
    assert apart == "0"


async def test_the_database_may_be_killed_under_load_of_every_kind_and_nothing_answered_is_lost(
    data_dir: Path, durable_postgres: PrivatePostgres
) -> None:
    store = durable_postgres.url(schema="under_load")

    async def kill() -> None:
        await trio.to_thread.run_sync(durable_postgres.kill)
        await _until_health(server, is_well=False)
        await trio.to_thread.run_sync(durable_postgres.start)

    async with (
        demo_on_its_own() as demo,
        loaded(everybody) as load,
        mooring(data_dir, demo=demo, capacity=4, environment=settings(store)) as server,
    ):
        await _break_again_and_again(server, load, [kill], "postgres under load")
        _owned_once(durable_postgres, "under_load")
        logins = (await server.control())["logins"]
        assert await server.stop() == 0
    assert set(logins.values()) == {1}
    checked = await trio.to_thread.run_sync(
        lambda: run(data_dir, "check", MOORING_STORE=store, MOORING_KEY=KEY)
    )
    assert checked.returncode == 0, checked.stdout
    tell(f"{ROUNDS} kills of PostgreSQL under load: {load.counts()}; logins {logins}")


async def test_the_network_may_be_cut_stalled_and_slow_under_load_and_nothing_answered_is_lost(
    data_dir: Path, durable_postgres: PrivatePostgres
) -> None:
    async with (
        demo_on_its_own() as demo,
        loaded(everybody) as load,
        open_proxy(durable_postgres.port) as proxy,
    ):
        store = durable_postgres.url(schema="far_away", port=proxy.port)
        async with mooring(data_dir, demo=demo, capacity=4, environment=settings(store)) as server:
            faults = _faults_of(proxy, load, server)
            await _break_again_and_again(server, load, faults, "network under load")
            _owned_once(durable_postgres, "far_away")
            logins = (await server.control())["logins"]
            assert await server.stop() == 0
    assert set(logins.values()) == {1}
    tell(f"{ROUNDS} times a network cut, stalled and slow: {load.counts()}; logins {logins}")


def _faults_of(proxy: Proxy, load: Load, server: Mooring) -> list[Callable[[], Awaitable[None]]]:
    async def cut() -> None:
        await proxy.cut()
        await _until_health(server, is_well=False)
        proxy.resume()

    async def stall() -> None:
        proxy.stall()
        await _until_health(server, is_well=False)  # who waited was refused at the deadline
        proxy.resume()

    async def slow() -> None:
        proxy.delay_s = 0.05
        await load.place.wait_more(load.kinds, 20)
        proxy.resume()

    return [cut, stall, slow]
