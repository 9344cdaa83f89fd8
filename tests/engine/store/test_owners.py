"""Owning a stream: on every store for one node, and for several where a store can be shared."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from engine.errors import OwnedElsewhere, OwnershipLost, StoreError
from engine.store import MemoryDisk, Store, open_memory, open_postgres
from tests.engine.store.parts import Backend, PostgresBackend, commit

LEASE_S = 30.0


async def test_who_owns_a_stream_commits_to_it_under_the_epoch_it_was_given(store: Store) -> None:
    epoch = await store.own("note/1", node="a", lease_s=LEASE_S)
    await store.commit(commit(epoch=epoch))
    await store.commit(commit(seq=1, epoch=epoch))
    assert (await store.load("note/1")).epoch == epoch


async def test_owning_a_stream_makes_none(store: Store) -> None:
    await store.own("note/1", node="a", lease_s=LEASE_S)
    assert (await store.check()).streams == 0
    assert await store.newest("note/1") == 0


async def test_a_stream_may_be_owned_again_after_it_was_let_go(store: Store) -> None:
    first = await store.own("note/1", node="a", lease_s=LEASE_S)
    await store.commit(commit(epoch=first))
    await store.disown({"note/1": first}, node="a")
    second = await store.own("note/1", node="a", lease_s=LEASE_S)
    await store.commit(commit(seq=1, epoch=second))


async def test_what_is_owned_can_be_renewed_together(store: Store) -> None:
    names = [f"note/{number}" for number in range(50)]
    held = {name: await store.own(name, node="a", lease_s=LEASE_S) for name in names}
    assert await store.renew(held, node="a", lease_s=LEASE_S) == frozenset(names)
    assert await store.renew({}, node="a", lease_s=LEASE_S) == frozenset()
    await store.disown(held, node="a")


async def test_who_owns_a_stream_may_erase_it(store: Store) -> None:
    epoch = await store.own("note/1", node="a", lease_s=LEASE_S)
    await store.commit(commit(epoch=epoch))
    await store.erase("note/1", epoch=epoch)
    assert await store.newest("note/1") == 0


async def test_after_a_restart_the_same_node_owns_a_stream_at_once(backend: Backend) -> None:
    async with backend.open() as store:
        await store.begin_epoch()
        epoch = await store.own("note/1", node="a", lease_s=LEASE_S)
        await store.commit(commit(epoch=epoch))
    async with backend.open() as store:
        await store.begin_epoch()
        newer = await store.own("note/1", node="a", lease_s=LEASE_S)
        assert newer > epoch
        await store.commit(commit(seq=1, epoch=newer))


# -- several nodes ---------------------------------------------------------------------------------


@pytest.fixture(params=["nodes on one memory", "nodes on one PostgreSQL"])
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Store, Store]]:
    """Two stores on the same database."""
    async with _two(request) as (one, other):
        await one.begin_epoch()
        await other.begin_epoch()
        yield one, other


@asynccontextmanager
async def _two(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Store, Store]]:
    if request.param == "nodes on one memory":
        disk = MemoryDisk(shared=True)
        async with open_memory(disk) as one, open_memory(disk) as other:
            yield one, other
        return
    where = PostgresBackend(request.getfixturevalue("postgres")).where
    async with open_postgres(where) as one, open_postgres(where) as other:
        yield one, other


async def test_a_stream_has_one_owner_until_it_is_let_go(nodes: tuple[Store, Store]) -> None:
    one, other = nodes
    epoch = await one.own("note/1", node="a", lease_s=LEASE_S)
    with pytest.raises(OwnedElsewhere) as caught:
        await other.own("note/1", node="b", lease_s=LEASE_S)
    assert caught.value.node == "a"
    assert 0 < caught.value.left_s <= LEASE_S
    await one.disown({"note/1": epoch}, node="a")
    newer = await other.own("note/1", node="b", lease_s=LEASE_S)
    assert newer > epoch


async def test_nobody_but_its_owner_commits_to_a_stream(nodes: tuple[Store, Store]) -> None:
    one, other = nodes
    epoch = await one.own("note/1", node="a", lease_s=LEASE_S)
    for wrong in (epoch - 1, epoch + 1, 0, epoch + 1_000):
        with pytest.raises(OwnershipLost) as caught:
            await other.commit(commit(epoch=wrong))
        assert caught.value.newest_epoch == epoch
    assert await other.newest("note/1") == 0
    await one.commit(commit(epoch=epoch))


async def test_a_lease_that_is_over_stops_its_owner_and_lets_the_next_one_in(
    nodes: tuple[Store, Store],
) -> None:
    one, other = nodes
    epoch = await one.own("note/1", node="a", lease_s=LEASE_S)
    await one.commit(commit(epoch=epoch))
    await one.renew({"note/1": epoch}, node="a", lease_s=0.0)  # over at once
    newer = await other.own("note/1", node="b", lease_s=LEASE_S)
    with pytest.raises(OwnershipLost):
        await one.commit(commit(seq=1, epoch=epoch))
    assert await one.renew({"note/1": epoch}, node="a", lease_s=LEASE_S) == frozenset()
    await one.disown({"note/1": epoch}, node="a")  # what is not its own any more stays
    await other.commit(commit(seq=1, epoch=newer))


async def test_a_lease_that_is_over_refuses_its_owner_even_when_nobody_came(
    nodes: tuple[Store, Store],
) -> None:
    one, _ = nodes
    epoch = await one.own("note/1", node="a", lease_s=0.0)  # over as it begins
    with pytest.raises(OwnershipLost):
        await one.commit(commit(epoch=epoch))
    assert await one.renew({"note/1": epoch}, node="a", lease_s=LEASE_S) == {"note/1"}
    await one.commit(commit(epoch=epoch))


async def test_a_node_that_takes_its_own_stream_again_ends_its_earlier_hold(
    nodes: tuple[Store, Store],
) -> None:
    one, _ = nodes
    epoch = await one.own("note/1", node="a", lease_s=LEASE_S)
    newer = await one.own("note/1", node="a", lease_s=LEASE_S)
    with pytest.raises(OwnershipLost):
        await one.commit(commit(epoch=epoch))
    await one.disown({"note/1": epoch}, node="a")
    await one.commit(commit(epoch=newer))


async def test_an_owner_fences_off_what_an_earlier_one_still_has_under_way(
    nodes: tuple[Store, Store],
) -> None:
    """Also once nobody owns it any more: the stream itself remembers the newest epoch."""
    one, other = nodes
    epoch = await one.own("note/1", node="a", lease_s=LEASE_S)
    await one.commit(commit(epoch=epoch))
    await one.disown({"note/1": epoch}, node="a")
    newer = await other.own("note/1", node="b", lease_s=LEASE_S)
    await other.disown({"note/1": newer}, node="b")
    with pytest.raises(StoreError, match="epoch"):
        await one.commit(commit(seq=1, epoch=epoch))
    assert await other.newest("note/1") == 1


async def test_of_nodes_that_race_for_a_stream_one_gets_it(nodes: tuple[Store, Store]) -> None:
    won: list[str] = []

    async def race(store: Store, node: str, stream: str) -> None:
        try:
            epoch = await store.own(stream, node=node, lease_s=LEASE_S)
        except OwnedElsewhere:
            return
        await store.commit(commit(stream, epoch=epoch))
        won.append(stream)

    async with trio.open_nursery() as nursery:
        for number in range(100):
            for store, node in zip(nodes, "ab", strict=True):
                nursery.start_soon(race, store, node, f"note/{number}")
    assert sorted(won) == sorted(f"note/{number}" for number in range(100))


async def test_a_refused_owner_harms_no_other_commit_of_its_batch(
    nodes: tuple[Store, Store],
) -> None:
    one, other = nodes
    await one.own("note/mine", node="a", lease_s=LEASE_S)
    refused: list[str] = []

    async def write(stream: str) -> None:
        try:
            await other.commit(commit(stream, epoch=2))
        except OwnershipLost as error:
            refused.append(error.stream)

    async with trio.open_nursery() as nursery:
        for stream in ("note/1", "note/mine", "note/2"):
            nursery.start_soon(write, stream)
    assert refused == ["note/mine"]
    assert [await one.newest(f"note/{number}") for number in (1, 2)] == [1, 1]
