"""Several servers on one store: each browser session is one server's, and goes on under another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager

import pytest
import trio

from actors.browser.errors import NotKnown, SessionClosed, SessionNotFound
from actors.browser.messages import CloseSession
from engine.errors import StoreUnavailable
from engine.ownership import NotOwner
from engine.store import MemoryDisk
from tests.actors.browser.fakes import Site, Task
from tests.actors.browser.house import LEASE_S, House, open_house


@asynccontextmanager
async def two_houses(
    site: Site, *, leaves: bool = True, **changes: object
) -> AsyncIterator[tuple[House, House]]:
    disk = MemoryDisk(shared=True)
    async with (
        open_house(disk=disk, site=site, node="one", leaves=leaves, **changes) as one,
        open_house(disk=disk, site=site, node="other", leaves=leaves, **changes) as other,
    ):
        yield one, other


@contextmanager
def cut_off(house: House):
    """Let a server reach its store no more for the length of a block."""

    async def away(*_: object, **__: object) -> None:
        await trio.sleep(1)
        raise StoreUnavailable("cut off")

    names = ("own", "renew", "disown", "load", "commit", "resolve", "newest")
    kept = {name: getattr(house.store, name) for name in names}
    for name in names:
        setattr(house.store, name, away)
    yield
    for name, method in kept.items():
        setattr(house.store, name, method)


@contextmanager
def answered_late(house: House):
    """Let this server's commits hold, and hear of it only when its lease is over."""
    commit = house.store.commit

    async def late(*args: object, **more: object) -> object:
        done = await commit(*args, **more)
        await trio.sleep(2 * LEASE_S)
        return done

    with cut_off(house):
        house.store.commit = late
        yield


async def lives_at(house: House) -> list[str]:
    return [view.session_id for view in await house.list() if view.status == "live"]


async def test_a_browser_session_is_one_servers_and_others_say_when_to_ask_again(
    autojump_clock,
):
    site = Site()
    async with two_houses(site) as (one, other):
        session_id = (await one.get()).session_id
        for asked in (
            other.get_soon(),
            other.run_soon(Task(), session_id),
            other.run_soon(Task(), number=1),
            other.run_soon(Task(), session_id, number=1),
            other.ask_soon(CloseSession(session_id=session_id)),
        ):
            with pytest.raises(NotOwner) as caught:
                await asked.outcome()
            assert 1 <= caught.value.retry_after_s <= LEASE_S
        assert await other.list() == ()
        assert (await one.run(Task(), session_id)).session_id == session_id
        assert site.logins == {"driver-1": 1}


async def test_a_server_that_starts_beside_another_leaves_its_sessions_alone(autojump_clock):
    site, disk = Site(), MemoryDisk(shared=True)
    async with open_house(disk=disk, site=site, node="one") as one:
        session_id = (await one.get()).session_id
        for restore in ("lazy", "eager", "off"):
            settings = {"restore": restore, "leaves": False}
            async with open_house(disk=disk, site=site, node="other", **settings) as other:
                await trio.sleep(60)
                assert await other.list() == ()
                assert await lives_at(one) == [session_id]
        types = await one.events(session_id)
        assert "session.parked" not in types
        assert "session.closed" not in types
        assert (await one.run(Task(), session_id)).is_new_session is False


@pytest.mark.parametrize("by", ["id", "credentials"])
async def test_when_a_server_has_stopped_another_goes_on_with_its_sessions_at_once(
    autojump_clock, by: str
):
    site, disk = Site(), MemoryDisk(shared=True)
    async with open_house(disk=disk, site=site, node="other") as other:
        async with open_house(disk=disk, site=site, node="one", leaves=False) as one:
            session_id = (await one.get()).session_id
        how = {"session_id": session_id} if by == "id" else {"number": 1}
        done = await other.run(Task(), **how)
        assert (done.session_id, done.is_new_session) == (session_id, False)
        assert site.logins == {"driver-1": 1}
        assert await lives_at(other) == [session_id]


async def test_a_session_that_nobody_has_any_more_can_be_closed_anywhere(autojump_clock):
    site, disk = Site(), MemoryDisk(shared=True)
    async with open_house(disk=disk, site=site, node="other") as other:
        async with open_house(disk=disk, site=site, node="one", leaves=False) as one:
            session_id = (await one.get()).session_id
        await other.ask_soon(CloseSession(session_id=session_id)).outcome()
        assert await other.last_event(session_id) == ("session.closed", {"reason": "closed"})
        with pytest.raises(SessionNotFound):
            await other.run(Task(), session_id)


