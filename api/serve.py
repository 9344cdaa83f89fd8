"""The composition root: puts the server together, runs it, and takes it apart in order.

What is opened last ends first: the doors close, requests finish or are cut off, then the browser
sessions end, then the demo, then asyncio's loop.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import structlog
import trio
import trio_asyncio

from actors.browser.messages import ListSessions, SessionList
from actors.browser.settings import BrowserSettings
from api import log
from api.access import AccessLog
from api.address import Address
from api.app import App
from api.assistant.desk import AssistantDesk
from api.assistant.house import open_assistant
from api.assistant.routes import assistant_routes
from api.browser.routes import BrowserDesk, browser_routes
from api.browser.stream import browser_stream_routes
from api.chat.routes import chat_routes
from api.config import Config
from api.datadir import hold_data_dir, tell_url
from api.demo.process import open_demo_process
from api.docs import docs_routes, make_documents
from api.guard import policy_for
from api.house import House, open_house
from api.keyfile import master_keys
from api.monitoring.health import health_routes
from api.monitoring.metrics import metrics_routes
from api.monitoring.watch import Watch, open_watch
from api.partner.credentials import Reach
from api.partner.house import PartnerHouse, open_partner, partner_routes
from api.retention import open_retention
from api.server.drain import Drain
from api.server.listen import bound_url, open_listeners
from api.server.signals import Stop
from api.server.web import Web, load_tls
from api.settings import SettingError, StartError, public_origin
from api.streams import Streams
from engine.clock import Clock, SystemClock
from engine.durable import Log
from engine.errors import MooringError
from engine.seal import MasterKey, Sealer

# The ports of the contract's three documents, so that the curl lines in each work as printed.
DEMO_BIND: Final = tuple(Address.at(port) for port in (5010, 3000, 8000))
_OPTIONAL_IN_DEMO: Final = frozenset(DEMO_BIND[1:])
# Beyond the drain's own deadline: for ending browsers, before everything is cancelled.
CLEANUP_S: Final = 5.0
# What still runs in a browser when the drain is over has had its time.
_NOTICE_S: Final = 0.5
# The first Chromium is up within a second or two; without one the doors open all the same.
_FIRST_BROWSER_S: Final = 10.0
_POLL_S: Final = 0.05
_SWITCH_INTERVAL_S: Final = 20e-6
_MAX_CONNECTIONS: Final = 20_000
_DEMO_MEMORY: Final = "demo.json"
# Of the files that a process may open, those that are no connections.
_OTHER_FILES: Final = 256
_log = structlog.get_logger("mooring.serve")


class OpenDesk(Protocol):
    """Opens the family of browser sessions; the shipped one is `open_browser_sessions`."""

    def __call__(
        self,
        settings: BrowserSettings,
        *,
        clock: Clock,
        data_dir: Path,
        drain_s: float,
        log: Log,
        sealer: Sealer,
    ) -> AbstractAsyncContextManager[BrowserDesk]: ...


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All that is decided before anything runs."""

    config: Config
    demo: bool
    data_dir: Path
    keys: tuple[MasterKey, ...]
    sockets: tuple[socket.socket, ...]
    tls: ssl.SSLContext | None
    open_desk: OpenDesk

    @property
    def urls(self) -> tuple[str, ...]:
        scheme = "http" if self.tls is None else "https"
        return tuple(bound_url(one, scheme=scheme) for one in self.sockets)

    @property
    def public_url(self) -> str:
        """The prefix of the URLs that are handed out."""
        return self.config.door.public_url or self.urls[0]


