"""The tenant as a durable actor's pure part: its events as stored, its row, its aliases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

import msgspec

from actors.partner.tenants.commands import Command
from actors.partner.tenants.decision import decide
from actors.partner.tenants.events import TenantEvent, decode_event, encode_event, type_of
from actors.partner.tenants.tenant import Tenant, evolve
from engine import Clock
from engine.store import CatalogueRow, Claim, Event, milliseconds

KIND: Final = "tenant"
# To be raised whenever an older snapshot would decode to something other than what it meant.
_FORM: Final = 1


class _Snapshot(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    form: Literal[1]
    state: Tenant


def stream_of(tenant_id: str) -> str:
    """Return the stream, and address, of a tenant."""
    return f"{KIND}/{tenant_id}"


def email_alias(digest: str) -> str:
    """Return the name that the account of an e-mail address holds; its payload is the user's id."""
    return f"partner-email/{digest}"


def key_alias(digest: str) -> str:
    """Return the name that an API key is found by."""
    return f"partner-key/{digest}"


class TenantDecider:
    """Implements `engine.durable.Decider`."""

    def decide(self, state: Tenant | None, command: Command, clock: Clock) -> Sequence[TenantEvent]:
        return decide(state, command, clock.now())

    def evolve(self, state: Tenant | None, event: TenantEvent) -> Tenant:
        return evolve(state, event)

    def encode(self, event: TenantEvent) -> Event:
        return Event(
            seq=event.seq, type=type_of(event), at_ms=_ms(event.at), body=encode_event(event)
        )

    def decode(self, event: Event) -> TenantEvent:
        return decode_event(event.body)

    def row(self, state: Tenant) -> CatalogueRow:
        return CatalogueRow(
            owner=state.tenant_id,
            status="active",
            created_at_ms=_ms(state.created_at),
            updated_at_ms=_ms(state.updated_at),
            # What webhooks have not been told is due at once: a start looks for it.
            due_at_ms=_ms(state.untold[0].at) if state.untold else None,
        )

    def claims(self, before: Tenant | None, after: Tenant) -> Sequence[Claim]:
        users = {} if before is None else before.users
        keys = {} if before is None else before.keys
        claims = [
            Claim(alias=email_alias(user.email_digest), payload=user_id.encode())
            for user_id, user in after.users.items()
            if user_id not in users
        ]
        claims += [
            Claim(alias=key_alias(key.digest))
            for key_id, key in after.keys.items()
            if key_id not in keys
        ]
        return claims

    def releases(self, before: Tenant | None, after: Tenant) -> Sequence[str]:
        keys = {} if before is None else before.keys
        return [key_alias(key.digest) for key_id, key in keys.items() if key_id not in after.keys]

    def snapshot(self, state: Tenant) -> bytes:
        return msgspec.msgpack.encode(_Snapshot(form=_FORM, state=state))

    def restore(self, body: bytes) -> Tenant | None:
        try:
            return msgspec.msgpack.decode(body, type=_Snapshot).state
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None


def _ms(at: str) -> int:
    return milliseconds(datetime.fromisoformat(at))
