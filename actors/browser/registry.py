"""The registry of browser sessions: one login for each pair of user name and password."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
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
from actors.browser.journal_messages import (
    AskKept,
    Found,
    KeptSession,
    KeptSessions,
    Looked,
    LookFor,
    SessionMoved,
    Settle,
    Used,
)
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
from actors.browser.place import CLOSED, PARKED
from actors.browser.portals.portal import Credentials
from actors.browser.report import SessionReport
from actors.browser.session import BrowserSession
from actors.browser.work import Equipment, again
from engine import DEFERRED, ActorRef, Clock, DomainError, Supervisor
from engine.admission import AdmissionSettings, Entry, Grant, Refuse, Why
from engine.registry import Registry, SessionFailed, SessionStarted

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ID_BITS: Final = 128
_ID_DIGITS: Final = len(str(2**_ID_BITS))
_LEASE_MARGIN_S: Final = 60.0
_STOCK_TIMEOUT_S: Final = 25.0
_AT_ONCE: Final = 10  # of those that are restored unasked: each loads a page


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
    restored: bool = False
    status: Status = "starting"
    current_url: str = ""
    last_refresh: datetime | None = None


class BrowserRegistry(Registry):
    """Answers `GetSession`, `RunOperation`, `ListSessions` and `CloseSession`.

    It begins with the sessions that an earlier one has left, each waiting to be asked for.

    Args:
        equipment: what all sessions share.
        sessions: the supervisor that they live in.
        clock: wall time and ids.
    """

    def __init__(self, equipment: Equipment, *, sessions: Supervisor, clock: Clock) -> None:
        super().__init__(admission_settings(equipment), sessions)
        self._equipment = equipment
        self._clock = clock
        self._shown: dict[str, _Shown] = {}
        self._unasked: deque[str] = deque()  # to be restored all the same
        self._waking: set[str] = set()  # those that are

    async def on_start(self) -> None:
        if self._equipment.journal is not None:
            asked = AskKept(registry=self.ref)
            kept = await self._equipment.journal.ask(asked, timeout_s=_STOCK_TIMEOUT_S)
            self._take_over(kept)

    def handle(self, message: Any) -> Any:
        match message:
            case Looked():
                return self._serve(message.message)
            case Found(kept=kept):
                if not self.admission.has(kept.session_id):
                    self._take_over_one(kept, self._clock.now())
            case SessionMoved(session_id=session_id):
                self.close_session(session_id, "moved")
            case _:
                look = self._what_to_look_for(message) if self._equipment.shared else None
                return self._serve(message) if look is None else self._look_for(look)
        return None

    def _serve(self, message: Any) -> Any:
        match message:
            case GetSession(credentials=credentials):
                return self.seek(self._key(credentials), credentials)
            case SessionStarted() | SessionFailed():
                super().handle(message)
                self._waking.discard(message.id)
                self._wake_more()
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

    # -- what another server may have ----------------------------------------------------------

    def _what_to_look_for(self, message: Any) -> LookFor | None:
        """Return what the store is to be asked first; None when what is here decides."""
        match message:
            case GetSession(credentials=credentials):
                logins = self._unknown(credentials)
                return LookFor(message=message, logins=logins) if logins else None
            case RunOperation(session_id=session_id, credentials=credentials):
                named = session_id is not None and self.admission.has(session_id)
                logins = () if credentials is None else self._unknown(credentials)
                if named or (credentials is not None and not logins):
                    return None
                if credentials is None and not self._may_be_elsewhere(session_id):
                    return None
                return LookFor(message=message, session_id=session_id, logins=logins)
            case CloseSession(session_id=session_id) if self._may_be_elsewhere(session_id):
                return LookFor(message=message, session_id=session_id)
        return None

    def _look_for(self, look: LookFor) -> Any:
        assert self._equipment.journal is not None  # noqa: S101 - else nothing is shared
        self.defer().forward(self._equipment.journal, look)
        return DEFERRED

    def _unknown(self, credentials: Credentials) -> tuple[str, ...]:
        """Return the digests of credentials, if no session here has them."""
        logins = self._equipment.vault.logins(credentials)
        return () if any(map(self.admission.has_key, logins)) else logins

    def _may_be_elsewhere(self, session_id: str | None) -> bool:
        """Tell whether an id is not here, and not known to have ended here."""
        return (
            session_id is not None
            and not self.admission.has(session_id)
            and self.admission.reason(session_id) in {None, "moved"}
        )

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
        entries = (*self.admission.visible(), *self.admission.waiting())
        views = sorted(
            (self._view(entry, now, wall) for entry in entries), key=lambda it: it.created_at
        )
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
            status=self._status(entry, shown, in_use=in_use),
            last_refresh=shown.last_refresh,
        )

    def _status(self, entry: Entry, shown: _Shown, *, in_use: bool) -> Status:
        if not entry.placed:
            return "waiting"
        return "in_use" if in_use and shown.status == "live" else shown.status

    def _close(self, session_id: str) -> Any:
        if not self.admission.has(session_id):
            raise SessionNotFound(reason=_told(self.admission.reason(session_id)))
        self.close_session(session_id, "closed")
        if self._equipment.journal is None:
            return None
        # Else a crash of the server in this moment would bring it back.
        self.defer().forward(self._equipment.journal, Settle(session_id=session_id))
        return DEFERRED

    def _note(self, report: SessionReport) -> None:
        shown = self._shown.get(report.id)
        if shown is not None:
            shown.status = report.status
            shown.current_url = report.current_url
            shown.last_refresh = report.last_refresh

    def _key(self, credentials: Credentials) -> str:
        """Return the key of reuse: user name *and* password, and not to be guessed from outside.

        A session that was saved under an older master key is found by that one's digest.
        """
        logins = self._equipment.vault.logins(credentials)
        return next(filter(self.admission.has_key, logins), logins[0])

    # -- what was there before -----------------------------------------------------------------

    def _take_over(self, kept: KeptSessions) -> None:
        for session_id, reason in kept.ended.items():
            self.admission.note_end(session_id, reason)
        wall = self._clock.now()
        # The newest first, so that of two with one login the older one goes.
        for each in reversed(kept.sessions):
            self._take_over_one(each, wall)
        self.look_around()  # some may have idled meanwhile
        if self._equipment.settings.restore == "eager":
            found = (each.session_id for each in reversed(kept.sessions))
            self._unasked.extend(filter(self.admission.has, found))
            self._wake_more()

    def _take_over_one(self, kept: KeptSession, wall: datetime) -> None:
        refreshed = kept.last_refresh_ms
        self._shown[kept.session_id] = _Shown(
            username=kept.username,
            created_at=_moment(kept.created_at_ms),
            restored=True,
            status="waiting",
            current_url=kept.url,
            last_refresh=None if refreshed is None else _moment(refreshed),
        )
        # A wall clock that was set back makes nobody wait for the time it lost.
        unused_s = max(0.0, (wall - _moment(kept.last_used_ms)).total_seconds())
        if not self.adopt_session(kept.session_id, kept.login, unused_s=unused_s):
            self.admission.note_end(kept.session_id, "closed")
            self.session_gone(kept.session_id)

    def _wake_more(self) -> None:
        while self._unasked and len(self._waking) < _AT_ONCE:
            session_id = self._unasked.popleft()
            if self.wake_session(session_id):
                self._waking.add(session_id)

    # -- what the family says of its sessions --------------------------------------------------

    def new_id(self) -> str:
        seconds = int(self._clock.now().timestamp())
        digits = self._clock.random_bits(_ID_BITS)
        return f"session_{seconds}_{digits:0{_ID_DIGITS}d}"

    def start_session(self, session_id: str, opening: Credentials | None) -> ActorRef:
        shown = self._shown.get(session_id)
        if shown is None:
            assert opening is not None  # noqa: S101 - a new session is asked for by credentials
            shown = _Shown(username=opening.username, created_at=self._clock.now())
            self._shown[session_id] = shown
            self._equipment.note(session_id, "session.created", username=opening.username)
        registry, restored = self.ref, shown.restored

        def build() -> BrowserSession:
            return BrowserSession(
                session_id,
                opening,
                equipment=self._equipment,
                registry=registry,
                clock=self._clock,
                restored=restored,
                parks=lambda: self.sessions.statistics().stopping,
            )

        return self.sessions.spawn(build, f"browser/{session_id}", watcher=registry)

    def granted(self, grant: Grant) -> SessionGranted:
        shown = self._shown[grant.id]
        if self._equipment.journal is not None:
            self._equipment.journal.signal(Used(session_id=grant.id))
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
                return SessionNotFound(reason=_told(refusal.reason))
            case Why.FAILED:
                return again(refusal.error)

    def crash_error(self) -> DomainError:
        if self.sessions.stopping:
            return SessionClosed("the server is stopping")
        return BrowserCrashed("the session ended")

    def session_gone(self, session_id: str) -> None:
        if self._shown.pop(session_id, None) is not None:
            self._waking.discard(session_id)
            reason = self.admission.reason(session_id) or "login_failed"
            if reason == "parked":
                self._equipment.note(session_id, PARKED, reason="server_stopped")
            elif reason != "moved":  # then it is not ours to say anything about
                self._equipment.note(session_id, CLOSED, reason=reason)

    def session_parked(self, session_id: str) -> None:
        self._shown[session_id].status = "waiting"


def _moment(at_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=at_ms)


def _told(reason: str | None) -> str | None:
    """Return why a session has ended, as far as this server knows."""
    return None if reason == "moved" else reason
