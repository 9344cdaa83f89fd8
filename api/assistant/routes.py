"""Conversations over REST: the routes of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from quart import Blueprint, Response, request

from actors.assistant.records import Message, Session
from api.access import note_session
from api.assistant import requests
from api.assistant.desk import AssistantDesk, Sessions
from api.assistant.errors import PREFIX
from api.assistant.stream import add_stream_routes
from api.body import read_object
from api.query import take_limit
from api.reply import reply
from api.segments import whole_id
from api.streams import Streams

_ROUTES: Final = (
    ("POST", "", "create"),
    ("GET", "/<session_id>", "read"),
    ("PATCH", "/<session_id>", "update"),
    ("DELETE", "/<session_id>", "delete"),
    ("GET", "/<session_id>/messages", "messages"),
    ("POST", "/<session_id>/messages", "post"),
    ("POST", "/<session_id>/cancel", "cancel"),
    ("GET", "/business/<business_id>/active", "active_at_business"),
    ("GET", "/business/<business_id>/user/<user_id>/active", "active"),
    ("GET", "/business/<business_id>/user/<user_id>/history", "history"),
)


def assistant_routes(desk: AssistantDesk, streams: Streams) -> Blueprint:
    """Return the routes, the live stream's among them."""
    views = _AssistantViews(desk)
    routes = Blueprint("assistant", __name__)
    add_stream_routes(routes, desk, streams)
    for method, path, name in _ROUTES:
        # As lenient about a slash at the end as the framework that the seed was written for.
        routes.add_url_rule(
            PREFIX + path, name, getattr(views, name), methods=[method], strict_slashes=False
        )
    return routes


class _AssistantViews:
    """The views. A client that leaves cancels its view; what was begun by then is finished."""

    def __init__(self, desk: AssistantDesk) -> None:
        self._desk = desk

    async def create(self) -> Response:
        opening = requests.opening(await read_object(request), session_id=self._desk.new_id())
        session, is_new = await self._desk.open_session(opening)
        note_session(request.scope, session.session_id)
        response = _session(session, status=201 if is_new else 200, is_new=is_new)
        response.headers["Location"] = f"{PREFIX}/{session.session_id}"
        return response

    async def read(self, session_id: str) -> Response:
        return _session(await self._desk.session(session_id))

    async def update(self, session_id: str) -> Response:
        body = await read_object(request)
        command = requests.update(body, request.headers.getlist("If-Match"))
        return _session(await self._desk.ask(session_id, command))

    async def delete(self, session_id: str) -> Response:
        await self._desk.delete(session_id)
        response = reply({}, status=204)
        response.set_data(b"")
        return response

    async def messages(self, session_id: str) -> Response:
        page = await self._desk.messages(session_id, requests.page_wanted(request.args))
        following = None if page.next_after is None else str(page.next_after)
        return reply({"messages": page.messages, "nextCursor": following, "seq": page.seq})

    async def post(self, session_id: str) -> Response:
        command = requests.post(
            await read_object(request),
            request.headers.getlist("Idempotency-Key"),
            message_id=self._desk.new_id(),
            reply_id=self._desk.new_id(),
        )
        message: Message = await self._desk.post(session_id, command)
        return reply(_fields(message), status=201)

    async def cancel(self, session_id: str) -> Response:
        body = await read_object(request, optional=True)
        await self._desk.ask(session_id, requests.cancel(body))
        return _session(await self._desk.session(session_id))

    async def active_at_business(self, business_id: str) -> Response:
        page = await self._desk.active_at(whole_id(business_id), *_page(request.args))
        return _sessions(page)

    async def active(self, business_id: str, user_id: str) -> Response:
        return _session(await self._desk.active(whole_id(business_id), whole_id(user_id)))

    async def history(self, business_id: str, user_id: str) -> Response:
        ids = whole_id(business_id), whole_id(user_id)
        page = await self._desk.history(*ids, *_page(request.args))
        return _sessions(page)


def _page(query: Mapping[str, str]) -> tuple[int, str | None]:
    return take_limit(query), query.get("cursor")


def _session(session: Session, *, status: int = 200, is_new: bool | None = None) -> Response:
    fields = _fields(session)
    if is_new is not None:
        fields["isNew"] = is_new
    response = reply(fields, status=status)
    response.headers["ETag"] = f'"{session.version}"'
    return response


def _sessions(page: Sessions) -> Response:
    return reply({"sessions": page.sessions, "nextCursor": page.next_cursor})


def _fields(record: Session | Message) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(record)
    return fields
