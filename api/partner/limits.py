"""Limits of clients that no tenant answers for yet, and how limits are shown.

Laws of this file: a client is the peer, or whom a trusted proxy names; what anybody else writes
into `X-Forwarded-For` resets no limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from quart import Blueprint, Response, g, has_request_context, request, websocket

from actors.partner.errors import RateLimited
from actors.partner.limits import Windows
from actors.partner.rate import Rate
from actors.partner.tenants.throttle import client_name
from api.access import client_of
from api.settings import Network
from engine.clock import Clock

_RATE: Final = "partner_rate"


class ClientLimits:
    """Counts requests of each client.

    Args:
        per_minute: of one client.
        trusted: proxies whose word is taken for who the client is.
    """

    def __init__(self, per_minute: int, *, trusted: Sequence[Network], clock: Clock) -> None:
        self._windows = Windows(per_minute)
        self._trusted = trusted
        self._clock = clock

    @property
    def client(self) -> str:
        """The address of whoever makes the request in hand."""
        here = request if has_request_context() else websocket
        return client_name(client_of(here.scope, self._trusted))

    def take(self) -> None:
        """Count the request in hand.

        Raises:
            RateLimited.
        """
        try:
            show_rate(self._windows.take(self.client, self._clock.now()))
        except RateLimited as error:
            show_rate(error.rate)
            raise


def show_rate(rate: Rate | None) -> None:
    """Let the answer in hand say what is left of a limit."""
    if rate is not None:
        setattr(g, _RATE, rate)


def partner_blueprint(name: str) -> Blueprint:
    """Return a blueprint whose answers, errors among them, say what is left of the limit."""
    routes = Blueprint(name, __name__)
    routes.after_request(_add_headers)
    return routes


async def _add_headers(response: Response) -> Response:
    rate: Rate | None = getattr(g, _RATE, None)
    if rate is not None:
        response.headers["X-RateLimit-Limit"] = str(rate.limit)
        response.headers["X-RateLimit-Remaining"] = str(rate.remaining)
        response.headers["X-RateLimit-Reset"] = str(rate.resets_at_s)
    return response
