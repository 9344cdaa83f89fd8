"""Several nodes on one store, in virtual time: who owns what, and what becomes of activations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from engine import ActorStopped, SeededClock
from engine.activation import Activations, Wake, open_activations
from engine.durable import Log, NotRecorded
from engine.errors import StoreUnavailable
from engine.ownership import NotOwner, Ownership, open_ownership
from engine.store import MemoryDisk, MemoryStore, open_memory
from tests.engine.test_activation import Add, Added, Counter, Sums

LEASE_S = 15.0


class Lasting(Counter):
    """Stays for a while after its first message too."""

    idle_timeout_s = 100.0

    def changed(self, events: Sequence[Added]) -> None:
        self.restart_idle_timer()


class Node(msgspec.Struct):
    """One server on the shared disk."""

    counters: Activations
    ownership: Ownership
    store: MemoryStore
    built: list[str]

    async def add(self, id_: str = "a", much: int = 1) -> int:
        total: int = await self.counters.ask(id_, Add(much))
        return total

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """Let this node reach no store for the length of a block."""

        async def away(*_: Any, **__: Any) -> Any:
            await trio.sleep(1)
            raise StoreUnavailable("cut off")

        names = ("own", "renew", "disown", "load", "commit")
        kept = {name: getattr(self.store, name) for name in names}
        for name in names:
            setattr(self.store, name, away)
        yield
        for name, method in kept.items():
            setattr(self.store, name, method)


@asynccontextmanager
async def node(disk: MemoryDisk, name: str) -> AsyncIterator[Node]:
    clock, built = SeededClock(), []
    async with (
        open_memory(disk, clock=clock) as store,
        open_ownership(store, node=name, lease_s=LEASE_S) as ownership,
    ):
        log = Log(
            store=store,
            epoch=await store.begin_epoch(),
            publish=lambda stream, events: None,
            end=lambda stream, reason: None,
            ownership=ownership,
        )

        def build(id_: str) -> Counter:
            built.append(id_)
            return Lasting(f"counter/{id_}", Sums(), log=log, clock=clock)

        async with open_activations("counter", build, clock=clock) as counters:
            yield Node(counters, ownership, store, built)


@pytest.fixture
async def nodes() -> AsyncIterator[tuple[Node, Node]]:
    disk = MemoryDisk(shared=True)
    async with node(disk, "one") as one, node(disk, "other") as other:
        yield one, other


async def test_one_owner_each_and_others_are_told_when_to_ask_again(
    autojump_clock: MockClock, nodes: tuple[Node, Node]
) -> None:
    one, other = nodes
    assert await one.add() == 1
    with pytest.raises(NotOwner) as caught:
        await other.add()
    assert 1 <= caught.value.retry_after_s <= LEASE_S
    assert await one.add() == 2


async def test_leases_are_renewed_for_as_long_as_the_actor_stays(
    autojump_clock: MockClock, nodes: tuple[Node, Node]
) -> None:
    one, other = nodes
    await one.add()
    for total in range(2, 12):
        await trio.sleep(90)
        with pytest.raises(NotOwner):
            await other.add()
        assert await one.add() == total
    assert one.built == ["a"]


async def test_an_actor_that_leaves_memory_lets_its_stream_go(
    autojump_clock: MockClock, nodes: tuple[Node, Node]
) -> None:
    one, other = nodes
    await one.add()
    await trio.sleep(102)
    assert one.ownership.statistics().owned == 0
    assert await other.add() == 2
    with pytest.raises(NotOwner):
        await one.add()


async def test_a_node_that_stops_lets_everything_go(autojump_clock: MockClock) -> None:
    disk = MemoryDisk(shared=True)
    async with node(disk, "other") as other:
        async with node(disk, "one") as one:
            for number in range(30):
                await one.add(f"{number}")
        began = trio.current_time()
        for number in range(30):
            assert await other.add(f"{number}") == 2
        assert trio.current_time() == began


async def test_activations_end_before_their_lease_does(
    autojump_clock: MockClock, nodes: tuple[Node, Node]
) -> None:
    """A node that reaches the store no more stops by itself; the other one goes on after it."""
    one, other = nodes
    await one.add()
    with one.cut_off():
        while one.counters.statistics().in_memory:
            with pytest.raises(NotOwner):
                await other.add()
            await trio.sleep(0.1)
        await trio.sleep(LEASE_S * 0.2)  # what the margin leaves
        assert await other.add() == 2
    with pytest.raises(NotOwner):
        await one.add()


async def test_who_asks_a_node_that_is_cut_off_is_told_so_and_served_once_it_is_back(
    autojump_clock: MockClock, nodes: tuple[Node, Node]
) -> None:
    one, _ = nodes
    await one.add()
    with one.cut_off():
        await trio.sleep(LEASE_S)
        assert one.counters.statistics().in_memory == 0
        with pytest.raises(NotRecorded):
            await one.add()
    await trio.sleep(2)
    assert await one.add() == 2


async def test_asks_that_wait_when_the_lease_ends_are_answered(
    autojump_clock: MockClock, nodes: tuple[Node, Node]
) -> None:
    one, _ = nodes
    await one.add()
    with one.cut_off():
        outcomes: list[type[Exception]] = []

        async def ask() -> None:
            while True:
                try:
                    await one.add()
                except (NotRecorded, ActorStopped) as error:
                    outcomes.append(type(error))
                    if one.counters.statistics().in_memory == 0:
                        return
                    await trio.sleep(0.1)

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
    assert {NotRecorded} <= set(outcomes) <= {NotRecorded, ActorStopped}


async def test_a_stall_past_the_lease_is_found_out_by_the_store(
    autojump_clock: MockClock, nodes: tuple[Node, Node]
) -> None:
    """A node whose own clock stands still, as a stopped process's does, is refused all the same."""
    one, other = nodes
    await one.add()
    (tenure,) = one.ownership._tenures.values()
    one.ownership._tenures.clear()  # nobody renews it, and nobody ends it
    tenure.scope.deadline = float("inf")
    await trio.sleep(LEASE_S + 1)
    assert await other.add() == 2
    with pytest.raises(NotOwner):
        await one.add()
    assert await other.add() == 3


