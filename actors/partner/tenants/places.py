"""What hosted sessions ask of their tenant: a place before they are made, and it back afterwards.

Laws of this file: frozen, keyword-only, tagged; no callables, no live objects.

A create reserves, commits the session's own stream, and confirms. What is never settled lapses; a
session that exists counts whether or not it was confirmed.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from actors.partner.tenants.principal import Environment


class Reserve(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask for a place; answered with a `Reservation`, or refused with a 429 that costs nothing."""

    environment: Environment


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """A place for one session that is about to be made.

    Attributes:
        created_at: the session's own time of creation, in whole milliseconds; no two sessions of a
            tenant have the same, and later reservations have later ones.
    """

    token: int
    created_at: datetime


class Confirm(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The session is durable; idempotent."""

    token: int
    session_id: str


class GiveBack(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The session was not made after all; idempotent."""

    token: int


class SessionEnded(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The session has reached its end and is no longer active; idempotent."""

    session_id: str
