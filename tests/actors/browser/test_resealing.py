"""Sealing anew what is saved of browser sessions, cut off at any commit."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from actors.browser.place import stream_of
from actors.browser.resealing import reseal_sessions
from engine.clock import SeededClock
from engine.errors import StoreUnavailable
from engine.reseal import Resealed, Resealing, reseal_store
from engine.seal import MasterKey, Sealer
from engine.store import MemoryDisk, open_memory
from tests.actors.browser.fakes import Site, Task
from tests.actors.browser.house import KEY, open_house

NEW = MasterKey(b"n" * 32)


async def left(site: Site, *numbers: int) -> tuple[MemoryDisk, list[str]]:
    async with open_house(site=site, leaves=False) as house:
        ids = [(await house.get(number)).session_id for number in numbers]
        return house.killed(), ids


async def reseal(disk: MemoryDisk, *, commits: float = float("inf")) -> Resealed:
    """Seal a disk anew; the store goes away after so many commits."""
    clock = SeededClock(5)
    async with open_memory(disk, clock=clock) as store:
        commit, done = store.commit, 0

        async def counted(*args: Any, **kwargs: Any) -> Any:
            nonlocal done
            done += 1
            if done > commits:
                raise StoreUnavailable("cut off")
            return await commit(*args, **kwargs)

        store.commit = counted
        work = Resealing(
            store=store,
            sealer=Sealer((NEW, KEY), clock),
            epoch=await store.begin_epoch(),
            clock=clock,
        )
        return await reseal_store(work, {"browser": reseal_sessions}, (KEY,))


async def test_sessions_come_back_under_the_new_key_alone(autojump_clock):
    site = Site()
    disk, ids = await left(site, 1, 2)
    assert await reseal(disk) == Resealed(changed={"browser": 2}, needed={})
    async with open_house(disk=disk, site=site, key=NEW) as house:
        assert (await house.get(1)).session_id == ids[0]
        await house.run(Task(), ids[1])
        assert site.logins == {"driver-1": 1, "driver-2": 1}


async def test_doing_it_again_changes_nothing(autojump_clock):
    disk, (session_id,) = await left(Site(), 1)
    await reseal(disk)
    before = disk._logs[stream_of(session_id)].snapshot
    assert await reseal(disk) == Resealed(changed={}, needed={})
    assert disk._logs[stream_of(session_id)].snapshot == before


@pytest.mark.parametrize("commits", [0, 1, 2])
async def test_cut_off_anywhere_it_is_whole_and_can_be_done_again(autojump_clock, commits: int):
    site = Site()
    disk, ids = await left(site, 1, 2, 3)
    with pytest.raises(StoreUnavailable):
        await reseal(disk, commits=commits)
    between = copy.deepcopy(disk)
    async with open_house(
        disk=between, site=site, key=NEW, more_keys=(KEY,), leaves=False
    ) as house:
        assert [(await house.get(number)).session_id for number in (1, 2, 3)] == ids
    assert await reseal(disk) == Resealed(changed={"browser": 3 - commits}, needed={})
    async with open_house(disk=disk, site=site, key=NEW) as house:
        assert [(await house.get(number)).session_id for number in (1, 2, 3)] == ids
        assert site.logins.total() == 3


async def test_what_has_ended_needs_no_key(autojump_clock):
    async with open_house(leaves=False) as house:
        await house.close((await house.get()).session_id)
        disk = house.killed()
    assert await reseal(disk) == Resealed(changed={}, needed={})


async def test_logins_are_claimed_under_the_new_key_and_given_up_under_the_old(autojump_clock):
    disk, _ = await left(Site(), 1)
    before = set(disk._aliases)
    await reseal(disk)
    assert len(disk._aliases) == 1
    assert not before & set(disk._aliases)


async def test_what_no_key_opens_is_left_as_it_is(autojump_clock):
    disk, (session_id,) = await left(Site(), 1)
    clock = SeededClock(5)
    other = MasterKey(b"x" * 32)
    before = disk._logs[stream_of(session_id)].snapshot
    async with open_memory(disk, clock=clock) as store:
        work = Resealing(
            store=store,
            sealer=Sealer((NEW, other), clock),
            epoch=await store.begin_epoch(),
            clock=clock,
        )
        assert await reseal_sessions(work) == 0
    assert disk._logs[stream_of(session_id)].snapshot == before
