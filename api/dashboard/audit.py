"""The audit log, in words for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from quart import Blueprint, Response, request

from actors.partner import FieldInvalid
from actors.partner.tenants import OPERATOR
from actors.partner.tenants.audit import AuditEntry, read_audit
from api.dashboard.frame import Frame, lead_to
from api.pages.bidi import balanced
from api.partner.requests import audit_cursor
from engine.store import Store

_PATH: Final = "/dashboard/audit"
_PAGE: Final = 50
_NAMES: Final[Mapping[str, str]] = {
    "tenant.created": "Account created",
    "user.added": "Person added",
    "user.password_reset": "Password reset",
    "user.logged_in": "Logged in",
    "user.logged_out": "Logged out",
    "key.created": "API key generated",
    "key.revoked": "API key revoked",
    "profile.changed": "Profile changed",
    "webhook.created": "Webhook added",
    "webhook.rotated": "Webhook's secret rotated",
    "webhook.enabled": "Webhook enabled",
    "webhook.deleted": "Webhook deleted",
    "quota.reached": "Quota reached",
}
# What is shown of an entry's details, in this order.
_SHOWN: Final = (
    "name",
    "logo_url",
    "environment",
    "hint",
    "host",
    "kind",
    "reason",
    "role",
    "month",
)
_KINDS: Final[Mapping[str, str]] = {"api": "by the API", "web": "in the dashboard"}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An entry as the page shows it."""

    at: str
    name: str
    who: str
    detail: str


def add_audit_view(routes: Blueprint, frame: Frame, store: Store) -> None:
    """Add the page."""

    async def audit() -> Response:
        person = await frame.person()
        try:
            before = audit_cursor(request.args)
        except FieldInvalid:
            return lead_to(_PATH)
        page = await read_audit(store, person.tenant_id, before=before, limit=_PAGE)
        names = {OPERATOR: "whoever runs this server"}
        for actor in {entry.actor for entry in page.entries} - {None, OPERATOR}:
            names[str(actor)] = await frame.gate.name_of(person.tenant_id, str(actor))
        return frame.page(
            "audit",
            person,
            entries=[line_of(entry, names) for entry in page.entries],
            next_page=page.next_before and f"{_PATH}?cursor={page.next_before}",
        )

    routes.add_url_rule("/audit", "audit", audit, methods=["GET"])


def line_of(entry: AuditEntry, names: Mapping[str, str]) -> Line:
    """Return what the page shows of an entry.

    Args:
        names: of actors, by their ids.
    """
    name = _NAMES.get(entry.type, entry.type)
    return Line(
        at=entry.at,
        name=name,
        who="Mooring" if entry.actor is None else names.get(entry.actor, entry.actor),
        detail=" · ".join(_words(entry.details)),
    )


def _words(details: Mapping[str, Any]) -> list[str]:
    shown = [details[name] for name in _SHOWN if details.get(name)]
    return [balanced(_KINDS.get(str(word), str(word))) for word in shown]
