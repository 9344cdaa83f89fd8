"""The partner family, put together over the house: its actors, and what its routes need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
from quart import Blueprint

from actors.partner.hosted import HostedSessions, open_hosted
from actors.partner.settings import PartnerSettings
from actors.partner.tenants.access_token import PURPOSE, AccessTokens
from actors.partner.tenants.accounts import Accounts
from actors.partner.tenants.family import Tenants, open_tenants
from actors.partner.tenants.keyring import KeyRing
from actors.partner.tenants.passwords import Cost, open_passwords
from actors.partner.tenants.records import QuotaReached
from actors.partner.webhooks import Change, Webhooks, open_webhooks
from api.dashboard import AREA as DASHBOARD
from api.dashboard import Behind, Feed, Gate, dashboard_routes
from api.hosted.routes import AREA as HOSTED
from api.hosted.routes import hosted_routes
from api.hosted.show import Shown
from api.house import House
from api.pages import load_pages
from api.partner.accounts import account_routes
from api.partner.credentials import Credentials, Reach
from api.partner.jwks import jwks_routes
from api.partner.keys import key_routes
from api.partner.limits import ClientLimits
from api.partner.profile import profile_routes
from api.partner.sessions import session_routes
from api.partner.usage import usage_routes
from api.partner.webhooks import change_note, quota_notification, webhook_routes
from api.streams import Streams
from engine.activation import Activations
from engine.clock import Clock


class PartnerHouse(msgspec.Struct, frozen=True, kw_only=True):
    """The family's actors, and its people."""

    settings: PartnerSettings
    tenants: Tenants
    accounts: Accounts
    keyring: KeyRing
    access_tokens: AccessTokens
    hosted: HostedSessions
    webhooks: Webhooks
    feed: Feed
    clock: Clock

    @property
    def activations(self) -> tuple[Activations, ...]:
        """Every kind of the family's actors that come to memory and leave it, to be measured."""
        return (self.tenants.actors, *self.hosted.activations, *self.webhooks.activations)

    def credentials(self, reach: Reach) -> Credentials:
        """Return who tells whose a request is."""
        return Credentials(
            self.tenants,
            keyring=self.keyring,
            access_tokens=self.access_tokens,
            reach=reach,
            clock=self.clock,
        )


@asynccontextmanager
async def open_partner(
    settings: PartnerSettings,
    *,
    house: House,
    public_url: str,
    clock: Clock,
    drain_s: float,
    password_cost: Cost | None = None,
) -> AsyncIterator[PartnerHouse]:
    """Open the family for the length of a block.

    Args:
        public_url: what the links of hosted sessions begin with.
        drain_s: what the actors' jobs get at the end; the next start goes on with the rest.
    """
    feed = Feed()
    async with (
        _open_tenants(settings, house, clock=clock, drain_s=drain_s) as (tenants, webhooks),
        open_hosted(
            settings,
            log=house.log,
            waker=house.waker,
            sealer=house.sealer,
            clock=clock,
            tenants=tenants,
            notify=webhooks.notify,
            public_url=public_url,
            on_change=feed.ring,
            drain_s=drain_s,
        ) as hosted,
        open_passwords(clock, cost=password_cost) as passwords,
    ):
        yield PartnerHouse(
            settings=settings,
            tenants=tenants,
            accounts=Accounts(tenants, passwords=passwords, clock=clock),
            keyring=KeyRing(tenants, clock),
            access_tokens=AccessTokens(house.sealer.derive(PURPOSE)),
            hosted=hosted,
            webhooks=webhooks,
            feed=feed,
            clock=clock,
        )


@asynccontextmanager
async def _open_tenants(
    settings: PartnerSettings, house: House, *, clock: Clock, drain_s: float
) -> AsyncIterator[tuple[Tenants, Webhooks]]:
    """Open tenants and their webhooks, which tell each other what they must know."""

    async def permit(change: Change) -> None:
        await tenants.ask(change.tenant_id, change_note(change))

    async def tell(tenant_id: str, reached: QuotaReached) -> None:
        await webhooks.notify(quota_notification(tenant_id, reached))

    async with (
        open_webhooks(
            settings,
            log=house.log,
            waker=house.waker,
            sealer=house.sealer,
            clock=clock,
            permit=permit,
            drain_s=drain_s,
        ) as webhooks,
        open_tenants(
            settings,
            log=house.log,
            waker=house.waker,
            sealer=house.sealer,
            clock=clock,
            tell=tell,
            drain_s=drain_s,
        ) as tenants,
    ):
        yield tenants, webhooks


def partner_routes(partner: PartnerHouse, reach: Reach, streams: Streams) -> Sequence[Blueprint]:
    """Return all routes of the family, its pages among them."""
    pages = load_pages(HOSTED, DASHBOARD)
    credentials = partner.credentials(reach)
    clock, per_minute = partner.clock, partner.settings.rate_limit_per_minute
    limits = ClientLimits(per_minute, trusted=reach.trusted, clock=clock)
    gate = Gate(
        partner.accounts,
        credentials=credentials,
        limits=limits,
        settings=partner.settings,
        is_https=reach.is_https,
    )
    behind = Behind(
        gate=gate,
        tenants=partner.tenants,
        keyring=partner.keyring,
        sessions=partner.hosted,
        webhooks=partner.webhooks,
        feed=partner.feed,
        clock=clock,
        drain=streams.drain,
    )
    return (
        account_routes(
            partner.accounts,
            credentials=credentials,
            access_tokens=partner.access_tokens,
            limits=limits,
            clock=clock,
        ),
        key_routes(partner.tenants, keyring=partner.keyring, credentials=credentials),
        profile_routes(partner.tenants, credentials),
        usage_routes(partner.tenants, credentials),
        webhook_routes(partner.webhooks, credentials=credentials, clock=clock),
        session_routes(partner.hosted, credentials, streams),
        jwks_routes(partner.hosted.receipts.keys),
        hosted_routes(partner.hosted, Shown(pages), streams, reach=reach, clock=clock),
        dashboard_routes(pages, behind),
        pages.routes(),
    )
