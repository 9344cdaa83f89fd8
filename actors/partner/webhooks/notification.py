"""What the rest of the family wants partners to be told, and the one way to say so."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal, Protocol, TypeAlias, get_args

import msgspec

from engine.clock import timestamp

EventType: TypeAlias = Literal[
    "session.completed",
    "session.failed",
    "session.expired",
    "session.cancelled",
    "quota.warning",
    "quota.exceeded",
]
EVENT_TYPES: Final[tuple[EventType, ...]] = get_args(EventType)

_ENCODER: Final = msgspec.json.Encoder()


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that has happened, for whichever endpoints of the tenant want to know.

    Attributes:
        subject: what it happened to: a session's id, or a quota's month.
        seq: the event's place in the subject's own log.
        data: a JSON value: the subject as the API shows it.
    """

    tenant_id: str
    environment: Literal["sandbox", "production"]
    type: EventType
    subject: str
    seq: int
    at: datetime
    data: bytes

    @property
    def event_id(self) -> str:
        """The id that receivers tell repeats by: the same however often it is handed over."""
        parts = (self.tenant_id, self.environment, self.type, self.subject, self.seq)
        return f"evt_{_digest(parts)[:32]}"

    def body(self) -> str:
        """The text that is signed and sent, the same at each attempt."""
        payload: Mapping[str, Any] = {
            "id": self.event_id,
            "type": self.type,
            "seq": self.seq,
            "timestamp": timestamp(self.at),
            "data": msgspec.Raw(self.data),
        }
        return _ENCODER.encode(payload).decode()


class Notify(Protocol):
    """Takes a notification in."""

    async def __call__(self, note: Notification) -> None:
        """Return once a delivery to each endpoint that wants it is durable; idempotent.

        Raises:
            MooringError: not all of them are; to be tried again.
        """
        ...


def delivery_id(endpoint_id: str, event_id: str) -> str:
    """Return the id of the one delivery of an event to an endpoint."""
    return str(uuid.UUID(_digest((endpoint_id, event_id))[:32]))


def _digest(parts: tuple[str | int, ...]) -> str:
    return hashlib.sha256(_ENCODER.encode(parts)).hexdigest()
