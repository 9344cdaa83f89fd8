"""The endpoint as a durable actor's pure part: its events as stored, its row, its slot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from actors.partner.webhooks.endpoint import Command, Endpoint, EndpointEvent, decide, evolve
from engine import Clock
from engine.store import CatalogueRow, Claim, Event, milliseconds

KIND: Final = "webhook"
# Of one tenant. A slot is an alias, so the bound holds whatever races, and on several machines.
MAX_ENDPOINTS: Final = 16


def stream_of(endpoint_id: str) -> str:
    """Return the stream, and address, of an endpoint."""
    return f"{KIND}/{endpoint_id}"


def slot_alias(tenant_id: str, slot: int) -> str:
    """Return the name that the endpoint in a tenant's slot holds."""
    return f"webhook-slot/{tenant_id}/{slot}"


def decode_endpoint(summary: bytes) -> Endpoint:
    """Return the endpoint that a row of the catalogue shows."""
    return msgspec.json.decode(summary, type=Endpoint)


class EndpointDecider:
    """Implements `engine.durable.Decider`."""

    def decide(
        self, state: Endpoint | None, command: Command, clock: Clock
    ) -> Sequence[EndpointEvent]:
        return decide(state, command, clock.now())

    def evolve(self, state: Endpoint | None, event: EndpointEvent) -> Endpoint:
        return evolve(state, event)

    def encode(self, event: EndpointEvent) -> Event:
        body = msgspec.json.encode(event)
        return Event(seq=event.seq, type=event.type, at_ms=_ms(event.at), body=body)

    def decode(self, event: Event) -> EndpointEvent:
        return msgspec.json.decode(event.body, type=EndpointEvent)

    def row(self, state: Endpoint) -> CatalogueRow:
        status = "deleted" if state.deleted else "enabled" if state.enabled else "disabled"
        return CatalogueRow(
            owner=state.tenant_id,
            status=status,
            created_at_ms=_ms(state.created_at),
            updated_at_ms=_ms(state.updated_at),
            # What is deleted is erased; a start finds what a crash has left of it.
            due_at_ms=_ms(state.updated_at) if state.deleted else None,
            summary=msgspec.json.encode(state),
        )

    def claims(self, before: Endpoint | None, after: Endpoint) -> Sequence[Claim]:
        return [Claim(alias=slot_alias(after.tenant_id, after.slot))] if before is None else []

    def releases(self, before: Endpoint | None, after: Endpoint) -> Sequence[str]:
        return [slot_alias(after.tenant_id, after.slot)] if after.deleted else []

    def snapshot(self, state: Endpoint) -> bytes:
        return msgspec.json.encode(state)

    def restore(self, body: bytes) -> Endpoint | None:
        try:
            return decode_endpoint(body)
        except msgspec.MsgspecError:
            return None  # of another form: the log has everything


def _ms(at: str) -> int:
    return milliseconds(datetime.fromisoformat(at))
