"""The family of browser sessions, put together: pool, registry, sessions, in that order.

Sessions stop before the registry and the pool that they use; Chromium goes last.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import msgspec
import structlog
import trio

from actors.browser.bundles import DebugBundles
from actors.browser.captcha import TwoCaptcha
from actors.browser.captcha_account import CaptchaAccount
from actors.browser.chromium import ChromiumOptions, find_executable, sweep_leftovers
from actors.browser.chromium_actor import ChromiumActor, OpenContexts
from actors.browser.driver import connect
from actors.browser.journal import BrowserJournal
from actors.browser.keeper import Keeper
from actors.browser.leftovers import directory_prefix
from actors.browser.memory import ChromiumMemory, MemoryGauge
from actors.browser.messages import ListSessions, SessionList
from actors.browser.placement import PlacementSettings
from actors.browser.pool import BrowserPool
from actors.browser.pool_messages import AskPoolStatistics, PoolStatistics
from actors.browser.portals.catalogue import make_portal
from actors.browser.portals.portal import CaptchaSolver, Operation, operations_of
from actors.browser.registry import BrowserRegistry
from actors.browser.saved import Vault
from actors.browser.settings import BrowserSettings
from actors.browser.statistics import BrowserStatistics, by_status
from actors.browser.work import Equipment
from engine import (
    ActorPolicy,
    ActorRef,
    AskError,
    Clock,
    DeliveryError,
    Restart,
    Supervisor,
    open_supervisor,
)
from engine.durable import Log
from engine.meter import Meter
from engine.registry import AskRegistryStatistics
from engine.seal import Sealer

_LOG: Final = structlog.get_logger("mooring.browser")
_PERMANENT: Final = ActorPolicy(restart=Restart.PERMANENT, inbox_capacity=4096)
_SHUTDOWN_S: Final = 8.0
_SWEEP_INTERVAL_S: Final = 3600.0
# Neither waits for a browser.
_ANSWERS_WITHIN_S: Final = 2.0


class BrowserSessions(msgspec.Struct, frozen=True, kw_only=True):
    """The family's door.

    Attributes:
        registry: takes the messages of `actors.browser.messages`.
        operations: what the portal can do, by name.
    """

    registry: ActorRef
    operations: Mapping[str, Operation]
    pool: ActorRef
    bundles: DebugBundles
    meter: Meter
    captchas: CaptchaAccount
    memory: MemoryGauge
    supervisors: tuple[Supervisor, ...]

    async def statistics(self) -> BrowserStatistics:
        """Return what there is now; takes the registry's and the pool's answer.

        Raises:
            AskError, DeliveryError: one of them does not answer.
        """
        found: SessionList = await self.registry.ask(ListSessions(), timeout_s=_ANSWERS_WITHIN_S)
        return BrowserStatistics(
            sessions=by_status(found),
            admission=await self.registry.ask(AskRegistryStatistics(), timeout_s=_ANSWERS_WITHIN_S),
            pool=await self.pool.ask(AskPoolStatistics(), timeout_s=_ANSWERS_WITHIN_S),
            captchas=self.captchas.statistics(),
            work=self.meter.statistics(),
            supervisors=tuple(each.statistics() for each in self.supervisors),
        )

    async def open_debug_bundle(self, name: str) -> bytes | None:
        """Return a bundle's ZIP; None when there is none (any more)."""
        return await self.bundles.read(name)

    async def chromium_memory(self) -> ChromiumMemory:
        """Return what all Chromiums take together; measured in a thread every few seconds."""
        return await self.memory.read()

    async def ready(self) -> bool:
        """Tell whether a session could be started now: a warm context or a running one is there."""
        try:
            found: PoolStatistics = await self.pool.ask(AskPoolStatistics(), timeout_s=1.0)
        except (AskError, DeliveryError):
            return False
        return found.spare or found.contexts > 0