async def test_a_lease_that_somebody_else_has_taken_ends_its_activation_at_the_next_renewal(
    autojump_clock: MockClock, nodes: tuple[Node, Node]
) -> None:
    one, _ = nodes
    await one.add()
    one.store._disk._owners.clear()  # as an operator may do by hand
    await trio.sleep(LEASE_S / 4 + 0.1)
    assert one.counters.statistics().in_memory == 0
    assert one.ownership.statistics().lost == 1
    assert await one.add() == 2


async def test_being_woken_for_what_another_node_owns_is_no_error(
    autojump_clock: MockClock, nodes: tuple[Node, Node]
) -> None:
    one, other = nodes
    await one.add()
    assert await other.counters.ask("a", Wake()) is None
    await trio.sleep(2)
    assert other.counters.statistics().in_memory == 0


async def test_who_was_refused_is_served_as_soon_as_the_owner_has_left(
    autojump_clock: MockClock,
) -> None:
    disk = MemoryDisk(shared=True)
    async with node(disk, "other") as other:
        async with node(disk, "one") as one:
            await one.add("asked")
            await one.add("woken")
            with pytest.raises(NotOwner):
                await other.add("asked")
            assert await other.counters.ask("woken", Wake()) is None
        began = trio.current_time()
        assert await other.add("asked") == await other.add("woken") == 2
        assert trio.current_time() == began


async def test_asking_again_and_again_does_not_keep_the_refusal_alive(
    autojump_clock: MockClock, nodes: tuple[Node, Node]
) -> None:
    one, other = nodes
    await one.add()
    asked_until = trio.current_time() + 130
    while trio.current_time() < asked_until:
        try:
            assert await other.add() == 2
            break
        except NotOwner:
            await trio.sleep(0.5)
    assert trio.current_time() < asked_until


async def test_a_store_of_ones_own_has_no_leases(autojump_clock: MockClock) -> None:
    async with node(MemoryDisk(), "one") as one:
        await one.add()
        with one.cut_off():
            await trio.sleep(10 * LEASE_S - 70)
            assert one.counters.statistics().in_memory == 1
        assert await one.add() == 2
        assert one.built == ["a"]


async def test_many_leases_are_renewed_in_few_calls(
    autojump_clock: MockClock, nodes: tuple[Node, Node]
) -> None:
    one, _ = nodes
    for number in range(50):
        await one.add(f"{number}")
    calls: list[int] = []
    renew = one.store.renew

    async def counted(held: Any, **rest: Any) -> Any:
        calls.append(len(held))
        return await renew(held, **rest)

    one.store.renew = counted  # type: ignore[method-assign]
    await trio.sleep(40)
    assert set(calls) == {50}
    assert len(calls) <= 12
