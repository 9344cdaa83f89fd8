"""The registry of browser sessions: one login for each pair of user name and password."""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import trio

from actors.browser.agenda import Operate
from actors.browser.errors import (
    BrowserCrashed,
    CapacityExhausted,
    SessionClosed,
    SessionNotFound,
)
from actors.browser.journal import CLOSED
from actors.browser.messages import (
    CloseSession,
    GetSession,
    ListSessions,
    RunOperation,
    SessionGranted,
    SessionList,
    SessionView,
    Status,
)
from actors.browser.portals.portal import Credentials
from actors.browser.report import SessionReport
from actors.browser.session import BrowserSession
from actors.browser.work import Equipment, again
from engine import ActorRef, Clock, DomainError, Supervisor
from engine.admission import AdmissionSettings, Entry, Grant, Refuse, Why
from engine.registry import Registry

_ID_BITS: Final = 128
_ID_DIGITS: Final = len(str(2**_ID_BITS))
_LEASE_MARGIN_S: Final = 60.0


def admission_settings(equipment: Equipment) -> AdmissionSettings:
    """Derive the registry's figures from the family's settings.

    A lease outlives the longest operation, which may log in again and write a debug bundle.
    """
    settings = equipment.settings
    return AdmissionSettings(
        capacity=settings.capacity,
        idle_timeout_s=settings.idle_timeout_s,
        capacity_wait_s=settings.capacity_wait_s,
        lease_life_s=settings.operation_timeout_s + settings.login_timeout_s + _LEASE_MARGIN_S,
    )


class _Shown(msgspec.Struct, kw_only=True):
    """What a list shows of a session; kept here so that no list waits for a browser."""

    username: str
    created_at: datetime
    status: Status = "starting"
    current_url: str = ""
    last_refresh: datetime | None = None


class BrowserRegistry(Registry):
    """Answers `GetSession`, `RunOperation`, `ListSessions` and `CloseSession`.

    Args:
        equipment: what all sessions share.
        sessions: the supervisor that they live in.
        clock: wall time, ids and the secret that keys are made with.
    """

    def __init__(self, equipment: Equipment, *, sessions: Supervisor, clock: Clock) -> None:
        super().__init__(admission_settings(equipment), sessions)
        self._equipment = equipment
        self._clock = clock
        self._secret = clock.random_bits(256).to_bytes(32, "big")
        self._shown: dict[str, _Shown] = {}

    def handle(self, message: Any) -> Any:
        match message:
            case GetSession(credentials=credentials):
                return self.seek(self._key(credentials), credentials)
            case RunOperation():
                return self._run(message)
            case ListSessions():
                return self._list()
            case CloseSession(session_id=session_id):
                return self._close(session_id)
            case SessionReport():
                self._note(message)
            case _:
                return super().handle(message)
        return None

    # -- what the callers ask ------------------------------------------------------------------

    def _run(self, message: RunOperation) -> Any:
        if message.session_id is not None and (
            message.credentials is None or self.admission.has(message.session_id)
        ):
            return self.seek_id(message.session_id, use=message)
        if message.credentials is None:
            raise SessionNotFound
        return self.seek(self._key(message.credentials), message.credentials, use=message)

    def _list(self) -> SessionList:
        now, wall = trio.current_time(), self._clock.now()
        views = [self._view(entry, now, wall) for entry in self.admission.visible()]
        return SessionList(sessions=tuple(views), capacity=self.admission.settings.capacity)

    def _view(self, entry: Entry, now: float, wall: datetime) -> SessionView:
        shown = self._shown[entry.id]
        in_use = self.admission.leases.count(entry.id) > 0
        unused_s = now - entry.last_used
        return SessionView(
            session_id=entry.id,
            username=shown.username,
            created_at=shown.created_at,
            last_used=max(shown.created_at, wall - timedelta(seconds=unused_s)),
            current_url=shown.current_url,
            in_use=in_use,
            status="in_use" if in_use and shown.status == "live" else shown.status,
            last_refresh=shown.last_refresh,
        )

    def _close(self, session_id: str) -> None:
        if not self.admission.has(session_id):
            raise SessionNotFound(reason=self.admission.reason(session_id))
        self.close_session(session_id, "closed")

    def _note(self, report: SessionReport) -> None:
        shown = self._shown.get(report.id)
        if shown is not None:
            shown.status = report.status
            shown.current_url = report.current_url
            shown.last_refresh = report.last_refresh

    def _key(self, credentials: Credentials) -> str:
        """Return the key of reuse: user name *and* password, and not to be guessed from outside."""
        texts = (credentials.username, credentials.password)
        # A lone surrogate is no text, but must not end the registry either.
        parts = [text.encode("utf-8", "surrogatepass") for text in texts]
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()

    # -- what the family says of its sessions --------------------------------------------------

    def new_id(self) -> str:
        seconds = int(self._clock.now().timestamp())
        digits = self._clock.random_bits(_ID_BITS)
        return f"session_{seconds}_{digits:0{_ID_DIGITS}d}"

    def start_session(self, session_id: str, opening: Credentials) -> ActorRef:
        self._equipment.note(session_id, "session.created", username=opening.username)
        self._shown[session_id] = _Shown(username=opening.username, created_at=self._clock.now())
        registry = self.ref

        def build() -> BrowserSession:
            return BrowserSession(
                session_id,
                opening,
                equipment=self._equipment,
                registry=registry,
                clock=self._clock,
            )

        return self.sessions.spawn(build, f"browser/{session_id}", watcher=registry)

    def granted(self, grant: Grant) -> SessionGranted:
        shown = self._shown[grant.id]
        return SessionGranted(
            session_id=grant.id,
            is_new=grant.is_new,
            username=shown.username,
            created_at=shown.created_at,
        )

    def used(self, grant: Grant, use: RunOperation) -> Operate:
        assert grant.token is not None  # noqa: S101 - what is used is leased
        return Operate(call=use, token=grant.token, is_new=grant.is_new)

    def refused(self, refusal: Refuse) -> DomainError:
        match refusal.why:
            case Why.CAPACITY:
                return CapacityExhausted()
            case Why.CLOSED:
                return SessionClosed()
            case Why.UNKNOWN:
                return SessionNotFound(reason=refusal.reason)
            case Why.FAILED:
                return again(refusal.error)

    def crash_error(self) -> DomainError:
        if self.sessions.stopping:
            return SessionClosed("the server is stopping")
        return BrowserCrashed("the session ended")

    def session_gone(self, session_id: str) -> None:
        if self._shown.pop(session_id, None) is not None:
            reason = self.admission.reason(session_id) or "login_failed"
            self._equipment.note(session_id, CLOSED, reason=reason)
