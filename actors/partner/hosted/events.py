"""What can happen to a hosted session: its log, and what its tenant's subscribers are sent.

Laws of this file: encoding an event gives the text of a subscriber's frame, and that is also what
the log keeps. `data` is the whole session after the event, so whoever missed one misses nothing.
The first event is `session.created`; exactly one of the four ends is the last one, and nothing
follows it. Unknown fields are let through when reading: a log outlives the program that wrote it.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from actors.partner.hosted.records import Hosted, HostedSession, Visit
from actors.partner.hosted.states import State


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    seq: int
    at: str
    data: HostedSession
    visit: Visit


class SessionCreated(_Event, frozen=True, kw_only=True, tag="session.created"):
    """The session exists."""


class SessionUpdated(_Event, frozen=True, kw_only=True, tag="session.updated"):
    """It has begun, or gone on, or its time was put off."""


class SessionCompleted(_Event, frozen=True, kw_only=True, tag="session.completed"):
    """The visitor did what was asked."""


class SessionFailed(_Event, frozen=True, kw_only=True, tag="session.failed"):
    """The visitor declined, or did something else than what was asked."""


class SessionExpired(_Event, frozen=True, kw_only=True, tag="session.expired"):
    """Its time was up before the visitor had done everything."""


class SessionCancelled(_Event, frozen=True, kw_only=True, tag="session.cancelled"):
    """The partner or the visitor has ended it."""


HostedEvent: TypeAlias = (
    SessionCreated
    | SessionUpdated
    | SessionCompleted
    | SessionFailed
    | SessionExpired
    | SessionCancelled
)

_KINDS: Final[dict[State, type[HostedEvent]]] = {
    State.PENDING: SessionCreated,
    State.IN_PROGRESS: SessionUpdated,
    State.PROCESSING: SessionUpdated,
    State.COMPLETED: SessionCompleted,
    State.FAILED: SessionFailed,
    State.EXPIRED: SessionExpired,
    State.CANCELLED: SessionCancelled,
}
FINAL_TYPES: Final = frozenset(
    str(kind.__struct_config__.tag)
    for kind in (SessionCompleted, SessionFailed, SessionExpired, SessionCancelled)
)

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final[msgspec.json.Decoder[HostedEvent]] = msgspec.json.Decoder(HostedEvent)


def event_of(after: Hosted) -> HostedEvent:
    """Return the event that brings a session to this state."""
    session = after.session
    kind = _KINDS[session.state]
    return kind(seq=after.seq, at=session.updated_at, data=session, visit=after.visit)


def state_after(event: HostedEvent) -> Hosted:
    """Return the state that an event brings."""
    return Hosted(session=event.data, visit=event.visit, seq=event.seq)


def type_of(event: HostedEvent) -> str:
    """Return the event's type as it is on the wire."""
    return str(event.__struct_config__.tag)


def encode_event(event: HostedEvent) -> bytes:
    """Return the event as it is stored and sent."""
    return _ENCODER.encode(event)


def decode_event(body: bytes) -> HostedEvent:
    """Return the event that was encoded.

    Raises:
        msgspec.DecodeError: it is not one of this file's events.
    """
    return _DECODER.decode(body)
