"""Everything that can be said to the registry of browser sessions.

Laws of this file: frozen, keyword-only, tagged; no callables, no live objects.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from actors.browser.portals.portal import Credentials

Status = Literal["starting", "live", "in_use", "refreshing", "recovering", "waiting"]
EndReason = Literal["idle_timeout", "evicted", "closed", "login_lost", "crashed", "parked", "moved"]


class GetSession(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask for the session of these credentials, logged in; made when there is none.

    Answered with `SessionGranted`.
    """

    credentials: Credentials


class SessionGranted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    session_id: str
    is_new: bool
    username: str
    created_at: datetime


class RunOperation(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask for one operation, in a session found by id, else by credentials.

    Answered with `OperationDone`. `request` is a decoded request of the operation; `request_id`
    names the asker's request in the logs.
    """

    name: str
    request: Any
    session_id: str | None = None
    credentials: Credentials | None = None
    debug: bool = False
    request_id: str = ""


class OperationDone(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The operation's answer; `debug_bundle` is the name under which its ZIP can be fetched."""

    session_id: str
    is_new_session: bool
    answer: Any
    debug_bundle: str | None = None


class ListSessions(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask for all sessions; answered at once with `SessionList`."""


class SessionView(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    session_id: str
    username: str
    created_at: datetime
    last_used: datetime
    current_url: str
    in_use: bool
    status: Status
    keep_alive: bool = True
    last_refresh: datetime | None = None


class SessionList(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The sessions, oldest first, and how many may be active.

    One that is `waiting` was live under an earlier server, and is restored when it is asked for.
    """

    sessions: tuple[SessionView, ...]
    capacity: int

    @property
    def active(self) -> int:
        """How many have a place."""
        return sum(session.status != "waiting" for session in self.sessions)


class CloseSession(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask for a session's end; answered once nobody can use it any more, and that is durable.

    What runs in it ends with `SessionClosed`. An id that is not there answers `SessionNotFound`.
    """

    session_id: str
