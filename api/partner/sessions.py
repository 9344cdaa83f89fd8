"""Hosted sessions over REST, and their live streams: `/api/v1/sessions`."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from quart import Blueprint, Response, request

from actors.partner.hosted import Answered, HostedSessions, Outcome, sent_to_tenant
from actors.partner.tenants.principal import Principal
from api.partner import session_requests as wanted
from api.partner.credentials import Credentials
from api.partner.errors import PREFIX
from api.partner.limits import partner_blueprint
from api.partner.requests import read_body
from api.reply import reply, reply_encoded
from api.streams import Streams

SESSIONS: Final = f"{PREFIX}/sessions"


def session_routes(desk: HostedSessions, credentials: Credentials, streams: Streams) -> Blueprint:
    """Return the routes. Each takes the kinds of credential that the contract gives it."""
    routes = partner_blueprint("partner_sessions")

    @routes.post(SESSIONS)
    async def create_by_user() -> Response:
        return await _create(desk, await credentials.by_jwt())

    @routes.post(f"{SESSIONS}/create")
    async def create_by_key() -> Response:
        return await _create(desk, await credentials.by_key())

    @routes.get(SESSIONS)
    async def list_sessions() -> Response:
        principal = await credentials.by_jwt()
        asked = wanted.sessions_wanted(request.args)
        page = await desk.list(
            principal,
            state=asked.state,
            environment=asked.environment,
            limit=asked.limit,
            cursor=asked.cursor,
        )
        following = msgspec.json.encode(page.next_cursor)
        sessions = b",".join(page.encoded)
        return reply_encoded(b'{"sessions":[%s],"next_cursor":%s}' % (sessions, following))

    @routes.get(f"{SESSIONS}/<any_but(create):session_id>")
    async def read(session_id: str) -> Response:
        principal = await credentials.by_either()
        return reply_encoded(await desk.get_encoded(principal, session_id))

    @routes.post(f"{SESSIONS}/<session_id>/cancel")
    async def cancel(session_id: str) -> Response:
        principal = await credentials.by_either()
        session = await desk.cancel(principal, session_id)
        return reply_encoded(msgspec.json.encode(session))

    @routes.get(f"{SESSIONS}/<session_id>/results")
    async def results(session_id: str) -> Response:
        principal = await credentials.by_either()
        return reply(outcome_fields(await desk.results(principal, session_id)))

    @routes.get(f"{SESSIONS}/<session_id>/events")
    async def events(session_id: str) -> Response:
        principal = await credentials.by_any()
        return await streams.sse(await desk.stream(principal, session_id), show=sent_to_tenant)

    @routes.websocket(f"{SESSIONS}/<session_id>/events")
    async def live(session_id: str) -> None:
        principal = await credentials.by_any()
        await streams.websocket(await desk.stream(principal, session_id), show=sent_to_tenant)

    return routes


def outcome_fields(outcome: Outcome) -> dict[str, Any]:
    """Return how a session turned out, as it is answered."""
    session = outcome.session
    return {
        "session_id": session.session_id,
        "environment": session.environment,
        "state": session.state.value,
        "flow": session.flow,
        "result": session.result,
        "reason": session.reason,
        "metadata": session.metadata,
        "ended_at": session.ended_at,
        "receipt": outcome.receipt,
    }


async def _create(desk: HostedSessions, principal: Principal) -> Response:
    body = await read_body(request)
    opening = wanted.opening(body, principal, request.headers.getlist("Idempotency-Key"))
    answered: Answered = await desk.create(principal, opening)
    response = reply_encoded(answered.body, status=201)
    if answered.is_replay:
        response.headers["Idempotent-Replayed"] = "true"
    return response
