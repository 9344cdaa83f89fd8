"""Everything that can be asked of a conversation.

Laws of this file: frozen, keyword-only, tagged; no callables, no live objects. Ids that a command
gives to something new are made by its sender, from the injected clock.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from actors.assistant.keys import KeyRecord
from actors.assistant.records import CloseReason, Metadata, SessionStatus, Usage

OnBusy: TypeAlias = Literal["enqueue", "reject", "interrupt"]
DEFAULT_LOCATION: Final = "L0100001"
DEFAULT_TYPE: Final = "general"


class _Command(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    pass


class Create(_Command, frozen=True, kw_only=True):
    """Open the conversation."""

    session_id: str
    business_id: str
    user_id: str
    location_id: str = DEFAULT_LOCATION
    session_type: str = DEFAULT_TYPE
    title: str | None = None
    metadata: Metadata = {}


class Update(_Command, frozen=True, kw_only=True):
    """Set the fields that are given; metadata is replaced as a whole.

    Nothing happens when all of them are as they should be. `status="closed"` closes.
    """

    title: str | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET
    location_id: str | UnsetType = UNSET
    session_type: str | UnsetType = UNSET
    status: SessionStatus | UnsetType = UNSET
    expected_version: int | None = None


class Close(_Command, frozen=True, kw_only=True):
    """End the conversation; idempotent. Unfinished replies are cancelled, begun or not."""

    reason: CloseReason = "closed"


class PostMessage(_Command, frozen=True, kw_only=True):
    """Take a user's message in, and with it put its reply in line.

    Args:
        message_id, reply_id: the ids of the message and of its reply, should it be a new one.
        key: the idempotency key. `on_busy` is not part of what a retry must repeat: it says what to
            do with a new message.
        recalled: what the store remembers of the key, None for nothing. Needs to be given only
            when `KeyMemory.must_ask` says so.
    """

    message_id: str
    reply_id: str
    content: str
    metadata: Metadata = {}
    key: str | None = None
    on_busy: OnBusy = "enqueue"
    recalled: KeyRecord | UnsetType | None = UNSET


class StartReply(_Command, frozen=True, kw_only=True):
    """The next reply in line begins; ignored unless `reply_id` is that one."""

    reply_id: str


class AddText(_Command, frozen=True, kw_only=True):
    """The running reply goes on; ignored unless it is this one, in this attempt."""

    reply_id: str
    attempt: int
    text: str


class CompleteReply(_Command, frozen=True, kw_only=True):
    """The running reply is whole; ignored unless it is this one, in this attempt."""

    reply_id: str
    attempt: int
    finish_reason: str | None = None
    usage: Usage | None = None


class FailReply(_Command, frozen=True, kw_only=True):
    """The running reply could not be finished; ignored unless it is this one, in this attempt."""

    reply_id: str
    attempt: int
    error: str


class CancelReply(_Command, frozen=True, kw_only=True):
    """Cancel a reply and keep its text; idempotent.

    With a `reply_id`: that one, running or in line, and nothing when it is over. Without: the
    running one, or the next in line while none runs.
    """

    reply_id: str | None = None


class Recover(_Command, frozen=True, kw_only=True):
    """Nobody works on the running reply any more: the first command after a start.

    It is marked `interrupted`, or with `resume` begun anew, at most `MAX_ATTEMPTS` times in all.
    """

    resume: bool = False


ReplyCommand: TypeAlias = StartReply | AddText | CompleteReply | FailReply | CancelReply | Recover
Command: TypeAlias = Create | Update | Close | PostMessage | ReplyCommand
