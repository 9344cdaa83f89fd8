"""`/health` and `/ready`: what a load balancer asks first. Neither waits on a browser."""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response

from actors.browser.messages import ListSessions, SessionList
from api.browser import BrowserDesk
from api.drain import Drain
from api.reply import reply, timestamp
from engine.clock import Clock
from engine.errors import MooringError

SERVICE: Final = "Mooring"
# The registry answers within milliseconds whatever a browser does; if not, it is not well.
_ANSWERS_WITHIN_S: Final = 2.0


def health_routes(desk: BrowserDesk, drain: Drain, clock: Clock) -> Blueprint:
    """Return the routes, open to everybody."""
    routes = Blueprint("health", __name__)

    @routes.get("/health")
    async def health() -> Response:
        """Say that it lives, and how full it is; 503 when its registry does not answer."""
        moment = {"service": SERVICE, "timestamp": timestamp(clock.now())}
        try:
            found: SessionList = await desk.registry.ask(
                ListSessions(), timeout_s=_ANSWERS_WITHIN_S
            )
        except MooringError:
            return reply({"status": "unhealthy", **moment}, status=503)
        active = len(found.sessions)
        return reply(
            {
                "status": "healthy",
                "service": SERVICE,
                "active_sessions": active,
                "max_sessions": found.capacity,
                "session_capacity": f"{active}/{found.capacity}",
                "timestamp": moment["timestamp"],
            }
        )

    @routes.get("/ready")
    async def ready() -> Response:
        """Say whether new work is welcome."""
        if drain.phase != "serving":
            return reply({"status": drain.phase}, status=503)
        if not await desk.ready():
            return reply({"status": "no browser"}, status=503)
        return reply({"status": "ready"})

    return routes
