"""What the policy decides, as data: everything that `engine.admission` can want done.

Laws of this file: frozen; no live objects but the opaque `opening` that a caller gave, and errors.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeAlias

import msgspec

from engine.errors import DomainError


class Why(Enum):
    """Why a ticket is refused."""

    CAPACITY = "capacity"
    FAILED = "failed"  # the start failed; the effect carries the error
    CLOSED = "closed"
    UNKNOWN = "unknown"  # no such id; the effect carries the reason of its end, if known


class Start(msgspec.Struct, frozen=True):
    """Start this id, with what the first who asked for it gave."""

    id: str
    opening: Any = None


class Stop(msgspec.Struct, frozen=True):
    """Stop this id; it is already out of the table."""

    id: str
    reason: str


class Park(msgspec.Struct, frozen=True):
    """Stop this id's start; it stays in the table, and may be started again."""

    id: str


class Grant(msgspec.Struct, frozen=True):
    """Let this ticket have the session, with a lease if it wanted one."""

    ticket: int
    id: str
    is_new: bool
    token: int | None


class Refuse(msgspec.Struct, frozen=True):
    """Refuse this ticket."""

    ticket: int
    why: Why
    error: DomainError | None = None
    reason: str | None = None


class Lapse(msgspec.Struct, frozen=True):
    """A lease outlived its longest life; what it was for must end."""

    id: str
    token: int


Effect: TypeAlias = Start | Stop | Park | Grant | Refuse | Lapse
Effects: TypeAlias = list[Effect]
