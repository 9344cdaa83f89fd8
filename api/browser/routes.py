"""Browser sessions over REST: the routes of the contract, and one for each portal operation."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol

import msgspec
from msgspec.structs import replace
from quart import Blueprint, Response, request
from quart_trio.wrappers import TrioResponse

from actors.browser.errors import BrowserSessionError, CloseFailed, SessionNotFound
from actors.browser.memory import ChromiumMemory
from actors.browser.messages import (
    CloseSession,
    ListSessions,
    OperationDone,
    RunOperation,
    SessionGranted,
    SessionList,
    SessionView,
)
from actors.browser.portals.portal import Operation
from actors.browser.settings import BrowserSettings
from actors.browser.statistics import BrowserStatistics
from api.access import note_session, request_id
from api.body import read_object
from api.browser import requests as browser_requests
from api.errors import BundleNotFound, OperationSessionGone
from api.reply import reply, timestamp
from engine.errors import ActorCrashed, AskTimeout

_OPERATION_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_BUNDLE_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
# The registry itself answers lists and closings, whatever its browsers do.
_AT_ONCE_S: Final = 10.0
# How late an actor's own deadline may be before the door stops waiting for its answer.
_MARGIN_S: Final = 15.0
_GRANTED: Final = {
    True: "New persistent session created",
    False: "Using existing persistent session",
}


class Asks(Protocol):
    """The part of an `ActorRef` that a route uses."""

    async def ask(self, message: Any, *, timeout_s: float) -> Any: ...


class BrowserDesk(Protocol):
    """What the routes need of the family of browser sessions."""

    @property
    def registry(self) -> Asks:
        """Takes the messages of `actors.browser.messages`."""
        ...

    @property
    def operations(self) -> Mapping[str, Operation]:
        """What can be done at the portal, by name."""
        ...

    async def open_debug_bundle(self, name: str) -> bytes | None:
        """Return the ZIP that `OperationDone.debug_bundle` named; None when it is not kept."""
        ...

    async def statistics(self) -> BrowserStatistics:
        """Return what there is now; answers within seconds, or raises a `MooringError`."""
        ...

    async def chromium_memory(self) -> ChromiumMemory:
        """Return what all Chromiums take together."""
        ...

    async def ready(self) -> bool:
        """Tell whether a session could be started now; answers within a second."""
        ...


def browser_routes(desk: BrowserDesk, limits: BrowserSettings, public_url: str) -> Blueprint:
    """Return the routes.

    Args:
        public_url: the prefix of handed-out URLs.

    Raises:
        ValueError: a portal's operation has a name that is no path, or one that is taken.
    """
    views = _BrowserViews(desk, limits, public_url)
    routes = Blueprint("browser", __name__)
    routes.add_url_rule("/get_session", view_func=views.get_session, methods=["POST"])
    routes.add_url_rule("/sessions", view_func=views.list_sessions, methods=["GET"])
    routes.add_url_rule("/sessions/<session_id>", view_func=views.close_session, methods=["DELETE"])
    routes.add_url_rule("/debug_bundles/<name>.zip", view_func=views.debug_bundle, methods=["GET"])
    for name, operation in desk.operations.items():
        if not _OPERATION_NAME.fullmatch(name) or name in {"get_session", "sessions"}:
            raise ValueError(f"{name!r} cannot be an operation's route")
        routes.add_url_rule(
            f"/{name}",
            endpoint=f"operation_{name}",
            view_func=views.operation(operation),
            methods=["POST"],
        )
    return routes


class _BrowserViews:
    """The views. A client that leaves cancels its view, and with it withdraws its ask."""

    def __init__(self, desk: BrowserDesk, limits: BrowserSettings, public_url: str) -> None:
        self._desk = desk
        self._limits = limits
        self._public_url = public_url

    async def get_session(self) -> Response:
        message = browser_requests.get_session(await read_object(request))
        granted: SessionGranted = await self._desk.registry.ask(
            message, timeout_s=self._login_within_s
        )
        note_session(request.scope, granted.session_id)
        return reply(
            {
                "success": True,
                "session_id": granted.session_id,
                "is_new": granted.is_new,
                "username": granted.username,
                "created_at": timestamp(granted.created_at),
                "expires_at": None,
                "message": _GRANTED[granted.is_new],
            }
        )

    async def list_sessions(self) -> Response:
        found: SessionList = await self._desk.registry.ask(ListSessions(), timeout_s=_AT_ONCE_S)
        sessions = [_view(session) for session in found.sessions]
        return reply(
            {
                "active_sessions": found.active,
                "waiting_sessions": len(sessions) - found.active,
                "sessions": sessions,
            }
        )

    async def close_session(self, session_id: str) -> Response:
        try:
            await self._desk.registry.ask(CloseSession(session_id=session_id), timeout_s=_AT_ONCE_S)
        except SessionNotFound as error:
            # The contract's answer here is bare; why it has gone is told to operations only.
            raise SessionNotFound from error
        except (AskTimeout, ActorCrashed) as error:
            raise CloseFailed from error
        return reply({"success": True, "message": f"Session {session_id} closed"})

    def operation(self, operation: Operation) -> Callable[[], Awaitable[Response]]:
        """Return the view of `POST /<operation>`."""

        async def view() -> Response:
            message = browser_requests.run_operation(operation, await read_object(request))
            if message.session_id is not None:
                note_session(request.scope, message.session_id)
            done = await self._run(replace(message, request_id=request_id(request.scope)))
            note_session(request.scope, done.session_id)
            answer = {"success": True, **msgspec.to_builtins(done.answer)}
            answer["session_id"] = done.session_id
            answer["is_new_session"] = done.is_new_session
            return reply(answer | self._bundle(done.debug_bundle))

        return view

    async def debug_bundle(self, name: str) -> Response:
        bundle = await self._desk.open_debug_bundle(name) if _BUNDLE_NAME.fullmatch(name) else None
        if bundle is None:
            raise BundleNotFound("It is kept for 24 hours")
        headers = {
            "Cache-Control": "no-store",
            "Content-Disposition": f'attachment; filename="{name}.zip"',
            "X-Content-Type-Options": "nosniff",
        }
        return TrioResponse(bundle, headers=headers, content_type="application/zip")

    async def _run(self, message: RunOperation) -> OperationDone:
        # An operation may wait for the one before it, and needs a login when its session has gone.
        within_s = self._login_within_s + 2 * self._limits.operation_timeout_s
        try:
            done: OperationDone = await self._desk.registry.ask(message, timeout_s=within_s)
        except SessionNotFound as error:
            raise OperationSessionGone(error.details, **error.fields) from error
        except BrowserSessionError as error:
            error.fields |= self._bundle(error.fields.pop("debug_bundle", None))
            raise
        return done

    def _bundle(self, name: str | None) -> dict[str, str]:
        if name is None:
            return {}
        return {"debug_bundle_url": f"{self._public_url}/debug_bundles/{name}.zip"}

    @property
    def _login_within_s(self) -> float:
        return self._limits.capacity_wait_s + self._limits.login_timeout_s + _MARGIN_S


def _view(session: SessionView) -> dict[str, Any]:
    refreshed = session.last_refresh
    return {
        "session_id": session.session_id,
        "username": session.username,
        "created_at": timestamp(session.created_at),
        "last_used": timestamp(session.last_used),
        "keep_alive": session.keep_alive,
        "current_url": session.current_url,
        "in_use": session.in_use,
        "status": session.status,
        "last_refresh": None if refreshed is None else timestamp(refreshed),
    }
