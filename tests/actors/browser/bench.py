"""A pool of contexts on a fake machine, and those who take from it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from actors.browser.chromium_actor import ChromiumActor, OpenContexts
from actors.browser.errors import BrowserUnavailable
from actors.browser.placement import PlacementSettings
from actors.browser.pool import BrowserPool
from actors.browser.pool_messages import (
    AskPoolStatistics,
    PoolStatistics,
    RegainContext,
    ReturnContext,
    TakeContext,
)
from engine import (
    Actor,
    ActorCrashed,
    ActorPolicy,
    ActorRef,
    Restart,
    SeededClock,
    Supervisor,
    open_supervisor,
)
from tests.actors.browser.fakes import OPTIONS, FakeChromium, Machine


class Ear(Actor):
    """Hears, and does nothing."""

    def __init__(self, heard: list[Any]) -> None:
        self._heard = heard

    def handle(self, message: Any) -> None:
        self._heard.append(message)


class Taker:
    """Somebody who asks for a context."""

    def __init__(self, pool: ActorRef, owner: ActorRef) -> None:
        self.context_id: str | None = None
        self.refused: Exception | None = None
        self.over = trio.Event()
        self._pool = pool
        self._owner = owner
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        with self._scope:
            try:
                take = TakeContext(owner=self._owner)
                self.context_id = await self._pool.ask(take, timeout_s=1e6)
            except (BrowserUnavailable, ActorCrashed) as error:
                self.refused = error
        self.over.set()

    def leave(self) -> None:
        self._scope.cancel()

    def give_back(self) -> None:
        assert self.context_id is not None
        self._pool.signal(ReturnContext(context_id=self.context_id))
        self.context_id = None


class Bench:
    """The pool, its machine, and everybody who ever asked."""

    def __init__(
        self, machine: Machine, pool: ActorRef, owner: ActorRef, nursery: trio.Nursery
    ) -> None:
        self.machine = machine
        self.pool = pool
        self.heard: list[Any] = []  # by the owner of all contexts
        self.takers: list[Taker] = []
        self.contexts: OpenContexts = {}
        self._owner = owner
        self._nursery = nursery

    def take_soon(self) -> Taker:
        taker = Taker(self.pool, self._owner)
        self.takers.append(taker)
        self._nursery.start_soon(taker.run)
        return taker

    async def take(self) -> Taker:
        taker = self.take_soon()
        await taker.over.wait()
        return taker

    async def regain(self, context_id: str) -> bool:
        there: bool = await self.pool.ask(RegainContext(context_id=context_id), timeout_s=1e6)
        return there

    async def statistics(self) -> PoolStatistics:
        found: PoolStatistics = await self.pool.ask(AskPoolStatistics(), timeout_s=1e6)
        return found

    def loads(self) -> list[int]:
        """How many contexts each Chromium has, oldest first."""
        return [len(it.profiles) for it in self.machine.running.values()]

    def home(self, taker: Taker) -> FakeChromium | None:
        running = self.machine.running.values()
        return next((it for it in running if taker.context_id in it.profiles), None)

    async def check_when_quiet(self) -> None:
        """Wait until nothing moves any more, and count."""
        await trio.sleep(200.0)
        await wait_all_tasks_blocked()
        found = await self.statistics()
        assert found.waiting == 0
        assert len(self.machine.contexts) == found.contexts + found.spare
        assert {profile.id for profile in self.machine.contexts} == set(self.contexts)
        assert len(self.machine.running) == found.processes


@asynccontextmanager
async def open_bench(
    *, crashes: int = 0, machine: Machine | None = None, **settings: Any
) -> AsyncIterator[Bench]:
    """Open a pool for a test, and look for leaks when the test is done.

    Args:
        crashes: how often the pool is expected to crash.
        settings: of the placement.
    """
    machine = machine or Machine()
    placement = PlacementSettings(**{"per_process": 5, "capacity": 10, **settings})
    heard: list[Any] = []
    contexts: OpenContexts = {}
    async with (
        trio.open_nursery() as nursery,
        open_supervisor("bench", clock=SeededClock(1)) as supervisor,
    ):
        pool = _spawn_pool(supervisor, placement, machine, contexts)
        owner = supervisor.spawn(lambda: Ear(heard), "ear/owner")
        bench = Bench(machine, pool, owner, nursery)
        bench.heard, bench.contexts = heard, contexts
        yield bench
        machine.heal()
        for taker in bench.takers:
            taker.leave()
        for taker in bench.takers:
            await taker.over.wait()
            if taker.context_id is not None:
                taker.give_back()
        await bench.check_when_quiet()
        found = await bench.statistics()
        assert found == PoolStatistics(processes=1, contexts=0, spare=True, waiting=0)
    assert machine.running == {}
    assert contexts == {}
    found = supervisor.statistics()
    assert (found.actors, found.crashes) == (0, crashes)


def _spawn_pool(
    supervisor: Supervisor, placement: PlacementSettings, machine: Machine, contexts: OpenContexts
) -> ActorRef:
    def launch(pool: ActorRef) -> ChromiumActor:
        return ChromiumActor(
            OPTIONS,
            connect=machine.connect,
            contexts=contexts,
            pool=pool,
            launcher=machine.launch,
        )

    return supervisor.spawn(
        lambda: BrowserPool(placement, launch=launch, supervisor=supervisor),
        "pool/browser",
        policy=ActorPolicy(restart=Restart.PERMANENT),
    )
