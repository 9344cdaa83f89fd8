"""What a conversation is made of, as clients and the log see it.

Laws of this file: a record is written as it is; field names on the wire are camelCase, and times
are texts of the contract's form, which sort as their times do. A field of the contract is always
written; the others (those with a default) only when they say something. Records are never changed,
their metadata included: a change makes a new one.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

SessionStatus: TypeAlias = Literal["active", "closed"]
CloseReason: TypeAlias = Literal["closed", "replaced", "deleted"]
Role: TypeAlias = Literal["user", "assistant", "system"]
MessageStatus: TypeAlias = Literal["complete", "streaming", "cancelled", "failed", "interrupted"]
Metadata: TypeAlias = dict[str, Any]


class Session(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """The conversation itself.

    Attributes:
        updated_at: when one of these fields was last set; `version` counts how often, from 1.
        message_count: messages of every role, a reply from the moment it exists.
        last_activity_at: when a message last came or a reply began or ended.
        closed_reason: why it is closed; None while it is active.
    """

    session_id: str
    business_id: str
    location_id: str
    user_id: str
    session_type: str
    status: SessionStatus
    title: str | None
    metadata: Metadata
    message_count: int
    created_at: str
    updated_at: str
    last_activity_at: str
    version: int
    closed_reason: CloseReason | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """What a reply cost, in the provider's tokens; `model` is what the provider says it used."""

    prompt_tokens: int
    completion_tokens: int
    model: str | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """One message.

    Attributes:
        seq: the sequence of the event that created it; never changes.
        updated_seq: the sequence of the event that last changed it.
        reply_id: of a user's message: the id that its one reply has, or will have.
        idempotency_key: of a user's message: the key it was posted under, so that a client knows
            its own message on the stream.
        reply_to: of a reply: the message that it answers.
        finish_reason: of a reply: why the model ended it, in the provider's word.
        error: of a failed or interrupted reply: what went wrong, for people.
    """

    message_id: str
    session_id: str
    seq: int
    role: Role
    content: str
    status: MessageStatus
    metadata: Metadata
    created_at: str
    updated_seq: int
    reply_id: str | None = None
    idempotency_key: str | None = None
    reply_to: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    error: str | None = None
