"""`/asyncapi.json`: AsyncAPI 3.0 of the live streams, made from their event types.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from api.docs.openapi import SECURITY_SCHEMES
from api.docs.schemas import Schemas
from api.docs.streams import CLOSE_CODES, Stream, StreamMessage

VERSION: Final = "3.0.0"

_DESCRIPTION: Final = """\
Every session has one durable, ordered log of events. A stream is that log, read on for as long as \
it grows: after `ready` comes every event behind the place where you start, in order, once; \
history first, then live. Start with `?after=<seq>` where you stopped, or with `after=0` for \
everything; without it the stream starts from now. One event is one text frame.

The same streams come as server-sent events to whoever sends `Accept: text/event-stream`: an \
event's `id` is its `seq`, and `Last-Event-ID` resumes."""


def asyncapi_document(
    streams: Sequence[Stream], *, version: str, server_url: str
) -> Mapping[str, Any]:
    """Return the document; arguments as for `openapi_document`."""
    schemas = Schemas(one.type for stream in streams for one in (*stream.sends, *stream.takes))
    url = urlsplit(server_url)
    return {
        "asyncapi": VERSION,
        "info": {"title": "Mooring", "version": version, "description": _DESCRIPTION},
        "defaultContentType": "application/json",
        "servers": {
            "mooring": {
                "host": url.netloc,
                "pathname": url.path,
                "protocol": "wss" if url.scheme == "https" else "ws",
            }
        },
        "channels": {stream.id: _channel(stream) for stream in streams},
        "operations": {
            f"{verb}_{stream.id}": _operation(stream, action, messages)
            for stream in streams
            for verb, action, messages in (
                ("follow", "send", stream.sends),
                ("speak_to", "receive", stream.takes),
            )
            if messages
        },
        "components": {
            "messages": {
                _key(stream, one): _message(one, schemas)
                for stream in streams
                for one in (*stream.sends, *stream.takes)
            },
            "schemas": schemas.components,
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _channel(stream: Stream) -> Mapping[str, Any]:
    final = ", ".join(f"`{name}`" for name in stream.final)
    return {
        "address": stream.address,
        "title": stream.title,
        "description": f"Ends after {final}.",
        "tags": [{"name": stream.tag}],
        "servers": [{"$ref": "#/servers/mooring"}],
        "parameters": {
            "session_id": {"description": "The session's id.", "examples": [stream.session_id]}
        },
        "messages": {
            one.name: {"$ref": f"#/components/messages/{_key(stream, one)}"}
            for one in (*stream.sends, *stream.takes)
        },
        "bindings": {"ws": {"method": "GET", "query": _QUERY}},
        "x-final-events": list(stream.final),
        "x-close-codes": {str(code): text for code, text in CLOSE_CODES.items()},
    }


_QUERY: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "after": {
            "type": "integer",
            "minimum": 0,
            "description": "Send what comes after this `seq`; without it, what comes from now on.",
        }
    },
}


def _operation(stream: Stream, action: str, messages: Sequence[StreamMessage]) -> Mapping[str, Any]:
    schemes = [one for one in stream.security if one is not None]
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{stream.id}"},
        "title": stream.title,
        "security": [{"$ref": f"#/components/securitySchemes/{one}"} for one in schemes],
        "messages": [{"$ref": f"#/channels/{stream.id}/messages/{one.name}"} for one in messages],
    }


def _message(message: StreamMessage, schemas: Schemas) -> Mapping[str, Any]:
    return {
        "name": message.name,
        "title": message.name,
        "summary": message.summary,
        "contentType": "application/json",
        "payload": schemas.of(message.type),
    }


def _key(stream: Stream, message: StreamMessage) -> str:
    return f"{stream.id}.{message.name}"
