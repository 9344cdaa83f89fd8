"""The overview: figures, the newest sessions, a month in bars."""

from __future__ import annotations

from typing import Final

from quart import Blueprint, Response

from actors.partner.hosted import HostedSessions
from actors.partner.tenants import ReadUsage, Tenants
from api.dashboard.activity import MOST, Activity, last_days, this_month
from api.dashboard.chart import draw
from api.dashboard.frame import Frame
from api.dashboard.sessions import row_of
from engine.clock import Clock

_NEWEST: Final = 8


def add_overview_views(
    routes: Blueprint,
    frame: Frame,
    *,
    sessions: HostedSessions,
    tenants: Tenants,
    activity: Activity,
    clock: Clock,
) -> None:
    """Add the overview and the page about usage."""

    async def overview() -> Response:
        person = await frame.person()
        now = clock.now()
        month = await activity.month(person.tenant_id, now)
        newest = await sessions.list(person.principal, limit=_NEWEST)
        return frame.page(
            "overview",
            person,
            usage=await tenants.ask(person.tenant_id, ReadUsage()),
            month=this_month(month.days, now),
            newest=[row_of(session) for session in newest.sessions],
            chart=draw(last_days(month.days, now)),
            most=None if month.is_whole else MOST,
        )

    async def usage() -> Response:
        person = await frame.person()
        now = clock.now()
        month = await activity.month(person.tenant_id, now)
        return frame.page(
            "usage",
            person,
            usage=await tenants.ask(person.tenant_id, ReadUsage()),
            chart=draw(last_days(month.days, now)),
            most=None if month.is_whole else MOST,
        )

    routes.add_url_rule("", "overview", overview, methods=["GET"])
    routes.add_url_rule("/usage", "usage", usage, methods=["GET"])
