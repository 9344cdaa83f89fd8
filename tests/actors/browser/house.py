"""The family of browser sessions in virtual time: everything of ours is real, the rest is fake."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import trio
from trio.testing import wait_all_tasks_blocked

from actors.browser.bundles import DebugBundles
from actors.browser.chromium_actor import ChromiumActor, OpenContexts
from actors.browser.errors import SessionNotFound
from actors.browser.journal import BrowserJournal
from actors.browser.keeper import Keeper
from actors.browser.messages import (
    CloseSession,
    GetSession,
    ListSessions,
    OperationDone,
    RunOperation,
    SessionGranted,
    SessionList,
    SessionView,
)
from actors.browser.place import stream_of
from actors.browser.placement import PlacementSettings
from actors.browser.pool import BrowserPool
from actors.browser.pool_messages import AskPoolStatistics, PoolStatistics
from actors.browser.portals.portal import Credentials, operations_of
from actors.browser.registry import BrowserRegistry
from actors.browser.saved import Vault
from actors.browser.settings import BrowserSettings
from actors.browser.work import Equipment
from engine import ActorPolicy, ActorRef, Restart, SeededClock, Supervisor, open_supervisor
from engine.durable import Log
from engine.ownership import open_ownership
from engine.seal import MasterKey, Sealer
from engine.store import MemoryDisk, MemoryStore, open_memory
from tests.actors.browser.fakes import OPTIONS, FakeCaptcha, Machine, PaperPortal, Site, Task

PATIENCE_S = 1e6
LEASE_S = 15.0
KEY = MasterKey(b"k" * 32)
_PERMANENT = ActorPolicy(restart=Restart.PERMANENT)


def credentials(number: int = 1, password: str | None = None) -> Credentials:
    return Credentials(
        username=f"driver-{number}",
        password=f"harbor-{number}" if password is None else password,
        captcha_api_key="key",
    )


class Caller:
    """Somebody who has asked, and may leave."""

    def __init__(self, ref: ActorRef, message: Any) -> None:
        self.answer: Any = None
        self.error: Exception | None = None
        self.ended_at: float | None = None
        self.over = trio.Event()
        self._ref = ref
        self._message = message
        self._scope = trio.CancelScope()

    async def run(self) -> None:
        with self._scope:
            try:
                self.answer = await self._ref.ask(self._message, timeout_s=PATIENCE_S)
            except Exception as error:
                self.error = error
            self.ended_at = trio.current_time()
        self.over.set()

    @property
    def ended(self) -> bool:
        return self.over.is_set()

    async def leave(self) -> None:
        self._scope.cancel()
        await self.over.wait()

    async def outcome(self) -> Any:
        """Wait for the answer; raises what the caller was told."""
        await self.over.wait()
        if self.error is not None:
            raise self.error
        return self.answer


class House:
    """The family, and what stands around it."""

    def __init__(
        self,
        *,
        machine: Machine,
        site: Site,
        nursery: trio.Nursery,
        equipment: Equipment,
        registry: ActorRef,
        sessions: Supervisor,
        clock: SeededClock,
        store: MemoryStore,
        disk: MemoryDisk,
    ) -> None:
        self.machine = machine
        self.site = site
        self.equipment = equipment
        self.registry = registry
        self.sessions = sessions
        self.clock = clock
        self.store = store
        self.disk = disk
        self.callers: list[Caller] = []
        self._nursery = nursery

    # -- asking --------------------------------------------------------------------------------

    def start_soon(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something beside the test that may outlast the family."""
        self._nursery.start_soon(work)

    def ask_soon(self, message: Any, *, of: ActorRef | None = None) -> Caller:
        caller = Caller(of or self.registry, message)
        self.callers.append(caller)
        self._nursery.start_soon(caller.run)
        return caller

    def get_soon(self, number: int = 1, password: str | None = None) -> Caller:
        return self.ask_soon(GetSession(credentials=credentials(number, password)))

    async def get(self, number: int = 1, password: str | None = None) -> SessionGranted:
        granted = await self.get_soon(number, password).outcome()
        assert isinstance(granted, SessionGranted)
        return granted

    def run_soon(
        self,
        task: Task,
        session_id: str | None = None,
        *,
        number: int | None = None,
        debug: bool = False,
    ) -> Caller:
        return self.ask_soon(
            RunOperation(
                name="do_task",
                request=task,
                session_id=session_id,
                credentials=None if number is None else credentials(number),
                debug=debug,
            )
        )

    async def run(self, task: Task, session_id: str | None = None, **how: Any) -> OperationDone:
        done = await self.run_soon(task, session_id, **how).outcome()
        assert isinstance(done, OperationDone)
        return done

    async def list(self) -> tuple[SessionView, ...]:
        """The sessions; must come at once."""
        before = trio.current_time()
        found: SessionList = await self.registry.ask(ListSessions(), timeout_s=1.0)
        assert trio.current_time() == before
        return found.sessions

    async def view(self, session_id: str) -> SessionView:
        return next(view for view in await self.list() if view.session_id == session_id)

    async def close(self, session_id: str) -> None:
        """Close a session; must be answered at once."""
        before = trio.current_time()
        await self.registry.ask(CloseSession(session_id=session_id), timeout_s=1.0)
        assert trio.current_time() == before

    async def pool(self) -> PoolStatistics:
        found = await self.equipment.pool.ask(AskPoolStatistics(), timeout_s=1.0)
        assert isinstance(found, PoolStatistics)
        return found

    # -- looking -------------------------------------------------------------------------------

    async def begun(self, name: str) -> None:
        """Wait until an operation of this name has begun."""
        while name not in self.site.begun:
            await trio.sleep(0.01)

    def kill(self, context_id: str | None = None) -> None:
        """Kill one Chromium, or all."""
        for chromium in tuple(self.machine.running.values()):
            if context_id is None or context_id in chromium.profiles:
                chromium.kill()

    def drop(self) -> None:
        """Cut all connections to Chromiums."""
        for chromium in self.machine.running.values():
            chromium.drop()

    async def events(self, session_id: str) -> list[str]:
        """The types of a session's events, oldest first."""
        page = await self.store.read(stream_of(session_id), limit=1000)
        return [event.type for event in page.events]

    async def last_event(self, session_id: str) -> tuple[str, dict[str, Any]]:
        page = await self.store.read(stream_of(session_id), limit=1000)
        event = page.events[-1]
        return event.type, msgspec.json.decode(event.body)["data"]

    def killed(self) -> MemoryDisk:
        """What a server that is killed in this moment leaves."""
        return copy.deepcopy(self.disk)

    async def check_that_nothing_is_left(self) -> None:
        """Heal all, close what is there, and look for what has been forgotten."""
        self.machine.heal()
        self.site.heal()
        for view in await self.list():
            with suppress(SessionNotFound):  # it has ended while others were closed
                await self.close(view.session_id)
        await trio.sleep(300.0)
        assert await self.list() == ()
        await wait_all_tasks_blocked()
        assert all(caller.ended for caller in self.callers)
        assert await self.pool() == PoolStatistics(processes=1, contexts=0, spare=True, waiting=0)
        assert len(self.machine.running) == 1
        assert len(self.machine.contexts) == 1
        assert len(self.equipment.contexts) == 1


