"""What is used and what was done: `/api/v1/usage` and `/api/v1/audit`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from quart import Blueprint, Response, request

from actors.partner.errors import FieldInvalid
from actors.partner.tenants.admission import ReadUsage, Usage
from actors.partner.tenants.audit import read_audit
from actors.partner.tenants.family import Tenants
from actors.partner.tenants.principal import ENVIRONMENTS, Environment, Principal
from api.partner import requests
from api.partner.credentials import Credentials
from api.partner.errors import PREFIX
from api.partner.limits import partner_blueprint
from api.query import take_limit
from api.reply import reply


def usage_routes(tenants: Tenants, credentials: Credentials) -> Blueprint:
    """Return the routes."""
    routes = partner_blueprint("partner_usage")

    @routes.get(f"{PREFIX}/usage")
    async def usage() -> Response:
        principal = await credentials.by_either()
        environment = _environment(principal, request.args)
        used: Usage = await tenants.ask(principal.tenant_id, ReadUsage())
        return reply(usage_fields(used, principal, environment))

    @routes.get(f"{PREFIX}/audit")
    async def audit() -> Response:
        principal = await credentials.by_jwt()
        page = await read_audit(
            tenants.log.store,
            principal.tenant_id,
            before=requests.audit_cursor(request.args),
            limit=take_limit(request.args),
        )
        following = None if page.next_before is None else str(page.next_before)
        entries = msgspec.to_builtins(page.entries)
        return reply({"entries": entries, "next_cursor": following})

    return routes


def usage_fields(usage: Usage, principal: Principal, environment: Environment) -> dict[str, Any]:
    """Return a month's usage: of one environment on its own, and of each that the caller sees."""
    seen = [it for it in ENVIRONMENTS if principal.may_see(it)]
    return {
        "month": usage.month,
        "resets_at": usage.resets_at,
        "environment": environment,
        **msgspec.to_builtins(usage.of(environment)),
        "environments": {it: msgspec.to_builtins(usage.of(it)) for it in seen},
        "active": usage.active,
        "max_active": usage.max_active,
        "rate_limit_per_minute": usage.rate_limit_per_minute,
        "days": [{"day": day.day} | {it: getattr(day, it) for it in seen} for day in usage.days],
    }


def _environment(principal: Principal, query: Mapping[str, str]) -> Environment:
    """Return the environment that is asked about: a key's own, or the one that a user names."""
    named = query.get("environment")
    asked = None if named is None else requests.environment_of(named)
    if asked is not None and not principal.may_see(asked):
        raise FieldInvalid("environment", "is not the one of this key")
    return asked or principal.environment or "sandbox"
