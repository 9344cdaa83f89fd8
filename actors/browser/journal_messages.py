"""Everything that can be said to the journal of browser sessions, and what it can write.

Laws of this file: frozen, keyword-only, tagged; the data of a note holds no secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from actors.browser.place import CLOSED, CREATED, PARKED
from actors.browser.saved import SavedSession
from engine import ActorRef

EVENT_TYPES: Final = frozenset(
    {
        CREATED,
        "login.started",
        "login.succeeded",
        "login.failed",
        "captcha.solved",
        "refresh.started",
        "refresh.succeeded",
        "refresh.failed",
        "operation.started",
        "operation.finished",
        "lease.granted",
        "lease.released",
        "popup.blocked",
        "browser.crashed",
        "restore.started",
        "restore.failed",
        "session.recovered",
        PARKED,
        CLOSED,
    }
)


class Note(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signal: this has happened to a session. `data` holds no secret."""

    session_id: str
    event: str
    data: Mapping[str, Any] = {}


class Keep(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask for a session's state to be saved, over what was; for a signal nobody is told.

    Answered once it is durable: with False when the session is over, and nothing of it is kept.
    """

    session_id: str
    saved: SavedSession


class Used(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signal: the session was used; written within a minute, or with what comes before."""

    session_id: str


class Settle(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask to be answered once all that was noted of a session is durable."""

    session_id: str


class AskKept(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask, as a registry that begins, for `KeptSessions`: whoever ran sessions before has gone.

    From then on it hears `SessionMoved`.
    """

    registry: ActorRef


class KeptSession(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A session that can be restored; `login` is a digest of its credentials."""

    session_id: str
    login: str
    username: str
    url: str
    created_at_ms: int
    last_used_ms: int
    last_refresh_ms: int | None


class KeptSessions(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Those that can be restored, least recently used first; and why the others have ended."""

    sessions: tuple[KeptSession, ...]
    ended: Mapping[str, str]


class LookFor(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask, as the registry, for a session that another server may have had, by its id or by the
    digests of its credentials. The asker is passed back with `Looked`, or told who has it."""

    message: Any
    session_id: str | None = None
    logins: tuple[str, ...] = ()


class Found(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signalled to the registry: this session is this server's now, and waits to be restored."""

    kept: KeptSession


class Looked(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Asked of the registry: what `LookFor` was for, once all that could be found is known."""

    message: Any


class SessionMoved(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signalled to the registry: another server has this session, or may have it soon."""

    session_id: str
