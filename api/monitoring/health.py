"""`/health` and `/ready`: what a load balancer asks first. Neither waits on a browser.

`/health` says whether the process does what it is for, and what is wrong when it does not; `/ready`
whether new work is welcome here now.
"""

from __future__ import annotations

from typing import Any, Final

import trio
from quart import Blueprint, Response

from actors.browser.statistics import BrowserStatistics
from api.browser.routes import BrowserDesk
from api.monitoring.diagnosis import CrashWatch, Facts, diagnose, status_of, store_problem
from api.monitoring.readings import MeasuredConversations
from api.monitoring.vitals import Vitals
from api.reply import reply, timestamp
from api.server.drain import Drain
from engine.clock import Clock
from engine.errors import MooringError
from engine.store import Store

SERVICE: Final = "Mooring"
# The registry answers within milliseconds whatever a browser does; if not, it is not well.
_ANSWERS_WITHIN_S: Final = 5.0
_LOOK_EVERY_S: Final = 10.0
_RETRY_AFTER_S: Final = "5"


class Doctor:
    """Knows where to look.

    Args:
        store: None where nothing is kept.
    """

    def __init__(
        self,
        desk: BrowserDesk,
        drain: Drain,
        store: Store | None,
        vitals: Vitals,
        conversations: MeasuredConversations | None = None,
    ) -> None:
        self._desk = desk
        self._drain = drain
        self._store = store
        self._vitals = vitals
        self._conversations = conversations
        self._crashes = CrashWatch()

    async def examine(self) -> dict[str, Any]:
        """Return what `/health` says."""
        browser = await self._browser()
        problems = diagnose(self._facts(browser))
        said: dict[str, Any] = {"status": status_of(problems), "service": SERVICE}
        if browser is not None:
            active, capacity = browser.active, browser.admission.capacity
            said["active_sessions"] = active
            said["max_sessions"] = capacity
            said["session_capacity"] = f"{active}/{capacity}"
        if self._drain.phase == "draining":
            said |= self._unfinished(browser)
        if problems:
            said["problems"] = [
                {"code": problem.code, "message": problem.message} for problem in problems
            ]
        return said

    async def watch(self) -> None:
        """Keep an eye on what only shows over time, until cancelled."""
        while True:
            self._facts(await self._browser())
            await trio.sleep(_LOOK_EVERY_S)

    async def why_not_ready(self) -> str | None:
        """Return why new work is not welcome; None when it is."""
        if self._drain.phase != "serving":
            return self._drain.phase
        if self._store is not None:
            problem = store_problem(self._store.statistics(), trio.current_time())
            if problem is not None:
                return problem.message
        return None if await self._desk.ready() else "no browser"

    async def _browser(self) -> BrowserStatistics | None:
        try:
            with trio.move_on_after(_ANSWERS_WITHIN_S):
                return await self._desk.statistics()
        except MooringError:
            pass
        return None

    def _unfinished(self, browser: BrowserStatistics | None) -> dict[str, Any]:
        """Return what a drain still waits for."""
        conversations = self._conversations
        return {
            "draining": True,
            "in_use": 0 if browser is None else browser.admission.leased,
            "replies": 0 if conversations is None else conversations.statistics().writing,
        }

    def _facts(self, browser: BrowserStatistics | None) -> Facts:
        now = trio.current_time()
        crashed = 0 if browser is None else browser.admission.ended.get("crashed", 0)
        return Facts(
            now=now,
            store=None if self._store is None else self._store.statistics(),
            browser=browser,
            loop_delay_s=self._vitals.statistics().recent_s,
            crashes=self._crashes.lately(crashed, now),
        )


def health_routes(doctor: Doctor, clock: Clock) -> Blueprint:
    """Return the routes, open to everybody."""
    routes = Blueprint("health", __name__)

    @routes.get("/health")
    async def health() -> Response:
        """Say that it lives, how full it is, and what is wrong; 503 when it is of no use."""
        said = await doctor.examine()
        status = 503 if said["status"] == "unhealthy" else 200
        return reply(said | {"timestamp": timestamp(clock.now())}, status=status)

    @routes.get("/ready")
    async def ready() -> Response:
        """Say whether new work is welcome."""
        reason = await doctor.why_not_ready()
        if reason is None:
            return reply({"status": "ready"})
        response = reply({"status": reason}, status=503)
        response.headers["Retry-After"] = _RETRY_AFTER_S
        return response

    return routes
