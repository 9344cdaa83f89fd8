"""The delivery as a durable actor's pure part: its events as stored, and its row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from actors.partner.webhooks.delivery import (
    Attempt,
    Command,
    Delivery,
    DeliveryEvent,
    Status,
    decide,
    evolve,
)
from actors.partner.webhooks.notification import EventType
from engine import Clock
from engine.store import CatalogueRow, Claim, Event, milliseconds

KIND: Final = "delivery"
# What lists find the deliveries of an endpoint by.
ENDPOINT_TAG: Final = "endpoint"


class DeliverySummary(msgspec.Struct, frozen=True, kw_only=True):
    """What lists show of a delivery: all but the text that is sent."""

    id: str
    event_id: str
    type: EventType
    subject: str
    event_seq: int
    status: Status
    next_at: str | None
    attempts: tuple[Attempt, ...]


def stream_of(delivery_id: str) -> str:
    """Return the stream, and address, of a delivery."""
    return f"{KIND}/{delivery_id}"


def decode_summary(summary: bytes) -> DeliverySummary:
    """Return what a row of the catalogue shows."""
    return msgspec.json.decode(summary, type=DeliverySummary)


class DeliveryDecider:
    """Implements `engine.durable.Decider`."""

    def decide(
        self, state: Delivery | None, command: Command, clock: Clock
    ) -> Sequence[DeliveryEvent]:
        return decide(state, command, clock.now(), clock.jitter())

    def evolve(self, state: Delivery | None, event: DeliveryEvent) -> Delivery:
        return evolve(state, event)

    def encode(self, event: DeliveryEvent) -> Event:
        body = msgspec.json.encode(event)
        return Event(seq=event.seq, type=event.type, at_ms=_ms(event.at), body=body)

    def decode(self, event: Event) -> DeliveryEvent:
        return msgspec.json.decode(event.body, type=DeliveryEvent)

    def row(self, state: Delivery) -> CatalogueRow:
        kept_until = state.kept_until
        due = state.next_at if kept_until is None else kept_until.isoformat()
        return CatalogueRow(
            owner=state.message.tenant_id,
            status=state.status,
            created_at_ms=_ms(state.created_at),
            updated_at_ms=_ms(state.updated_at),
            due_at_ms=None if due is None else _ms(due),
            summary=msgspec.json.encode(_summary(state)),
            tags={ENDPOINT_TAG: state.message.endpoint_id},
        )

    def claims(self, before: Delivery | None, after: Delivery) -> Sequence[Claim]:
        return ()

    def releases(self, before: Delivery | None, after: Delivery) -> Sequence[str]:
        return ()

    def snapshot(self, state: Delivery) -> bytes:
        return msgspec.json.encode(state)

    def restore(self, body: bytes) -> Delivery | None:
        try:
            return msgspec.json.decode(body, type=Delivery)
        except msgspec.MsgspecError:
            return None  # of another form: the log has everything


def _summary(state: Delivery) -> DeliverySummary:
    message = state.message
    return DeliverySummary(
        id=state.id,
        event_id=message.event_id,
        type=message.type,
        subject=message.subject,
        event_seq=message.event_seq,
        status=state.status,
        next_at=state.next_at,
        attempts=state.attempts,
    )


def _ms(at: str) -> int:
    return milliseconds(datetime.fromisoformat(at))
