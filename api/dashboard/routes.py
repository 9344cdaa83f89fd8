"""The dashboard, put together: every page, and what is shown where there is none."""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response
from werkzeug.exceptions import NotFound

from actors.partner.hosted import HostedSessions
from actors.partner.tenants import Tenants
from actors.partner.tenants.keyring import KeyRing
from actors.partner.webhooks import Webhooks
from api.dashboard.accounts import add_account_views
from api.dashboard.activity import Activity
from api.dashboard.audit import add_audit_view
from api.dashboard.feed import Feed
from api.dashboard.frame import HOME, Frame
from api.dashboard.gate import Gate
from api.dashboard.keys import add_key_views
from api.dashboard.live import add_live_view
from api.dashboard.overview import add_overview_views
from api.dashboard.profile import add_profile_views
from api.dashboard.sessions import add_session_views
from api.dashboard.troubles import trouble_page
from api.dashboard.webhooks import add_webhook_views
from api.pages import Pages
from api.server.drain import Drain
from engine.clock import Clock
from engine.store import Store


class Behind(msgspec.Struct, frozen=True, kw_only=True):
    """What is behind the dashboard."""

    gate: Gate
    tenants: Tenants
    keyring: KeyRing
    sessions: HostedSessions
    webhooks: Webhooks
    feed: Feed
    clock: Clock
    drain: Drain

    @property
    def store(self) -> Store:
        return self.tenants.log.store


def dashboard_routes(pages: Pages, behind: Behind) -> Blueprint:
    """Return all routes under `/dashboard`, live ones included.

    Args:
        pages: loaded with this package as one of its areas.
    """
    routes = Blueprint("dashboard", __name__, url_prefix=HOME)
    frame = Frame(pages, behind.gate)
    add_account_views(routes, frame)
    add_overview_views(
        routes,
        frame,
        sessions=behind.sessions,
        tenants=behind.tenants,
        activity=Activity(behind.store),
        clock=behind.clock,
    )
    add_session_views(routes, frame, behind.sessions, behind.store, behind.clock)
    add_key_views(
        routes,
        frame,
        tenants=behind.tenants,
        keyring=behind.keyring,
        public_url=behind.sessions.public_url,
    )
    add_webhook_views(routes, frame, behind.webhooks)
    add_profile_views(routes, frame, behind.tenants)
    add_audit_view(routes, frame, behind.store)
    add_live_view(routes, frame, behind.feed, behind.drain)
    routes.add_url_rule("/<path:unknown>", "unknown", _unknown, methods=["GET", "POST"])

    async def trouble(error: Exception) -> Response:
        return trouble_page(pages, error)

    routes.register_error_handler(Exception, trouble)
    return routes


async def _unknown(unknown: str) -> Response:
    raise NotFound
