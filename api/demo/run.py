"""Both demo servers, on loopback, for as long as a scope lasts."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, cast

import msgspec
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import Framework
from quart_trio import QuartTrio

from api.address import parse_address
from api.demo.captcha import make_captcha
from api.demo.memory import Memory
from api.demo.portal import make_portal
from api.server.connection import KEEP_ALIVE_S, HTTPConnection
from api.server.listen import AddressUnavailable, open_listener
from engine.clock import Clock

_GRACE_S: Final = 0.5
_FORMER_S: Final = 5.0
_AGAIN_S: Final = 0.05


class DemoUrls(NamedTuple):
    """Where the two servers listen, without a slash at the end."""

    portal_url: str
    captcha_url: str


@asynccontextmanager
async def open_demo(
    clock: Clock,
    *,
    portal_bind: str = "127.0.0.1:0",
    captcha_bind: str = "127.0.0.1:0",
    solve_s: float = 1.0,
    remember: Path | None = None,
) -> AsyncIterator[DemoUrls]:
    """Serve the demo portal and the demo captcha server until the scope ends, then stop at once.

    Requests that are under way when it ends get half a second. What the body raises comes out as it
    is, not in a group.

    Args:
        clock: time, ids and secrets of both servers.
        portal_bind: `host:port`, loopback only; port 0 takes a free one.
        captcha_bind: the same for the captcha server.
        solve_s: how long the captcha server takes over a captcha.
        remember: a file; with the one of an earlier run both are where they were, if the ports are
            free, and the portal knows who is logged in.

    Raises:
        AddressUnavailable: an address is taken; says which.
        ValueError: an address is not on loopback.
    """
    memory = Memory(remember)
    await memory.read()
    failure: Exception | None = None
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        try:
            captcha = make_captcha(clock, solve_s=solve_s)
            listener = await _listen(captcha_bind, memory.kept.captcha_port)
            captcha_url = await _start(nursery, captcha, listener, stop.wait)
            portal = make_portal(captcha_url, clock, memory)
            listener = await _listen(portal_bind, memory.kept.portal_port)
            portal_url = await _start(nursery, portal, listener, stop.wait)
            ports = {"portal_port": _port(portal_url), "captcha_port": _port(captcha_url)}
            await memory.keep(msgspec.structs.replace(memory.kept, **ports))
            yield DemoUrls(portal_url, captcha_url)
        except Exception as error:  # raised again below, outside of the nursery
            failure = error
        stop.set()
        # Hypercorn keeps idle connections for its own grace; this one is the deadline for all.
        nursery.cancel_scope.deadline = trio.current_time() + _GRACE_S
    if failure is not None:
        raise failure


async def _listen(bind: str, former_port: int) -> socket.socket:
    """Listen where an earlier run did, or on any port when somebody else does by now."""
    address = parse_address(bind)
    if address is None or not address.is_loopback:
        raise ValueError(f"the demo listens on loopback only, not on {bind}")
    if address.port == 0 and former_port != 0:
        former = msgspec.structs.replace(address, port=former_port)
        # The demo of a server that was killed is perhaps just ending.
        with trio.move_on_after(_FORMER_S):
            while True:
                with suppress(AddressUnavailable):
                    return open_listener(former)
                await trio.sleep(_AGAIN_S)
    return open_listener(address)


def _port(url: str) -> int:
    return int(url.rpartition(":")[2])


async def _start(
    nursery: trio.Nursery,
    app: QuartTrio,
    listener: socket.socket,
    stopped: Callable[[], Awaitable[None]],
) -> str:
    """Start one server and return its URL once it listens."""
    app.asgi_http_class = HTTPConnection
    config = Config()
    # Hypercorn takes the socket over and closes it.
    config.bind = [f"fd://{listener.detach()}"]
    config.graceful_timeout = _GRACE_S
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.accesslog = None
    config.errorlog = None
    run = partial(serve, cast(Framework, app), config, shutdown_trigger=stopped)
    urls: list[str] = await nursery.start(run)
    return urls[0]