@asynccontextmanager
async def open_house(
    *,
    drain_s: float = 0.0,
    leaves: bool = True,
    crashes: int = 0,
    session_crashes: int = 0,
    bundles: Path | None = None,
    disk: MemoryDisk | None = None,
    site: Site | None = None,
    key: MasterKey = KEY,
    more_keys: tuple[MasterKey, ...] = (),
    node: str | None = None,
    **changes: Any,
) -> AsyncIterator[House]:
    """Open the family for a test, and look for leaks when the test is done.

    Args:
        leaves: false for a test that is about ending the family while it is busy.
        crashes: how often registry and pool are expected to crash.
        session_crashes: how often sessions are.
        bundles: where debug bundles go.
        disk: what an earlier house has left; its sessions are found there.
        site: the portal that goes on while houses come and go.
        key, more_keys: of what is saved, the newest first.
        node: the server's name where several share a disk; then each owns what it has.
        changes: settings.
    """
    settings = BrowserSettings(**changes)
    disk = MemoryDisk() if disk is None else disk
    # Another server makes other ids.
    machine, site, clock = Machine(), site or Site(), SeededClock(1 + disk.epoch)
    contexts: OpenContexts = {}
    vault = Vault(Sealer((key, *more_keys), clock))
    async with (
        trio.open_nursery() as nursery,
        open_memory(disk, clock=clock) as store,
        open_ownership(store, node=node or "alone", lease_s=LEASE_S) as ownership,
    ):
        log = Log(
            store=store,
            epoch=await store.begin_epoch(),
            publish=lambda *_: None,
            end=lambda *_: None,
            ownership=None if node is None else ownership,
        )
        async with (
            open_supervisor("journal", clock=clock) as last,
            open_supervisor("browser", parent=last) as outer,
        ):
            journal = _spawn_journal(last, log, settings, vault)
            pool = _spawn_pool(outer, settings, machine, contexts)
            portal = PaperPortal(site)
            equipment = Equipment(
                settings=settings,
                portal=portal,
                operations=dict(operations_of(portal)),
                captcha=lambda key: FakeCaptcha(site, key),
                pool=pool,
                contexts=contexts,
                bundles=DebugBundles(bundles or Path("/nowhere"), clock),
                vault=vault,
                journal=journal,
                keeper=Keeper(journal=journal, store=store, vault=vault)
                if settings.persist
                else None,
                shared=node is not None,
            )
            async with open_supervisor(
                "sessions", parent=outer, grace_s=drain_s, shutdown_timeout_s=drain_s + 8.0
            ) as inner:
                registry = outer.spawn(
                    lambda: BrowserRegistry(equipment, sessions=inner, clock=clock),
                    "registry/browser",
                    policy=_PERMANENT,
                )
                house = House(
                    machine=machine,
                    site=site,
                    nursery=nursery,
                    equipment=equipment,
                    registry=registry,
                    sessions=inner,
                    clock=clock,
                    store=store,
                    disk=disk,
                )
                yield house
                if leaves:
                    await house.check_that_nothing_is_left()
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        assert all(caller.ended for caller in house.callers)
    assert machine.violations == []
    assert machine.running == {}
    assert contexts == {}
    statistics = outer.statistics()
    assert (statistics.actors, statistics.crashes) == (0, crashes)
    statistics = inner.statistics()
    assert (statistics.actors, statistics.crashes) == (0, session_crashes)


def _spawn_journal(
    supervisor: Supervisor, log: Log, settings: BrowserSettings, vault: Vault
) -> ActorRef:
    registry: list[ActorRef] = []
    return supervisor.spawn(
        lambda: BrowserJournal(
            log,
            supervisor.clock,
            vault=vault if settings.persist else None,
            forget=settings.restore == "off",
            registry=registry,
        ),
        "journal/browser",
        policy=_PERMANENT,
    )


def _spawn_pool(
    supervisor: Supervisor, settings: BrowserSettings, machine: Machine, contexts: OpenContexts
) -> ActorRef:
    placement = PlacementSettings(
        per_process=settings.sessions_per_process, capacity=settings.capacity
    )

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
        policy=_PERMANENT,
    )
