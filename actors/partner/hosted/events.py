"""What can happen to a hosted session: what its tenant's subscribers are sent, and what the log
keeps.

Laws of this file: `data` is the whole session after the event, so whoever missed one misses
nothing. The log keeps the visitor's side with it, and that never leaves the server: what is sent is
read out of the log's bytes as a `HostedEvent`, which has no place for it. The first event is
`session.created`; exactly one of the four ends is the last one, and nothing follows it. Unknown
fields are let through when reading: a log outlives the program that wrote it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal, TypeAlias

import msgspec

from actors.partner.hosted.records import Hosted, HostedSession, Visit
from actors.partner.hosted.states import ENDS, State
from engine.store import Event


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    seq: int
    at: str
    data: HostedSession


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

HostedEventType: TypeAlias = Literal[
    "session.created",
    "session.updated",
    "session.completed",
    "session.failed",
    "session.expired",
    "session.cancelled",
]


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the log keeps it: what is sent of it, and the visitor's side after it."""

    type: HostedEventType
    seq: int
    at: str
    data: HostedSession
    visit: Visit


_TYPES: Final[dict[State, HostedEventType]] = {
    State.PENDING: "session.created",
    State.IN_PROGRESS: "session.updated",
    State.PROCESSING: "session.updated",
    State.COMPLETED: "session.completed",
    State.FAILED: "session.failed",
    State.EXPIRED: "session.expired",
    State.CANCELLED: "session.cancelled",
}
FINAL_TYPES: Final = frozenset[str](_TYPES[end] for end in ENDS)

_ENCODER: Final = msgspec.json.Encoder()
_RECORDED: Final = msgspec.json.Decoder(Recorded)
_SENT: Final[msgspec.json.Decoder[HostedEvent]] = msgspec.json.Decoder(HostedEvent)


def event_of(after: Hosted) -> Recorded:
    """Return the event that brings a session to this state."""
    session = after.session
    return Recorded(
        type=_TYPES[session.state],
        seq=after.seq,
        at=session.updated_at,
        data=session,
        visit=after.visit,
    )


def state_after(event: Recorded) -> Hosted:
    """Return the state that an event brings."""
    return Hosted(session=event.data, visit=event.visit, seq=event.seq)


def encode_event(event: Recorded) -> bytes:
    """Return the event as it is stored."""
    return _ENCODER.encode(event)


def decode_event(body: bytes) -> Recorded:
    """Return the event that was encoded.

    Raises:
        msgspec.DecodeError: it is not one of this file's events.
    """
    return _RECORDED.decode(body)


def sent_to_tenant(event: Event) -> bytes:
    """Return what a subscriber of the tenant's gets of a stored event: a `HostedEvent`."""
    return _sent(event.body)


@lru_cache(maxsize=64)  # whoever watches is sent the same copy
def _sent(body: bytes) -> bytes:
    return _ENCODER.encode(_SENT.decode(body))