async def test_browsers_end_before_their_lease_and_others_have_them_after_it(autojump_clock):
    site = Site()
    async with two_houses(site) as (one, other):
        session_id = (await one.get()).session_id
        working = one.run_soon(Task(name="long", seconds=100.0), session_id)
        await one.begun("long")
        with cut_off(one):
            while await lives_at(one) or await one.list():
                with pytest.raises(NotOwner):
                    await other.run(Task(), session_id)
                await trio.sleep(0.1)
            with pytest.raises(SessionClosed):
                await working.outcome()
            with pytest.raises(NotKnown):
                await one.run(Task(), session_id)
            await trio.sleep(1.5 * LEASE_S)
            assert (await other.run(Task(), session_id)).session_id == session_id
        with pytest.raises(NotOwner):
            await one.run(Task(), session_id)
        assert "session.closed" not in await other.events(session_id)
        await trio.sleep(60)
        assert (await one.list(), await lives_at(other)) == ((), [session_id])
        assert site.logins == {"driver-1": 1}


async def test_after_an_outage_that_outlasted_the_lease_a_session_is_restored_where_it_was(
    autojump_clock,
):
    site = Site()
    async with two_houses(site) as (one, _):
        session_id = (await one.get()).session_id
        with cut_off(one):
            await trio.sleep(4 * LEASE_S)
            assert await one.list() == ()
        await trio.sleep(5)
        assert [view.status for view in await one.list()] == ["waiting"]
        types = await one.events(session_id)
        assert types[-1] == "session.parked"
        done = await one.run(Task(), session_id)
        assert (done.session_id, done.is_new_session) == (session_id, False)
        assert site.logins == {"driver-1": 1}


async def test_a_commit_whose_answer_outlasts_the_lease_brings_nothing_back(autojump_clock):
    site = Site()
    async with two_houses(site) as (one, other):
        session_id = (await one.get()).session_id
        with answered_late(one):
            await one.run(Task(), session_id)
            await trio.sleep(1.5 * LEASE_S)
            assert (await other.run(Task(), session_id)).session_id == session_id
            await trio.sleep(2 * LEASE_S)
        assert (await one.list(), await lives_at(other)) == ((), [session_id])
        types = await other.events(session_id)
        assert "session.closed" not in types
        assert types.count("session.parked") == types.count("session.recovered") == 1
        assert site.logins == {"driver-1": 1}


async def test_many_that_ask_for_a_session_that_has_moved_get_the_same_one(autojump_clock):
    site, disk = Site(), MemoryDisk(shared=True)
    async with open_house(disk=disk, site=site, node="other") as other:
        async with open_house(disk=disk, site=site, node="one", leaves=False) as one:
            ids = {(await one.get(number)).session_id for number in (1, 2)}
        asked = [other.get_soon(1 + number % 2) for number in range(20)]
        asked += [other.run_soon(Task(), session_id) for session_id in ids for _ in range(5)]
        assert {(await each.outcome()).session_id for each in asked} == ids
        assert site.logins == {"driver-1": 1, "driver-2": 1}
        for session_id in ids:
            types = await other.events(session_id)
            assert types.count("session.parked") == types.count("session.recovered") == 1


async def test_an_id_that_nobody_ever_had_is_not_found(autojump_clock):
    async with two_houses(Site()) as (one, _):
        for name in ("session_1_2", "", "a/b", "\0", "ä" * 2_000):
            with pytest.raises(SessionNotFound):
                await one.run(Task(), name)


async def test_a_journal_that_crashes_has_its_sessions_again(autojump_clock):
    site = Site()
    async with two_houses(site) as (one, other):
        session_id = (await one.get()).session_id
        assert one.equipment.journal is not None
        one.equipment.journal.signal("no message of its")
        await trio.sleep(60)
        assert (await one.run(Task(), session_id)).session_id == session_id
        with pytest.raises(NotOwner):
            await other.run(Task(), session_id)
        await one.close(session_id)
        assert (await one.last_event(session_id))[0] == "session.closed"