def run(config: Config, *, demo: bool, open_desk: OpenDesk) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code: 0, or 1 when a stop was forced.

    The first signal lets what runs finish within the deadline, a second one ends it at once, a
    third one kills.

    Raises:
        StartError: it cannot start; one line says why.
    """
    log.configure()
    # The store's thread must get its turn from a loop that has work all the time.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    settings = config.settings
    _warn_of_idle_settings(config)
    addresses, optional = config.door.addresses, frozenset[Address]()
    if demo and "bind" not in config.given:
        addresses, optional = DEMO_BIND, _OPTIONAL_IN_DEMO
    with (
        hold_data_dir(Path(settings.data_dir)) as data_dir,
        open_listeners(addresses, optional=optional) as sockets,
    ):
        plan = Plan(
            config=config,
            demo=demo,
            data_dir=data_dir,
            keys=master_keys(settings.key, data_dir, SystemClock()),
            sockets=sockets,
            tls=_tls(settings.tls_cert, settings.tls_key),
            open_desk=open_desk,
        )
        return _run(plan)


def _run(plan: Plan) -> int:
    try:
        return trio.run(_main, plan)
    except BaseExceptionGroup as group:
        expected, unexpected = group.split(MooringError)
        if unexpected is not None or expected is None:
            raise
        raise StartError(str(_first_of(expected))) from group
    except StartError:
        raise
    except MooringError as error:
        raise StartError(str(error)) from error


async def _main(plan: Plan) -> int:
    drain = Drain()
    stop = Stop(drain, within_s=plan.config.settings.drain_s + CLEANUP_S)
    with stop.everything:
        async with trio.open_nursery() as nursery:
            await nursery.start(stop.heed_signals)
            async with _asyncio_loop():
                await _serve(plan, drain)
            nursery.cancel_scope.cancel()
    _log.info("stopped", forced=stop.forced)
    return 1 if stop.forced else 0


async def _serve(plan: Plan, drain: Drain) -> None:
    clock = SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        browser = plan.config.settings.browser
        if plan.demo:
            demo = await stack.enter_async_context(open_demo_process(plan.data_dir / _DEMO_MEMORY))
            _say(f"demo portal on {demo.portal_url}")
            _say(f"demo captcha on {demo.captcha_url}")
            browser = _pointed_at(demo.portal_url, demo.captcha_url, plan.config)
        settings = plan.config.settings
        sealer = Sealer(plan.keys, clock)
        house = await stack.enter_async_context(
            open_house(settings, data_dir=plan.data_dir, sealer=sealer, clock=clock)
        )
        assistant = await stack.enter_async_context(
            open_assistant(
                settings.assistant,
                log=house.log,
                waker=house.waker,
                clock=clock,
                drain_s=_NOTICE_S,
            )
        )
        partner = await stack.enter_async_context(
            open_partner(
                settings.partner,
                house=house,
                public_url=plan.public_url,
                clock=clock,
                drain_s=_NOTICE_S,
            )
        )
        desk = await stack.enter_async_context(
            plan.open_desk(
                browser,
                clock=clock,
                data_dir=plan.data_dir,
                drain_s=_NOTICE_S,
                log=house.log,
                sealer=house.sealer,
            )
        )
        await stack.enter_async_context(
            open_retention(settings.retention_days, log=house.log, clock=clock)
        )
        watch = await stack.enter_async_context(
            open_watch(
                desk=desk,
                assistant=assistant,
                house=house,
                drain=drain,
                activations=partner.activations,
            )
        )
        app = _make_app(
            plan,
            watch=watch,
            desk=desk,
            assistant=assistant,
            partner=partner,
            house=house,
            drain=drain,
            clock=clock,
            browser=browser,
        )
        web = Web(
            app,
            drain,
            drain_s=settings.drain_s,
            tls=plan.tls,
            max_connections=_room_for_connections(),
            max_frame_bytes=settings.streams.max_frame_bytes,
            until_idle=partial(_poll_until, partial(_is_idle, desk, assistant)),
        )
        await _serve_web(plan, web, desk, drain)


async def _serve_web(plan: Plan, web: Web, desk: BrowserDesk, drain: Drain) -> None:
    async with trio.open_nursery() as nursery:
        await nursery.start(web.run, plan.sockets)
        with trio.move_on_after(_FIRST_BROWSER_S):
            await _poll_until(desk.ready)
        # What is there now stays, so no full collection need look at it and hold everybody up.
        gc.collect()
        gc.freeze()
        drain.serve()
        tell_url(plan.data_dir, plan.urls[0])
        for url in plan.urls:
            _say(f"listening on {url}")
        _log.info("serving", urls=plan.urls)


async def _poll_until(condition: Callable[[], Awaitable[bool]]) -> None:
    while not await condition():  # noqa: ASYNC110 - it is an actor that knows, not an event
        await trio.sleep(_POLL_S)


async def _is_idle(desk: BrowserDesk, assistant: AssistantDesk) -> bool:
    """Tell whether no operation runs whose caller has gone, and no reply is being written."""
    return await _is_unused(desk) and not assistant.statistics().writing


async def _is_unused(desk: BrowserDesk) -> bool:
    try:
        found: SessionList = await desk.registry.ask(ListSessions(), timeout_s=1.0)
    except MooringError:
        return True  # nobody is there to wait for
    return not any(session.in_use for session in found.sessions)


def _make_app(
    plan: Plan,
    *,
    watch: Watch,
    desk: BrowserDesk,
    assistant: AssistantDesk,
    partner: PartnerHouse,
    house: House,
    drain: Drain,
    clock: Clock,
    browser: BrowserSettings,
) -> AccessLog:
    settings, door = plan.config.settings, plan.config.door
    public_url = plan.public_url
    policy = policy_for(settings.operator_tokens, door.allowed_origins, public_origin(public_url))
    app = App(policy=policy, drain=drain, max_body_bytes=settings.max_body_bytes, clock=clock)
    app.register_blueprint(health_routes(watch.doctor, clock))
    app.register_blueprint(metrics_routes(watch.instruments))
    app.register_blueprint(browser_routes(desk, browser, public_url))
    streams = Streams(house.hub, house.store, drain, settings.streams)
    app.register_blueprint(browser_stream_routes(streams))
    app.register_blueprint(docs_routes(make_documents(desk.operations, public_url=public_url)))
    app.register_blueprint(assistant_routes(assistant, streams))
    is_https = public_url.startswith("https://")
    app.register_blueprint(chat_routes(policy, clock, is_https=is_https))
    # Without a token whoever came through a proxy is refused, so there is nothing to believe.
    trusted = door.trusted_proxies if settings.operator_tokens else ()
    reach = Reach(policy=policy, is_https=is_https, trusted=trusted)
    for routes in partner_routes(partner, reach, streams):
        app.register_blueprint(routes)
    return AccessLog(app, clock, trusted, watch.counts)


@contextlib.asynccontextmanager
async def _asyncio_loop() -> AsyncIterator[None]:
    """Run asyncio's loop; what goes wrong in it is logged, where its default would end us all."""
    async with trio_asyncio.open_loop() as loop:
        loop.set_exception_handler(_log_asyncio_failure)
        yield


