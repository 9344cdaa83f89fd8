"""Answers: JSON bodies as bytes, times as the contract writes them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from quart import Response
from quart_trio.wrappers import TrioResponse

from api.errors import Answer


def reply(body: Mapping[str, Any], *, status: int = 200) -> Response:
    """Return a JSON answer; what must not be cached or sniffed says so."""
    return reply_encoded(msgspec.json.encode(body, enc_hook=_encode), status=status)


def reply_encoded(data: bytes, *, status: int = 200) -> Response:
    """Return what is JSON already as an answer, as `reply` does."""
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return TrioResponse(data, status=status, headers=headers, content_type="application/json")


def reply_error(answer: Answer) -> Response:
    """Return an error's answer."""
    response = reply(answer.body, status=answer.status)
    response.headers.update(answer.headers)
    return response


def timestamp(moment: datetime) -> str:
    """Write a time as `2024-01-07T12:34:56.789Z`."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _encode(value: Any) -> Any:
    """Write what msgspec has no own form for by its repr: an answer is never lost to a field."""
    return repr(value)
