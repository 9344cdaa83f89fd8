"""The webhooks of all tenants: what is told to them, and what they and their people ask for."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from actors.partner.errors import FieldInvalid, NotFound
from actors.partner.webhooks.attempts import AttemptPage, delivery_of, read_attempts
from actors.partner.webhooks.change import Change, Deed, Permit
from actors.partner.webhooks.delivery import Message, Open, Resend
from actors.partner.webhooks.delivery_decider import ENDPOINT_TAG, stream_of
from actors.partner.webhooks.endpoint import Enable, Endpoint, Register, Remove, Rotate
from actors.partner.webhooks.endpoint_actor import Describe
from actors.partner.webhooks.endpoint_decider import KIND, MAX_ENDPOINTS, decode_endpoint
from actors.partner.webhooks.errors import TooManyWebhooks, WebhookDisabled
from actors.partner.webhooks.lanes import Lanes, LaneStatistics
from actors.partner.webhooks.notification import (
    EVENT_TYPES,
    EventType,
    Notification,
    delivery_id,
)
from actors.partner.webhooks.secret import make_secret, seal_secret
from actors.partner.webhooks.url import check_url
from engine.activation import Activations
from engine.clock import Clock
from engine.durable import AliasHeld, Log
from engine.seal import Sealer
from engine.store import ListQuery

_ENDPOINT_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_REMOVE_S: Final = 60.0


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint with the secret that it now signs with; the only time that it is shown."""

    endpoint: Endpoint
    secret: str

    def __repr__(self) -> str:
        return f"Created({self.endpoint.id})"


