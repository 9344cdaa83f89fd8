"""A browser session's live events: `GET /sessions/{id}/events`, as a websocket and over SSE."""

from __future__ import annotations

from quart import Blueprint, Response

from actors.browser.errors import SessionNotFound
from actors.browser.place import stream_of
from api.streams import Streams


def browser_stream_routes(streams: Streams) -> Blueprint:
    """Return the routes of sessions' streams; one that has ended still has its log."""
    routes = Blueprint("browser_stream", __name__)

    async def stream_of_existing(session_id: str) -> str:
        stream = stream_of(session_id)
        if not await streams.exists(stream):
            raise SessionNotFound
        return stream

    async def websocket(session_id: str) -> None:
        await streams.websocket(await stream_of_existing(session_id))

    async def sse(session_id: str) -> Response:
        return await streams.sse(await stream_of_existing(session_id))

    path = "/sessions/<session_id>/events"
    routes.add_websocket(path, "events_websocket", websocket)
    routes.add_url_rule(path, "events", sse, methods=["GET"])
    return routes
