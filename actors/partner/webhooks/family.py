"""Webhooks, put together: endpoints, deliveries, who sends them and what wakes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Final

import structlog
import trio

from actors.partner.errors import NotFound
from actors.partner.settings import PartnerSettings
from actors.partner.webhooks import delivery_decider, endpoint_decider
from actors.partner.webhooks.change import Permit
from actors.partner.webhooks.delivery import Message, Outcome
from actors.partner.webhooks.delivery_actor import DeliveryActor
from actors.partner.webhooks.endpoint import Endpoint, Report
from actors.partner.webhooks.endpoint_actor import Describe, EndpointActor
from actors.partner.webhooks.lanes import REMEMBERED_IN_ALL, Lanes
from actors.partner.webhooks.notification import delivery_id
from actors.partner.webhooks.secret import open_secret, signed_headers
from actors.partner.webhooks.sender import Outgoing, Send, Sender
from actors.partner.webhooks.webhooks import Webhooks
from engine.activation import Activations, open_activations
from engine.clock import Clock
from engine.durable import Log
from engine.errors import MooringError
from engine.seal import Sealer, SealError
from engine.waker import Waker

_LOG: Final = structlog.get_logger("mooring.webhooks")
_DELETED: Final = Outcome(error="the webhook was deleted", final=True)
_DISABLED: Final = Outcome(error="the webhook was disabled", final=True)
_NO_SECRET: Final = Outcome(error="the webhook's secret cannot be opened")


class _Post:
    """What a delivery needs of the rest: its endpoint, a lane, and somebody who sends."""

    def __init__(
        self, endpoints: Activations, *, send: Send, lanes: Lanes, sealer: Sealer, clock: Clock
    ) -> None:
        self._endpoints = endpoints
        self._send = send
        self._lanes = lanes
        self._sealer = sealer
        self._clock = clock

    async def attempt(self, message: Message) -> Outcome:
        """Send a message to its endpoint as that is when the turn comes."""
        who = delivery_id(message.endpoint_id, message.event_id)
        async with self._lanes.lane(message.endpoint_id, who=who):
            try:
                endpoint: Endpoint = await self._endpoints.ask(
                    message.endpoint_id, Describe(tenant_id=message.tenant_id)
                )
            except NotFound:
                return _DELETED
            if not endpoint.enabled:
                return _DISABLED
            try:
                outgoing = self._signed(message, endpoint)
            except SealError:
                return _NO_SECRET
            return await self._send(outgoing)

    async def tell(self, message: Message, report: Report) -> None:
        """Tell the endpoint how an attempt went, if it is still there."""
        try:
            await self._endpoints.ask(message.endpoint_id, report)
        except NotFound:
            return

    def _signed(self, message: Message, endpoint: Endpoint) -> Outgoing:
        now = self._clock.now()
        secrets = [
            open_secret(self._sealer, one.sealed, endpoint_id=endpoint.id)
            for one in endpoint.signing(now)
        ]
        headers = signed_headers(secrets, event_id=message.event_id, at=now, body=message.body)
        return Outgoing(url=endpoint.url, headers=headers, body=message.body)


@asynccontextmanager
async def open_webhooks(
    settings: PartnerSettings,
    *,
    log: Log,
    waker: Waker,
    sealer: Sealer,
    clock: Clock,
    permit: Permit,
    drain_s: float = 2.0,
    send: Send | None = None,
) -> AsyncIterator[Webhooks]:
    """Open webhooks for the length of a block.

    What an earlier server left undelivered goes on, under the ids that it has.

    Args:
        permit: asked before people change an endpoint.
        drain_s: what attempts under way get at the end; the next start makes the others.
        send: who sends; default: the network.
    """
    calls, called = trio.open_memory_channel[str](REMEMBERED_IN_ALL)

    def call(delivery: str) -> None:
        with suppress(trio.WouldBlock):  # whoever is not called comes by its timer
            calls.send_nowait(delivery)

    lanes = Lanes(call=call)

    def build_endpoint(endpoint_id: str) -> EndpointActor:
        return EndpointActor(endpoint_id, log=log, clock=clock)

    def build_delivery(delivery_id: str) -> DeliveryActor:
        return DeliveryActor(
            delivery_id, attempt=post.attempt, tell=post.tell, log=log, clock=clock
        )

    async with (
        _sending(settings, send) as sender,
        open_activations(
            endpoint_decider.KIND, build_endpoint, clock=clock, drain_s=drain_s
        ) as endpoints,
    ):
        post = _Post(endpoints, send=sender, lanes=lanes, sealer=sealer, clock=clock)
        async with (
            open_activations(
                delivery_decider.KIND, build_delivery, clock=clock, drain_s=drain_s
            ) as deliveries,
            _calling(deliveries, called),
        ):
            with (
                waker.waking(endpoint_decider.KIND, endpoints.wake),
                waker.waking(delivery_decider.KIND, deliveries.wake),
            ):
                yield Webhooks(
                    endpoints=endpoints,
                    deliveries=deliveries,
                    lanes=lanes,
                    log=log,
                    sealer=sealer,
                    clock=clock,
                    permit=permit,
                    allow_private=settings.webhook_allow_private,
                )


@asynccontextmanager
async def _calling(
    deliveries: Activations, called: trio.MemoryReceiveChannel[str]
) -> AsyncIterator[None]:
    """Let deliveries that were turned away try again, when they are called."""

    async def wake() -> None:
        async for delivery in called:
            try:
                await deliveries.wake(delivery)
            except MooringError as error:  # its timer comes as well
                _LOG.info("not_called", actor=delivery, cause=str(error))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wake, name="webhooks turned away")
        yield
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _sending(settings: PartnerSettings, send: Send | None) -> AsyncIterator[Send]:
    if send is not None:
        yield send
        return
    async with aclosing(Sender(allow_private=settings.webhook_allow_private)) as sender:
        yield sender