class Webhooks:
    """The door to endpoints and deliveries; made by `open_webhooks`."""

    def __init__(
        self,
        *,
        endpoints: Activations,
        deliveries: Activations,
        lanes: Lanes,
        log: Log,
        sealer: Sealer,
        clock: Clock,
        permit: Permit,
        allow_private: bool,
    ) -> None:
        self._endpoints = endpoints
        self._deliveries = deliveries
        self._lanes = lanes
        self._store = log.store
        self._sealer = sealer
        self._clock = clock
        self._permit = permit
        self._allow_private = allow_private

    @property
    def activations(self) -> tuple[Activations, ...]:
        """Its kinds of actors that come to memory and leave it, to be measured."""
        return self._endpoints, self._deliveries

    # -- what happens --------------------------------------------------------------------------

    async def notify(self, note: Notification) -> None:
        """Deliver `note` to every endpoint that wants it; implements `Notify`."""
        body = note.body()
        for endpoint in await self.endpoints(note.tenant_id):
            if endpoint.wants(note.type):
                await self._open(endpoint.id, note, body)

    async def _open(self, endpoint_id: str, note: Notification, body: str) -> None:
        id_ = delivery_id(endpoint_id, note.event_id)
        message = Message(
            event_id=note.event_id,
            endpoint_id=endpoint_id,
            tenant_id=note.tenant_id,
            type=note.type,
            subject=note.subject,
            event_seq=note.seq,
            body=body,
        )
        await self._deliveries.ask(id_, Open(id=id_, message=message))

    # -- endpoints -----------------------------------------------------------------------------

    async def create(
        self, tenant_id: str, *, url: str, events: Sequence[EventType] = EVENT_TYPES, by: str
    ) -> Created:
        """Make an endpoint, as the person `by`.

        Raises:
            FieldInvalid: the URL is none that may be sent to.
            TooManyWebhooks: the tenant has its number of them.
            NotAllowed: it is not for this person.
        """
        check_url(url, allow_private=self._allow_private)
        if not events:
            raise FieldInvalid("events", "must name at least one event")
        id_ = str(uuid.UUID(int=self._clock.random_bits(128), version=4))
        secret = make_secret(self._clock)
        taken = {endpoint.slot for endpoint in await self.endpoints(tenant_id)}
        if len(taken) >= MAX_ENDPOINTS:
            raise TooManyWebhooks(limit=MAX_ENDPOINTS)
        change = Change(tenant_id=tenant_id, endpoint_id=id_, url=url, deed="created", by=by)
        await self._permit(change)
        for slot in range(MAX_ENDPOINTS):
            if slot in taken:
                continue
            command = Register(
                tenant_id=tenant_id,
                id=id_,
                url=url,
                events=tuple(dict.fromkeys(events)),
                sealed=seal_secret(self._sealer, secret, endpoint_id=id_),
                slot=slot,
            )
            try:
                endpoint: Endpoint = await self._endpoints.ask(id_, command)
            except AliasHeld:
                continue  # somebody was faster
            return Created(endpoint=endpoint, secret=secret)
        raise TooManyWebhooks(limit=MAX_ENDPOINTS)

    async def endpoints(self, tenant_id: str) -> Sequence[Endpoint]:
        """Return a tenant's endpoints, the newest first; there are at most `MAX_ENDPOINTS`."""
        # Those that are being erased hold no slot any more, and are few.
        query = ListQuery(kind=KIND, owner=tenant_id, limit=4 * MAX_ENDPOINTS)
        listing = await self._store.list_rows(query)
        found = (decode_endpoint(entry.row.summary) for entry in listing.entries)
        return [endpoint for endpoint in found if not endpoint.deleted]

    async def endpoint(self, tenant_id: str, endpoint_id: str) -> Endpoint:
        """Return one endpoint.

        Raises:
            NotFound: the tenant has none of that id.
        """
        found: Endpoint = await self._ask(endpoint_id, Describe(tenant_id=tenant_id))
        return found

    async def rotate(self, tenant_id: str, endpoint_id: str, *, by: str) -> Created:
        """Give an endpoint a new secret; the old one signs beside it for a while.

        Raises:
            NotFound: the tenant has none of that id.
            NotAllowed: it is not for the person `by`.
        """
        await self._permitted(tenant_id, endpoint_id, "rotated", by)
        secret = make_secret(self._clock)
        sealed = seal_secret(self._sealer, secret, endpoint_id=endpoint_id)
        endpoint = await self._ask(endpoint_id, Rotate(tenant_id=tenant_id, sealed=sealed))
        return Created(endpoint=endpoint, secret=secret)

    async def enable(self, tenant_id: str, endpoint_id: str, *, by: str) -> Endpoint:
        """Deliver to an endpoint again; raises as `rotate` does."""
        if (found := await self.endpoint(tenant_id, endpoint_id)).enabled:
            return found
        await self._permitted(tenant_id, endpoint_id, "enabled", by)
        endpoint: Endpoint = await self._ask(endpoint_id, Enable(tenant_id=tenant_id))
        return endpoint

    async def delete(self, tenant_id: str, endpoint_id: str, *, by: str) -> None:
        """Deliver nothing more to an endpoint, and erase it; raises as `rotate` does."""
        await self._permitted(tenant_id, endpoint_id, "deleted", by)
        await self._ask(endpoint_id, Remove(tenant_id=tenant_id), timeout_s=_REMOVE_S)

    # -- attempts ------------------------------------------------------------------------------

    async def attempts(
        self, tenant_id: str, endpoint_id: str, *, limit: int = 20, cursor: str | None = None
    ) -> AttemptPage:
        """Return a page of the attempts at an endpoint, the newest deliveries first.

        Raises:
            NotFound: the tenant has no endpoint of that id.
            CursorInvalid: the cursor is not one of this list.
        """
        await self.endpoint(tenant_id, endpoint_id)
        return await read_attempts(
            self._store, tenant_id=tenant_id, endpoint_id=endpoint_id, limit=limit, cursor=cursor
        )

    async def resend(self, tenant_id: str, attempt_id: str) -> str:
        """Send an attempt's message once more, now, and return the event's id.

        Raises:
            NotFound: the tenant has no such attempt, or its endpoint is gone.
            WebhookDisabled: nothing is sent to its endpoint.
            TooManyResends.
        """
        id_ = delivery_of(attempt_id)
        row = None if id_ is None else (await self._store.load(stream_of(id_))).row
        if id_ is None or row is None or row.owner != tenant_id:
            raise NotFound("Attempt")
        endpoint = await self.endpoint(tenant_id, row.tags[ENDPOINT_TAG])
        if not endpoint.enabled:
            raise WebhookDisabled
        event_id: str = await self._deliveries.ask(id_, Resend(tenant_id=tenant_id))
        return event_id

    # -- the inside ----------------------------------------------------------------------------

    def statistics(self) -> LaneStatistics:
        """Return what is being sent and what waits now."""
        return self._lanes.statistics()

    async def _permitted(self, tenant_id: str, endpoint_id: str, deed: Deed, by: str) -> None:
        endpoint = await self.endpoint(tenant_id, endpoint_id)
        change = Change(
            tenant_id=tenant_id, endpoint_id=endpoint.id, url=endpoint.url, deed=deed, by=by
        )
        await self._permit(change)

    async def _ask(self, endpoint_id: str, message: Any, *, timeout_s: float = 30.0) -> Any:
        if _ENDPOINT_ID.fullmatch(endpoint_id) is None:
            raise NotFound("Webhook")
        return await self._endpoints.ask(endpoint_id, message, timeout_s=timeout_s)
