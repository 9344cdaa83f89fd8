"""API keys: `/api/v1/api-keys`, for people only; a key makes no keys."""

from __future__ import annotations

from typing import Any

from quart import Blueprint, Response, request

from actors.partner.tenants.admission import ListKeys
from actors.partner.tenants.commands import RevokeKey
from actors.partner.tenants.family import Tenants
from actors.partner.tenants.keyring import KeyRing
from actors.partner.tenants.records import ApiKey
from api.partner import requests
from api.partner.credentials import Credentials
from api.partner.errors import PREFIX
from api.partner.limits import partner_blueprint
from api.reply import reply


def key_routes(tenants: Tenants, *, keyring: KeyRing, credentials: Credentials) -> Blueprint:
    """Return the routes."""
    routes = partner_blueprint("partner_keys")

    @routes.post(f"{PREFIX}/api-keys/generate")
    async def generate() -> Response:
        principal = await credentials.by_jwt()
        wanted = requests.key_wanted(await requests.read_body(request))
        made = await keyring.generate(
            principal.tenant_id, wanted.environment, name=wanted.name, by=principal.id
        )
        shown = {"api_key": made.text}  # this once; the list shows its hint
        return reply(key_fields(made.key) | shown, status=201)

    @routes.get(f"{PREFIX}/api-keys/list")
    async def list_keys() -> Response:
        principal = await credentials.by_jwt()
        keys: tuple[ApiKey, ...] = await tenants.ask(principal.tenant_id, ListKeys())
        return reply({"api_keys": [key_fields(key) for key in keys]})

    @routes.delete(f"{PREFIX}/api-keys/<any_but(list, generate):key_id>")
    async def revoke(key_id: str) -> Response:
        principal = await credentials.by_jwt()
        await tenants.ask(principal.tenant_id, RevokeKey(key_id=key_id, by=principal.id))
        response = reply({}, status=204)
        response.set_data(b"")
        return response

    return routes


def key_fields(key: ApiKey) -> dict[str, Any]:
    """Return what may be seen of a key."""
    return {
        "key_id": key.key_id,
        "environment": key.environment,
        "name": key.name,
        "api_key": key.hint,
        "created_at": key.created_at,
        "created_by": key.created_by,
        "last_used_at": key.last_used_at,
    }