def _log_asyncio_failure(_: Any, context: dict[str, Any]) -> None:
    _log.warning("asyncio", reason=context.get("message"), exc_info=context.get("exception"))


def _pointed_at(portal_url: str, captcha_url: str, config: Config) -> BrowserSettings:
    """Point the engine at the demo, save where somebody has said otherwise."""
    demo = {"browser.portal_url": portal_url, "browser.captcha_url": captcha_url}
    changed = {key.partition(".")[2]: url for key, url in demo.items() if key not in config.given}
    return msgspec.structs.replace(config.settings.browser, **changed)


def _room_for_connections() -> int:
    """Let the process open as many files as it may, and return how many of them are for clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_CONNECTIONS + _OTHER_FILES
    allowed = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    room = wanted if soft == resource.RLIM_INFINITY else soft
    return max(64, min(_MAX_CONNECTIONS, room - _OTHER_FILES))


def _tls(cert: str | None, key: str | None) -> ssl.SSLContext | None:
    if cert is None or key is None:
        return None
    try:
        return load_tls(cert, key)
    except ssl.SSLError as error:
        problem = "no certificate with its key, or the key is encrypted"
        raise SettingError("MOORING_TLS_CERT, MOORING_TLS_KEY", problem) from error
    except OSError as error:
        raise SettingError("MOORING_TLS_CERT, MOORING_TLS_KEY", str(error.strerror)) from error


def _warn_of_idle_settings(config: Config) -> None:
    if config.settings.trusted_proxies and not config.settings.operator_tokens:
        _log.warning("trusted_proxies_unused", reason="without operator tokens proxies are refused")


def _first_of(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _say(line: str) -> None:
    """Tell whoever started the server, at once; nobody listening is no reason to fail."""
    try:
        print(line, flush=True)
    except OSError:
        # Else Python tries again at its very end, and turns a clean exit code into 120.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
