"""An endpoint: where a tenant wants to be told, what it may be asked, and what comes of it.

Laws of this file: it awaits nothing, reads no clock and knows neither store nor HTTP; time comes in
as `now`. Every event carries the endpoint as it is after it, so replaying is taking the last one.
Secrets are sealed wherever they are written. A deleted endpoint holds none, and never changes.

    enabled --Report(all failed for FAILURE_LIMIT, or gone)--> disabled
       ^------------------------Enable--------------------------'
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from actors.partner.errors import NotFound
from actors.partner.webhooks.notification import EventType
from engine.clock import timestamp

# After a rotation the old secret signs too, for as long as receivers need to learn the new one.
ROTATION_OVERLAP: Final = timedelta(hours=24)
MAX_SECRETS: Final = 3
# An endpoint at which every delivery has failed for so long is disabled.
FAILURE_LIMIT: Final = timedelta(days=5)

DisabledReason: TypeAlias = Literal["failing", "gone"]
EventName: TypeAlias = Literal[
    "webhook.created",
    "webhook.rotated",
    "webhook.failing",
    "webhook.recovered",
    "webhook.disabled",
    "webhook.enabled",
    "webhook.deleted",
]


class SealedSecret(msgspec.Struct, frozen=True, kw_only=True):
    """A signing secret, sealed; without `expires_at` it signs until it is rotated."""

    sealed: bytes
    expires_at: str | None = None


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint.

    Attributes:
        events: what it wants to be told of.
        secrets: the newest first; all that have not expired sign.
        slot: which of its tenant's places it takes; no two endpoints of a tenant have the same.
        failing_since: of the first attempt that failed since one was delivered.
    """

    id: str
    seq: int
    tenant_id: str
    url: str
    events: tuple[EventType, ...]
    secrets: tuple[SealedSecret, ...]
    slot: int
    created_at: str
    updated_at: str
    failing_since: str | None = None
    disabled_at: str | None = None
    disabled_reason: DisabledReason | None = None
    deleted: bool = False

    @property
    def enabled(self) -> bool:
        return self.disabled_at is None and not self.deleted

    def wants(self, type_: EventType) -> bool:
        return type_ in self.events

    def signing(self, now: datetime) -> tuple[SealedSecret, ...]:
        """Return the secrets that sign now, the newest first."""
        at = timestamp(now)
        return tuple(one for one in self.secrets if one.expires_at is None or at < one.expires_at)


class EndpointEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to an endpoint; `data` is the endpoint after it."""

    seq: int
    type: EventName
    at: str
    data: Endpoint


class _Command(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    tenant_id: str


class Register(_Command, frozen=True, kw_only=True):
    """Make the endpoint; nothing happens when it is there."""

    id: str
    url: str
    events: tuple[EventType, ...]
    sealed: bytes
    slot: int


class Rotate(_Command, frozen=True, kw_only=True):
    """Sign with a new secret from now on, and with the old ones for `ROTATION_OVERLAP`."""

    sealed: bytes


class Enable(_Command, frozen=True, kw_only=True):
    """Deliver again; idempotent."""


class Remove(_Command, frozen=True, kw_only=True):
    """Deliver nothing more, and forget the secrets."""


class Report(_Command, frozen=True, kw_only=True):
    """How an attempt went.

    Args:
        delivered: the endpoint took it.
        exhausted: it failed, and was the last one of its delivery.
        gone: the endpoint said that it is no more (410).
    """

    delivered: bool
    exhausted: bool = False
    gone: bool = False


Command: TypeAlias = Register | Rotate | Enable | Remove | Report


def decide(state: Endpoint | None, command: Command, now: datetime) -> Sequence[EndpointEvent]:
    """Return the events that `command` causes; none when it changes nothing.

    Raises:
        NotFound: there is no such endpoint, or it is another tenant's.
    """
    at = timestamp(now)
    if isinstance(command, Register):
        return [] if state is not None else [_created(command, at)]
    state = owned(state, command.tenant_id)
    match command:
        case Rotate():
            return [_event(state, "webhook.rotated", at, secrets=_rotated(state, command, now))]
        case Enable():
            return [] if state.enabled else [_enabled(state, at)]
        case Remove():
            return [_event(state, "webhook.deleted", at, deleted=True, secrets=())]
        case Report():
            return _hear(state, command, now)
        case _:
            assert_never(command)


def evolve(_: Endpoint | None, event: EndpointEvent) -> Endpoint:
    """Return the endpoint after an event."""
    return event.data


def owned(state: Endpoint | None, tenant_id: str) -> Endpoint:
    """Return the endpoint that a tenant has under this id.

    Raises:
        NotFound: there is none, or it is another tenant's.
    """
    if state is None or state.deleted or state.tenant_id != tenant_id:
        raise NotFound("Webhook")
    return state


def _created(command: Register, at: str) -> EndpointEvent:
    endpoint = Endpoint(
        id=command.id,
        seq=1,
        tenant_id=command.tenant_id,
        url=command.url,
        events=command.events,
        secrets=(SealedSecret(sealed=command.sealed),),
        slot=command.slot,
        created_at=at,
        updated_at=at,
    )
    return EndpointEvent(seq=1, type="webhook.created", at=at, data=endpoint)


def _rotated(state: Endpoint, command: Rotate, now: datetime) -> tuple[SealedSecret, ...]:
    until = timestamp(now + ROTATION_OVERLAP)
    old = tuple(replace(one, expires_at=one.expires_at or until) for one in state.signing(now))
    return (SealedSecret(sealed=command.sealed), *old)[:MAX_SECRETS]


def _enabled(state: Endpoint, at: str) -> EndpointEvent:
    return _event(
        state, "webhook.enabled", at, disabled_at=None, disabled_reason=None, failing_since=None
    )


def _hear(state: Endpoint, report: Report, now: datetime) -> Sequence[EndpointEvent]:
    at, since = timestamp(now), state.failing_since
    if not state.enabled:
        return []
    if report.delivered:
        return [] if since is None else [_event(state, "webhook.recovered", at, failing_since=None)]
    if report.gone:
        return [_disabled(state, "gone", at)]
    if since is None:
        return [_event(state, "webhook.failing", at, failing_since=at)]
    # Only a delivery that has had all its attempts counts: one blip after quiet days is none.
    if report.exhausted and now - datetime.fromisoformat(since) >= FAILURE_LIMIT:
        return [_disabled(state, "failing", at)]
    return []


def _disabled(state: Endpoint, reason: DisabledReason, at: str) -> EndpointEvent:
    since = state.failing_since or at
    return _event(
        state,
        "webhook.disabled",
        at,
        disabled_at=at,
        disabled_reason=reason,
        failing_since=since,
    )


def _event(state: Endpoint, type_: EventName, at: str, **changes: object) -> EndpointEvent:
    seq = state.seq + 1
    endpoint = replace(state, seq=seq, updated_at=at, **changes)
    return EndpointEvent(seq=seq, type=type_, at=at, data=endpoint)
