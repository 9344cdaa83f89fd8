"""Both demo servers, on loopback, for as long as a scope lasts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, NamedTuple, cast

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import Framework
from quart_trio import QuartTrio

from api.address import parse_address
from api.connection import HTTPConnection
from api.demo.captcha import make_captcha
from api.demo.portal import make_portal
from api.listen import open_listener
from engine.clock import Clock

_GRACE_S: Final = 0.5


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
) -> AsyncIterator[DemoUrls]:
    """Serve the demo portal and the demo captcha server until the scope ends, then stop at once.

    Requests that are under way when it ends get half a second. What the body raises comes out as it
    is, not in a group.

    Args:
        clock: time, ids and secrets of both servers.
        portal_bind: `host:port`, loopback only; port 0 takes a free one.
        captcha_bind: the same for the captcha server.
        solve_s: how long the captcha server takes over a captcha.

    Raises:
        AddressUnavailable: an address is taken; says which.
        ValueError: an address is not on loopback.
    """
    failure: Exception | None = None
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        try:
            captcha = make_captcha(clock, solve_s=solve_s)
            captcha_url = await _start(nursery, captcha, captcha_bind, stop.wait)
            portal = make_portal(captcha_url, clock)
            portal_url = await _start(nursery, portal, portal_bind, stop.wait)
            yield DemoUrls(portal_url, captcha_url)
        except Exception as error:  # raised again below, outside of the nursery
            failure = error
        stop.set()
        # Hypercorn keeps idle connections for its own grace; this one is the deadline for all.
        nursery.cancel_scope.deadline = trio.current_time() + _GRACE_S
    if failure is not None:
        raise failure


async def _start(
    nursery: trio.Nursery, app: QuartTrio, bind: str, stopped: Callable[[], Awaitable[None]]
) -> str:
    """Start one server and return its URL once it listens."""
    address = parse_address(bind)
    if address is None or not address.is_loopback:
        raise ValueError(f"the demo listens on loopback only, not on {bind}")
    app.asgi_http_class = HTTPConnection
    config = Config()
    # Hypercorn takes the socket over and closes it.
    config.bind = [f"fd://{open_listener(address).detach()}"]
    config.graceful_timeout = _GRACE_S
    config.accesslog = None
    config.errorlog = None
    run = partial(serve, cast(Framework, app), config, shutdown_trigger=stopped)
    urls: list[str] = await nursery.start(run)
    return urls[0]
