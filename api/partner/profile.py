"""Who the visitor is told is asking: `/api/v1/profile`."""

from __future__ import annotations

import msgspec
from quart import Blueprint, Response, request

from actors.partner.tenants.admission import ReadProfile
from actors.partner.tenants.commands import ChangeProfile
from actors.partner.tenants.family import Tenants
from actors.partner.tenants.records import Profile
from api.partner import requests
from api.partner.credentials import Credentials
from api.partner.errors import PREFIX
from api.partner.limits import partner_blueprint
from api.reply import reply


def profile_routes(tenants: Tenants, credentials: Credentials) -> Blueprint:
    """Return the routes."""
    routes = partner_blueprint("partner_profile")

    @routes.get(f"{PREFIX}/profile")
    async def read() -> Response:
        principal = await credentials.by_jwt()
        return _profile(await tenants.ask(principal.tenant_id, ReadProfile()))

    @routes.put(f"{PREFIX}/profile")
    async def change() -> Response:
        principal = await credentials.by_jwt()
        wanted = requests.profile_wanted(await requests.read_body(request))
        command = ChangeProfile(name=wanted.name, logo_url=wanted.logo_url, by=principal.id)
        return _profile(await tenants.ask(principal.tenant_id, command))

    return routes


def _profile(profile: Profile) -> Response:
    return reply(msgspec.to_builtins(profile))