@asynccontextmanager
async def open_browser_sessions(
    settings: BrowserSettings,
    *,
    clock: Clock,
    data_dir: Path,
    sealer: Sealer,
    drain_s: float = 10.0,
    log: Log | None = None,
) -> AsyncIterator[BrowserSessions]:
    """Open the family for the length of a block, inside `trio_asyncio.open_loop()`.

    First removes what a killed server left: its Chromium processes and their directories. At the
    end running operations get `drain_s`, then everything is stopped; no process and no directory
    is left. With `settings.persist` and a log the sessions themselves stay: sealed, until they are
    restored under the next server.

    Args:
        data_dir: this server's own; debug bundles go there, and its name marks the Chromiums, so
            that the next server with it finds what this one left when it was killed.
        sealer: for what is written down of sessions.
        log: where what happens to sessions is kept; None keeps nothing of it.

    Raises:
        ChromiumMissing: no Chromium was found.
        UnknownPortal: no portal has that name.
    """
    portal = make_portal(settings.portal, settings.portal_url)
    options = ChromiumOptions(
        executable=await find_executable(settings.executable),
        headless=settings.headless,
        run_id=run_id_of(data_dir),
    )
    await sweep_leftovers(options.run_id)
    bundles = DebugBundles(data_dir / "bundles", clock)
    contexts: OpenContexts = {}
    captchas = CaptchaAccount()
    async with (
        httpx.AsyncClient() as http,
        trio.open_nursery() as nursery,
        # The journal outlives everybody who writes to it.
        open_supervisor("browser journal", clock=clock, shutdown_timeout_s=_SHUTDOWN_S) as last,
        open_supervisor("browser", parent=last, shutdown_timeout_s=_SHUTDOWN_S) as outer,
    ):
        nursery.start_soon(_sweep_bundles, bundles)
        pool = _spawn_pool(outer, settings, options, contexts)

        def captcha(api_key: str) -> CaptchaSolver:
            return TwoCaptcha(
                http, base_url=settings.captcha_url, api_key=api_key, account=captchas
            )

        vault = Vault(sealer)
        journal = None if log is None else _spawn_journal(last, log, settings, vault)
        equipment = Equipment(
            settings=settings,
            portal=portal,
            operations=dict(operations_of(portal)),
            captcha=captcha,
            pool=pool,
            contexts=contexts,
            bundles=bundles,
            vault=vault,
            journal=journal,
            keeper=_keeper(settings, journal, log, vault),
            shared=log is not None and log.ownership is not None and not log.store.exclusive,
        )
        async with open_supervisor(
            "browser sessions",
            parent=outer,
            grace_s=drain_s,
            shutdown_timeout_s=drain_s + _SHUTDOWN_S,
        ) as inner:
            registry = outer.spawn(
                lambda: BrowserRegistry(equipment, sessions=inner, clock=clock),
                "registry/browser",
                policy=_PERMANENT,
            )
            yield BrowserSessions(
                registry=registry,
                operations=equipment.operations,
                pool=pool,
                bundles=bundles,
                meter=equipment.meter,
                captchas=captchas,
                memory=MemoryGauge(directory_prefix(options.run_id)),
                supervisors=(last, outer, inner),
            )
        nursery.cancel_scope.cancel()


def run_id_of(data_dir: Path) -> str:
    """Return the twelve hex digits that mark the Chromiums of a data directory's server."""
    return hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:12]


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


def _keeper(
    settings: BrowserSettings, journal: ActorRef | None, log: Log | None, vault: Vault
) -> Keeper | None:
    if journal is None or log is None or not settings.persist:
        return None
    return Keeper(journal=journal, store=log.store, vault=vault)


def _spawn_pool(
    supervisor: Supervisor,
    settings: BrowserSettings,
    options: ChromiumOptions,
    contexts: OpenContexts,
) -> ActorRef:
    placement = PlacementSettings(
        per_process=settings.sessions_per_process, capacity=settings.capacity
    )

    def launch(pool: ActorRef) -> ChromiumActor:
        return ChromiumActor(options, connect=connect, contexts=contexts, pool=pool)

    return supervisor.spawn(
        lambda: BrowserPool(placement, launch=launch, supervisor=supervisor),
        "pool/browser",
        policy=_PERMANENT,
    )


async def _sweep_bundles(bundles: DebugBundles) -> None:
    while True:
        try:
            await bundles.sweep()
        except OSError as error:
            _LOG.warning("debug_bundles_not_swept", cause=str(error))
        await trio.sleep(_SWEEP_INTERVAL_S)
