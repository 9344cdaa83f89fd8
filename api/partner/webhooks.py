"""Webhooks: `/api/v1/webhooks`, for people only; an API key learns and changes nothing here."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast
from urllib.parse import urlsplit

import msgspec
from quart import Blueprint, Response, request

from actors.partner.errors import FieldInvalid
from actors.partner.tenants.commands import NoteWebhook
from actors.partner.tenants.principal import Principal
from actors.partner.tenants.records import QuotaReached
from actors.partner.webhooks import (
    EVENT_TYPES,
    Change,
    Created,
    Endpoint,
    EventType,
    ListedAttempt,
    Notification,
    Webhooks,
)
from api.partner import requests
from api.partner.credentials import Credentials
from api.partner.errors import PREFIX
from api.partner.limits import partner_blueprint
from api.query import take_limit
from api.reply import reply
from engine.clock import Clock

WEBHOOKS: Final = f"{PREFIX}/webhooks"


def webhook_routes(webhooks: Webhooks, *, credentials: Credentials, clock: Clock) -> Blueprint:
    """Return the routes."""
    routes = partner_blueprint("partner_webhooks")

    @routes.post(WEBHOOKS)
    async def create() -> Response:
        principal = await _owner(credentials)
        body = await requests.read_body(request)
        (url,) = requests.required(body, "url")
        created = await webhooks.create(
            principal.tenant_id, url=url, events=_events(body), by=principal.id
        )
        return reply(_created(created, clock), status=201)

    @routes.get(WEBHOOKS)
    async def list_webhooks() -> Response:
        principal = await credentials.by_jwt()
        endpoints = await webhooks.endpoints(principal.tenant_id)
        return reply({"webhooks": [webhook_fields(one, clock) for one in endpoints]})

    @routes.delete(f"{WEBHOOKS}/<webhook_id>")
    async def delete(webhook_id: str) -> Response:
        principal = await _owner(credentials)
        await webhooks.delete(principal.tenant_id, webhook_id, by=principal.id)
        response = reply({}, status=204)
        response.set_data(b"")
        return response

    @routes.post(f"{WEBHOOKS}/<webhook_id>/rotate")
    async def rotate(webhook_id: str) -> Response:
        principal = await _owner(credentials)
        rotated = await webhooks.rotate(principal.tenant_id, webhook_id, by=principal.id)
        return reply(_created(rotated, clock))

    @routes.post(f"{WEBHOOKS}/<webhook_id>/enable")
    async def enable(webhook_id: str) -> Response:
        principal = await _owner(credentials)
        endpoint = await webhooks.enable(principal.tenant_id, webhook_id, by=principal.id)
        return reply(webhook_fields(endpoint, clock))

    @routes.get(f"{WEBHOOKS}/<webhook_id>/attempts")
    async def attempts(webhook_id: str) -> Response:
        principal = await credentials.by_jwt()
        limit, cursor = take_limit(request.args), request.args.get("cursor")
        page = await webhooks.attempts(principal.tenant_id, webhook_id, limit=limit, cursor=cursor)
        listed = [attempt_fields(one) for one in page.attempts]
        return reply({"attempts": listed, "next_cursor": page.next_cursor})

    @routes.post(f"{WEBHOOKS}/attempts/<attempt_id>/resend")
    async def resend(attempt_id: str) -> Response:
        principal = await _owner(credentials)
        event_id = await webhooks.resend(principal.tenant_id, attempt_id)
        return reply({"event_id": event_id, "state": "pending"}, status=202)

    # The contract's `…/attempts/{id}/resend` can be read either way; both lead to the attempt.
    @routes.post(f"{WEBHOOKS}/<webhook_id>/attempts/<attempt_id>/resend")
    async def resend_of(webhook_id: str, attempt_id: str) -> Response:
        principal = await _owner(credentials)
        await webhooks.endpoint(principal.tenant_id, webhook_id)
        event_id = await webhooks.resend(principal.tenant_id, attempt_id)
        return reply({"event_id": event_id, "state": "pending"}, status=202)

    return routes


async def _owner(credentials: Credentials) -> Principal:
    """Return who asks for a change; raises NotAllowed for who may only look."""
    principal = await credentials.by_jwt()
    principal.check_owner()
    return principal


def webhook_fields(endpoint: Endpoint, clock: Clock) -> dict[str, Any]:
    """Return what may be seen of an endpoint; never a secret."""
    signing = endpoint.signing(clock.now())
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": endpoint.events,
        "status": "enabled" if endpoint.enabled else "disabled",
        "created_at": endpoint.created_at,
        "failing_since": endpoint.failing_since,
        "disabled_at": endpoint.disabled_at,
        "disabled_reason": endpoint.disabled_reason,
        "old_secret_signs_until": signing[1].expires_at if len(signing) > 1 else None,
    }


def attempt_fields(listed: ListedAttempt) -> dict[str, Any]:
    """Return what may be seen of an attempt, and how its delivery stands."""
    delivery, attempt = listed.delivery, listed.attempt
    return {
        "id": listed.id,
        "event_id": delivery.event_id,
        "type": delivery.type,
        "subject": delivery.subject,
        "seq": delivery.event_seq,
        "number": attempt.number,
        "at": attempt.at,
        "status": attempt.status,
        "duration_ms": attempt.duration_ms,
        "response": attempt.response,
        "error": attempt.error,
        "delivered": attempt.error is None,
        "resend": attempt.resend,
        "state": delivery.status,
        "next_attempt_at": delivery.next_at,
    }


def change_note(change: Change) -> NoteWebhook:
    """Return what a tenant's audit log says of a change. It does not say the whole URL."""
    return NoteWebhook(
        deed=change.deed,
        webhook_id=change.endpoint_id,
        host=urlsplit(change.url).netloc,
        by=change.by,
    )


def quota_notification(tenant_id: str, reached: QuotaReached) -> Notification:
    """Return the news that a month's quota is nearly, or entirely, used up."""
    data = {
        "environment": reached.environment,
        "month": reached.month,
        "used": reached.used,
        "limit": reached.limit,
    }
    return Notification(
        tenant_id=tenant_id,
        environment=reached.environment,
        type=reached.type,
        subject=reached.month,
        seq=reached.seq,
        at=datetime.fromisoformat(reached.at),
        data=msgspec.json.encode(data),
    )


def _created(created: Created, clock: Clock) -> dict[str, Any]:
    return webhook_fields(created.endpoint, clock) | {"secret": created.secret}  # this once


def _events(body: Mapping[str, Any]) -> tuple[EventType, ...]:
    """Return which events are wanted; all of them where nothing is said.

    Raises:
        FieldInvalid: it is not a list of events that there are.
    """
    events = body.get("events")
    if events is None:
        return EVENT_TYPES
    if not isinstance(events, list) or not events:
        raise FieldInvalid("events", "must be a list of at least one event")
    if any(one not in EVENT_TYPES for one in events):
        raise FieldInvalid("events", f"must be of {', '.join(EVENT_TYPES)}")
    return cast("tuple[EventType, ...]", tuple(events))
