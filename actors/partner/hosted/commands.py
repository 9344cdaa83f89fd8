"""Everything that can be asked of a hosted session.

Laws of this file: frozen, keyword-only, tagged; no callables, no live objects. `browser` is the
digest of the cookie of whoever acts, never the cookie.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from actors.partner.hosted.records import CancelledBy


class _Command(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    pass


class Begin(_Command, frozen=True, kw_only=True):
    """Start; the first browser to act is the one that may go on."""

    browser: str


class GiveAnswer(_Command, frozen=True, kw_only=True):
    """Answer the step in hand; ignored when `step` is another one (a double click, a late frame).

    Args:
        answer: what the visitor's page sent; the flow checks it.
    """

    browser: str
    step: str
    answer: Mapping[str, Any]


class Extend(_Command, frozen=True, kw_only=True):
    """Have `by_s` more.

    Args:
        until: the end that is put off; ignored when that is another one by now (a double click, a
            page that was open beside).
    """

    browser: str
    by_s: float
    until: str


class OfferHandOver(_Command, frozen=True, kw_only=True):
    """Let whoever shows the token of this digest, once and within `life_s`, go on elsewhere."""

    browser: str
    digest: str
    life_s: float


class TakeOver(_Command, frozen=True, kw_only=True):
    """Go on in this browser, by the link of that digest; idempotent for the same browser."""

    browser: str
    digest: str


class Cancel(_Command, frozen=True, kw_only=True):
    """End it; idempotent. A visitor says with which browser."""

    by: CancelledBy
    browser: str | None = None


class Expire(_Command, frozen=True, kw_only=True):
    """Time has passed; nothing happens unless its time is up."""


class Conclude(_Command, frozen=True, kw_only=True):
    """Find the result of all that was answered; nothing happens unless it is being processed."""


Act: TypeAlias = Begin | GiveAnswer | Extend | OfferHandOver | TakeOver
Command: TypeAlias = Act | Cancel | Expire | Conclude
