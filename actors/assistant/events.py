"""What can happen to a conversation: its log, and what its subscribers are sent.

Laws of this file: encoding an event gives the text of a subscriber's frame,
`{"type","seq","at","data"}`, and that is also what the log keeps. One message's events are, in this
order: `message.created` for a user's; for a reply `reply.started`, then `reply.delta`s, then one of
`reply.completed`, `reply.cancelled` and `reply.failed`, after which it never changes.

- The event whose `seq` is its message's `seq` creates the message. That is `reply.started`, or
  `reply.cancelled` for a reply that never began.
- `reply.started` for a message that exists already begins it anew: its text so far is void.
- The deltas since the latest `reply.started` add up to the content that the ending event carries.
- A reply that the server's end cut off ends with `reply.failed` and the status `interrupted`: a
  client that knows only the contract's types still learns that it is over.

Unknown fields are let through when reading: a log outlives the program that wrote it.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from actors.assistant.records import Message, Session


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    seq: int
    at: str


class SessionCreated(_Event, frozen=True, kw_only=True, tag="session.created"):
    """The conversation exists."""

    data: Session


class SessionUpdated(_Event, frozen=True, kw_only=True, tag="session.updated"):
    """Fields of the conversation were set."""

    data: Session


class SessionClosed(_Event, frozen=True, kw_only=True, tag="session.closed"):
    """The last event of a conversation; `data.closedReason` says why."""

    data: Session


class MessageCreated(_Event, frozen=True, kw_only=True, tag="message.created"):
    """A user's message, and with it the place in line of its one reply."""

    data: Message


class ReplyStarted(_Event, frozen=True, kw_only=True, tag="reply.started"):
    """A reply begins; when it is begun anew, its text so far is void."""

    data: Message


class Delta(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """More text of a reply; `message_seq` is the message's `seq`, where to read it from."""

    message_id: str
    message_seq: int
    text: str


class ReplyDelta(_Event, frozen=True, kw_only=True, tag="reply.delta"):
    """The reply goes on."""

    data: Delta


class ReplyCompleted(_Event, frozen=True, kw_only=True, tag="reply.completed"):
    """The reply is whole."""

    data: Message


class ReplyCancelled(_Event, frozen=True, kw_only=True, tag="reply.cancelled"):
    """The reply was cancelled; its text so far is kept."""

    data: Message


class ReplyFailed(_Event, frozen=True, kw_only=True, tag="reply.failed"):
    """The reply failed, or (status `interrupted`) the server's end cut it off."""

    data: Message


ReplyEnded: TypeAlias = ReplyCompleted | ReplyCancelled | ReplyFailed
SessionEvent: TypeAlias = SessionCreated | SessionUpdated | SessionClosed
MessageEvent: TypeAlias = MessageCreated | ReplyStarted | ReplyEnded
ConversationEvent: TypeAlias = SessionEvent | MessageEvent | ReplyDelta

# What may leave the log once its reply has ended: the ending event carries the whole text.
PRUNABLE_TYPES: Final = frozenset({"reply.delta"})

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final[msgspec.json.Decoder[ConversationEvent]] = msgspec.json.Decoder(ConversationEvent)


def type_of(event: ConversationEvent) -> str:
    """Return the event's type as it is on the wire."""
    return str(event.__struct_config__.tag)


def encode_event(event: ConversationEvent) -> bytes:
    """Return the event as it is stored and sent."""
    return _ENCODER.encode(event)


def decode_event(body: bytes) -> ConversationEvent:
    """Return the event that was encoded.

    Raises:
        msgspec.DecodeError: it is not one of this file's events.
    """
    return _DECODER.decode(body)
