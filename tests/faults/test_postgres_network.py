"""A network to PostgreSQL that stalls, cuts, swallows answers, or is slow."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest
import trio

from engine.errors import CommitConflict, StoreUnavailable
from engine.store import Claim, PostgresStore, Store, open_postgres
from tests.engine.store.parts import PostgresBackend, commit, events, row
from tests.faults.private_postgres import PrivatePostgres
from tests.faults.proxy import Proxy, open_proxy
from tests.faults.rounds import chance

# How long an answer may take in these tests, where the code says twenty seconds.
_ANSWER_S = 1.0


@pytest.fixture
def place(postgres: PrivatePostgres) -> PostgresBackend:
    return PostgresBackend(postgres)


@pytest.fixture
async def proxy(postgres: PrivatePostgres) -> AsyncIterator[Proxy]:
    async with open_proxy(postgres.port) as opened:
        yield opened


@pytest.fixture
async def store(
    place: PostgresBackend, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PostgresStore]:
    """A store behind the proxy, that has its connections already."""
    monkeypatch.setattr("engine.store._postgres_writer.ANSWER_S", _ANSWER_S)
    url = place.server.url(schema=place.schema, port=proxy.port)
    async with open_postgres(url, clock=place.clock) as opened:
        await opened.begin_epoch()
        await opened.commit(commit("note/first"))
        await opened.newest("note/first")
        yield opened
        proxy.resume()
        assert (await opened.check()).problems == ()


async def _until_written(place: PostgresBackend, stream: str, seq: int) -> None:
    """Look past the proxy until the database has it."""
    async with place.open() as beside:
        with trio.fail_after(40):
            while await beside.newest(stream) < seq:
                await trio.sleep(0.01)


async def test_a_commit_whose_answer_is_lost_is_looked_up_and_written_once(
    store: PostgresStore, place: PostgresBackend, proxy: Proxy
) -> None:
    done: list[int] = []

    async def write() -> None:
        done.append((await store.commit(commit(count=3))).seq)

    proxy.stall_answers()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await _until_written(place, "note/1", 3)
        assert done == []
        await proxy.cut(refuse=False)
        proxy.resume()
    assert done == [3]
    assert (await store.read("note/1")).events == events(1, 3)


async def test_who_was_refused_in_a_batch_whose_answer_is_lost_is_told_so(
    store: PostgresStore, place: PostgresBackend, proxy: Proxy
) -> None:
    conflicts: list[int] = []

    async def write(lagging: int) -> None:
        try:
            await store.commit(commit("note/first", seq=lagging))
        except CommitConflict as conflict:
            conflicts.append(conflict.newest_seq)

    proxy.stall_answers()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(write, 7)
        nursery.start_soon(store.commit, commit("note/beside"))
        await _until_written(place, "note/beside", 1)
        await proxy.cut(refuse=False)
        proxy.resume()
    assert conflicts == [1]


async def test_a_commit_that_did_not_arrive_is_sent_again(
    store: PostgresStore, proxy: Proxy
) -> None:
    proxy.stall_requests()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.commit, commit(claims=[Claim(alias="a")]))
        await _until_in_doubt(store)
        await proxy.cut(refuse=False)
        proxy.resume()
    assert (await store.read("note/1")).events == events(1)
    assert await store.resolve("a") is not None


async def test_a_commit_that_arrives_after_it_was_sent_again_is_refused(
    store: PostgresStore, place: PostgresBackend, proxy: Proxy
) -> None:
    """The network holds a statement back for so long that its writer has given it up."""
    await store.commit(commit(count=2))
    assert store._writer._connection is not None
    session = store._writer._connection._inner.get_server_pid()
    proxy.stall_requests()
    async with trio.open_nursery() as nursery:
        held = commit(seq=2, count=0, row=row(status="old"))  # it could be done twice
        nursery.start_soon(store.commit, held)
        await _until_in_doubt(store)
        let_go = proxy.hold_and_let_new_through()
    await store.commit(commit(seq=2, count=0, row=row(status="new")))
    let_go()
    with trio.fail_after(40):
        while place.server.sql(f"SELECT 1 FROM pg_stat_activity WHERE pid = {session}"):
            await trio.sleep(0.01)
    loaded = await store.load("note/1")
    assert loaded.row is not None
    assert loaded.row.status == "new"


async def _until_in_doubt(store: PostgresStore) -> None:
    with trio.fail_after(40):
        while not store._writer._in_doubt:
            await trio.sleep(0.01)


async def _until_idle(place: PostgresBackend) -> None:
    """Wait until the database works on nothing that this test has sent."""
    with trio.fail_after(40):
        while "active" in place.server.sql(
            "SELECT state FROM pg_stat_activity WHERE application_name = 'mooring'"
            " AND query LIKE '%commit_batch%' AND state = 'active'"
        ):
            await trio.sleep(0.01)


async def test_while_the_network_stalls_writes_wait_and_fail_at_their_deadline(
    store: PostgresStore, proxy: Proxy
) -> None:
    proxy.stall()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(store.commit, commit("note/begun"))
        await _until_in_doubt(store)
        with pytest.raises(StoreUnavailable, match="could not begin in time"):
            await store.commit(commit("note/waiting"), timeout_s=0.2)
        proxy.resume()
    assert await store.newest("note/begun") == 1
    assert await store.newest("note/waiting") == 0


async def test_while_the_database_is_away_failing_says_why_and_what_waits_is_written_later(
    store: PostgresStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.postgres._READ_S", 0.3)
    await proxy.cut()
    with pytest.raises(StoreUnavailable, match=r"in time: .*127\.0\.0\.1"):
        await store.commit(commit("note/late"), timeout_s=0.5)
    with pytest.raises(StoreUnavailable):
        await store.newest("note/first")
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(store.commit, commit(f"note/{number}"))
        await trio.testing.wait_all_tasks_blocked(0.05)
        proxy.resume()
    assert await store.newest("note/late") == 0
    for number in range(20):
        assert await store.newest(f"note/{number}") == 1


async def test_that_the_database_is_away_is_found_out_though_nobody_writes(
    store: PostgresStore, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store._group_commit._LOOK_EVERY_S", 0.05)
    await store.commit(commit("note/second"))  # the look that is under way has the old pause
    await proxy.cut()
    with trio.fail_after(20):
        while store.statistics().failing != "the database is away":
            await trio.sleep(0.01)
        proxy.resume()
        while store.statistics().failing is not None:
            await trio.sleep(0.01)


async def test_over_a_slow_network_everything_takes_longer_and_nothing_else(
    store: PostgresStore, proxy: Proxy
) -> None:
    proxy.delay_s = 0.05
    async with trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(store.commit, commit(f"note/{number}", count=2))
    for number in range(0, 30, 10):
        assert (await store.read(f"note/{number}")).events == events(1, 2)


async def test_cancelling_at_any_moment_leaves_the_pools_whole(
    store: PostgresStore, place: PostgresBackend
) -> None:
    moments = chance("network")
    await store.commit(commit("note/long", count=1_000))

    async def one(number: int) -> None:
        work = [
            partial(store.read, "note/long", limit=1_000),
            partial(store.check),
            partial(store.erase, f"note/{number}", epoch=1),
            partial(store.commit, commit(f"note/{number}")),
            partial(_export, store),
        ][number % 5]
        with trio.move_on_after(moments.random() * 0.05):
            await work()

    async with trio.open_nursery() as nursery:
        for number in range(300):
            nursery.start_soon(one, number)
            await trio.sleep(0.001)
    async with trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(store.newest, f"note/{number}")
            nursery.start_soon(store.check)
    assert await store.newest("note/long") == 1_000
    await _until_idle(place)
    sessions = place.server.sql(
        "SELECT count(*), bool_or(state LIKE 'idle in%') FROM pg_stat_activity"
        " WHERE application_name = 'mooring' AND query NOT LIKE '%pg_stat_activity%'"
    )
    count, stuck = sessions.strip().split("|")
    assert int(count) <= 8
    assert stuck == "f"


async def _export(store: Store) -> None:
    async with store.export() as lines:
        async for _ in lines:
            pass
