"""A conversation's live stream, and what a client may say over it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
from quart import Blueprint, Response

from actors.assistant import errors as assistant
from actors.assistant.decider import stream_of
from api.assistant import requests
from api.assistant.desk import AssistantDesk
from api.assistant.errors import PREFIX
from api.errors import FieldInvalid
from api.streams import Streams


def add_stream_routes(routes: Blueprint, desk: AssistantDesk, streams: Streams) -> None:
    """Add `/api/sessions/<id>/stream`, as a websocket and over SSE."""
    path = f"{PREFIX}/<session_id>/stream"

    async def stream_of_existing(session_id: str) -> str:
        stream = stream_of(session_id)
        if not await streams.exists(stream):
            raise assistant.ConversationNotFound(session_id[:128])
        return stream

    async def websocket(session_id: str) -> None:
        stream = await stream_of_existing(session_id)
        await streams.websocket(stream, partial(_obey, desk, session_id))

    async def sse(session_id: str) -> Response:
        return await streams.sse(await stream_of_existing(session_id))

    routes.add_websocket(path, "stream_websocket", websocket, strict_slashes=False)
    routes.add_url_rule(path, "stream", sse, methods=["GET"], strict_slashes=False)


async def _obey(
    desk: AssistantDesk, session_id: str, kind: str, frame: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Do what a frame asks for, and return what its ack says."""
    match kind:
        case "message":
            key = frame.get("id")
            command = requests.post(
                frame,
                () if key is None else (key,),
                message_id=desk.new_id(),
                reply_id=desk.new_id(),
            )
            try:
                message = await desk.post(session_id, command)
            except assistant.FieldInvalid as error:
                if error.field != "Idempotency-Key":
                    raise
                raise FieldInvalid("id", error.problem) from error  # what it is called here
            return {"seq": message.seq, "message": msgspec.to_builtins(message)}
        case "cancel":
            await desk.ask(session_id, requests.cancel(frame))
            return {}
        case _:
            raise FieldInvalid("type", "must be message or cancel")
