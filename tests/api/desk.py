"""A desk of browser sessions without browsers: it keeps the ask protocol, and nothing else."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import trio

from actors.browser.captcha_account import CaptchaAccount
from actors.browser.errors import AuthenticationFailed, SessionNotFound
from actors.browser.memory import ChromiumMemory
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
from actors.browser.page import Page
from actors.browser.pool_messages import PoolStatistics
from actors.browser.portals.portal import Operation, operation, operations_of
from actors.browser.settings import BrowserSettings
from actors.browser.statistics import BrowserStatistics, by_status
from engine.admission import Admission, AdmissionSettings
from engine.clock import Clock
from engine.durable import Log
from engine.errors import AskTimeout
from engine.seal import Sealer

MADE_AT = datetime(2024, 1, 7, 12, 34, 56, 789_999, tzinfo=UTC)
Behaviour = Callable[[Any], Awaitable[Any]]


class GetBooking(msgspec.Struct, frozen=True, kw_only=True):
    container_id: Annotated[str, msgspec.Meta(max_length=20)]
    depth: int = 0


class Booking(msgspec.Struct, frozen=True, kw_only=True):
    container_id: str
    booking_number: str | None


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    seconds: Annotated[float, msgspec.Meta(ge=0)]


class Rested(msgspec.Struct, frozen=True, kw_only=True):
    seconds: float


class PortalOnPaper:
    """Two operations to make routes of; their methods are never called, the desk answers."""

    @operation("get_booking_number", request=GetBooking, answer=Booking)
    async def get_booking_number(self, page: Page, request: GetBooking) -> Booking:
        """Return the booking of a container."""
        raise NotImplementedError

    @operation("rest", request=Rest, answer=Rested)
    async def rest(self, page: Page, request: Rest) -> Rested:
        """Take a while."""
        raise NotImplementedError


class Registry:
    """Answers asks; `behave` replaces an answer, or makes it raise or wait."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.withdrawn: list[Any] = []
        self.sessions: dict[str, SessionView] = {}
        self.behave: dict[type[Any], Behaviour] = {}

    async def ask(self, message: Any, *, timeout_s: float) -> Any:
        self.asked.append(message)
        await trio.lowlevel.checkpoint()
        behaviour = self.behave.get(type(message), self._answer)
        with trio.move_on_after(timeout_s):
            try:
                return await behaviour(message)
            except trio.Cancelled:
                self.withdrawn.append(message)
                raise
        raise AskTimeout("browser/registry", message)

    def add(self, username: str) -> SessionView:
        view = SessionView(
            session_id=f"session_1704623456_{len(self.sessions)}",
            username=username,
            created_at=MADE_AT,
            last_used=MADE_AT,
            current_url="https://portal.example/containers",
            in_use=False,
            status="live",
        )
        self.sessions[view.session_id] = view
        return view

    async def _answer(self, message: Any) -> Any:
        match message:
            case GetSession(credentials=credentials):
                if credentials.password == "wrong":
                    raise AuthenticationFailed
                known = self._of(credentials.username)
                view = known or self.add(credentials.username)
                return SessionGranted(
                    session_id=view.session_id,
                    is_new=known is None,
                    username=view.username,
                    created_at=view.created_at,
                )
            case ListSessions():
                return SessionList(sessions=tuple(self.sessions.values()), capacity=10)
            case CloseSession(session_id=session_id):
                self._find(session_id)
                del self.sessions[session_id]
                return None
            case RunOperation():
                return await self._operate(message)
        raise TypeError(message)

    async def _operate(self, message: RunOperation) -> OperationDone:
        is_new = message.session_id not in self.sessions and message.credentials is not None
        if is_new and message.credentials is not None:
            view = self.add(message.credentials.username)
        else:
            view = self._find(message.session_id or "")
        if isinstance(message.request, Rest):
            await trio.sleep(message.request.seconds)
            answer: Any = Rested(seconds=message.request.seconds)
        else:
            answer = Booking(container_id=message.request.container_id, booking_number="B1")
        bundle = "bundle-1" if message.debug else None
        return OperationDone(
            session_id=view.session_id, is_new_session=is_new, answer=answer, debug_bundle=bundle
        )

    def _of(self, username: str) -> SessionView | None:
        found = (view for view in self.sessions.values() if view.username == username)
        return next(found, None)

    def _find(self, session_id: str) -> SessionView:
        if session_id not in self.sessions:
            raise SessionNotFound(reason="idle_timeout")
        return self.sessions[session_id]


class Desk:
    """A `BrowserDesk` over that registry."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.operations: Mapping[str, Operation] = operations_of(PortalOnPaper())
        self.bundles = {"bundle-1": b"PK-zip"}
        self.is_ready = True
        self.failing = ""

    async def open_debug_bundle(self, name: str) -> bytes | None:
        return self.bundles.get(name)

    async def statistics(self) -> BrowserStatistics:
        """All zero, but for the sessions on paper."""
        found = await self.registry.ask(ListSessions(), timeout_s=1.0)
        settings = AdmissionSettings(
            capacity=found.capacity, idle_timeout_s=1, capacity_wait_s=1, lease_life_s=1
        )
        return BrowserStatistics(
            sessions=by_status(found),
            admission=Admission(settings).statistics(),
            pool=PoolStatistics(
                processes=0, contexts=0, spare=self.is_ready, waiting=0, failing=self.failing
            ),
            captchas=CaptchaAccount().statistics(),
            work=(),
            supervisors=(),
        )

    async def chromium_memory(self) -> ChromiumMemory:
        return ChromiumMemory(processes=0, memory_bytes=0)

    async def ready(self) -> bool:
        return self.is_ready


@asynccontextmanager
async def open_desk(
    settings: BrowserSettings,
    *,
    clock: Clock,
    data_dir: Path,
    drain_s: float,
    log: Log,
    sealer: Sealer,
) -> AsyncIterator[Desk]:
    """Open a desk as `api.serve` does."""
    desk = Desk()
    desk.is_ready = "DESK_IS_NEVER_READY" not in os.environ
    desk.bundles["flood"] = bytes(64 * 1024 * 1024)  # more than any socket's buffers take
    yield desk
