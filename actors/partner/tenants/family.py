"""The family of tenants, put together: its actors, and what wakes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from actors.partner.settings import PartnerSettings
from actors.partner.tenants.actor import Tell, TenantActor
from actors.partner.tenants.decider import KIND
from engine import Clock
from engine.activation import Activations, open_activations
from engine.durable import Log
from engine.seal import Sealer
from engine.waker import Waker


class Tenants(msgspec.Struct, frozen=True, kw_only=True):
    """The family's door; the audit is read from `log`."""

    actors: Activations
    log: Log
    sealer: Sealer
    settings: PartnerSettings

    async def ask(self, tenant_id: str, message: Any, *, timeout_s: float = 30.0) -> Any:
        """Ask a tenant, in memory or not; raises as `ActorRef.ask` does."""
        return await self.actors.ask(tenant_id, message, timeout_s=timeout_s)


@asynccontextmanager
async def open_tenants(
    settings: PartnerSettings,
    *,
    log: Log,
    waker: Waker,
    sealer: Sealer,
    clock: Clock,
    tell: Tell,
    drain_s: float = 2.0,
) -> AsyncIterator[Tenants]:
    """Open the family for the length of a block.

    Args:
        tell: hands a limit that was reached over to webhooks.
    """

    def build(tenant_id: str) -> TenantActor:
        return TenantActor(tenant_id, settings=settings, log=log, clock=clock, tell=tell)

    async with open_activations(KIND, build, clock=clock, drain_s=drain_s) as actors:
        with waker.waking(KIND, actors.wake):
            yield Tenants(actors=actors, log=log, sealer=sealer, settings=settings)
