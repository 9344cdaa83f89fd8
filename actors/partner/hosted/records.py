"""What a hosted session is made of.

Laws of this file: a record is written as it is, and never changed: a change makes a new one. Times
are texts of the contract's form, which sort as their times do.

`HostedSession` is what its tenant sees: the answer of `GET`, the `data` of events and of webhooks,
and what lists are made of. `Visit` is what the visitor's side needs besides. Neither holds a
secret: browsers and tokens are there as digests of more random bits than anybody can try.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from actors.partner.hosted.states import ENDS, OPEN, State
from actors.partner.tenants.principal import Environment

Metadata: TypeAlias = Mapping[str, Any]
# What a flow has drawn for one session, and what was made of an answer; the flow's own form.
FlowPlan: TypeAlias = Mapping[str, Any]
FlowAnswer: TypeAlias = Mapping[str, Any]
Reason: TypeAlias = str
CancelledBy: TypeAlias = Literal["partner", "visitor"]


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the visitor is: so many steps `done` of so many (an estimate while it goes on)."""

    done: int
    of: int


class HostedSession(msgspec.Struct, frozen=True, kw_only=True):
    """The session, as its tenant sees it.

    Attributes:
        flow: what the visitor does, by its name; `purpose` is what the visitor is told it is for.
        expires_at: when it expires unless it has ended; a visitor may put it off.
        ended_at: when it reached its end; None before.
        reason: why it ended as it did, in a word; None before, and where there is nothing to say.
        result: what the flow found; None unless it completed or failed.
    """

    session_id: str
    environment: Environment
    state: State
    flow: str
    purpose: str | None
    return_url: str
    metadata: Metadata
    progress: Progress
    created_at: str
    updated_at: str
    expires_at: str
    ended_at: str | None = None
    reason: Reason | None = None
    result: Mapping[str, Any] | None = None

    @property
    def has_ended(self) -> bool:
        return self.state in ENDS

    def is_overdue(self, at: str) -> bool:
        """Tell whether its time is up and nobody has said so yet."""
        return self.state in OPEN and at >= self.expires_at


class HandOver(msgspec.Struct, frozen=True, kw_only=True):
    """A link to another device: the digest of its token, until when it may be used, and whether it
    was."""

    digest: str
    expires_at: str
    used: bool = False


class Visit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the visitor's side needs to know.

    Attributes:
        plan: what the flow has drawn for this session.
        browsers: digests of the cookies that may act, in the order in which they came; the first
            act brings the first one.
        extensions: how often the visitor has put off the end.
        receipt_id: the `jti` of the session's receipt; there is one for a session.
    """

    tenant_id: str
    receipt_id: str
    plan: FlowPlan = {}
    browsers: tuple[str, ...] = ()
    handovers: tuple[HandOver, ...] = ()
    answers: tuple[FlowAnswer, ...] = ()
    extensions: int = 0

    def hand_over(self, digest: str) -> HandOver | None:
        """Return the link to another device with this digest."""
        return next((it for it in self.handovers if it.digest == digest), None)


class Hosted(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a hosted session; `seq` is the sequence of its newest event."""

    session: HostedSession
    visit: Visit
    seq: int
