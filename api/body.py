"""Reading a request's body: bounded in size and time, one JSON object, strings that are strings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from quart import Request
from quart_trio.wrappers import TrioRequest
from quart_trio.wrappers.request import TrioBody
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from api.errors import BodyNotJson, BodyTooLarge, BodyTooSlow, FieldInvalid

BODY_DEADLINE_S: Final = 30

# What is past the limit is read on and thrown away, up to this many times the limit: a client that
# sends before it reads would otherwise get a reset connection in place of its 413.
_DISCARDED_LIMITS: Final = 8
# Types that a web page may send without asking first; no client of ours sends JSON under them.
_FORM_TYPES: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


class BoundedBody(TrioBody):
    """A body that holds at most `max_content_length` bytes, however much arrives.

    Raises:
        RequestEntityTooLarge: when it is awaited, once the whole of a larger body has arrived, or
            at once when that would be far larger.
    """

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(None, max_content_length)
        self._limit = max_content_length or 0
        self._received = 0
        if (expected_content_length or 0) > self._limit * _DISCARDED_LIMITS:
            self._must_raise = RequestEntityTooLarge()

    def append(self, data: bytes) -> None:
        self._received += len(data)
        if self._received <= self._limit:
            super().append(data)
            return
        self._data.clear()
        if self._received > self._limit * _DISCARDED_LIMITS:
            self.set_complete()

    def set_complete(self) -> None:
        if self._received > self._limit:
            self._must_raise = RequestEntityTooLarge()
        super().set_complete()


class BoundedRequest(TrioRequest):
    """A request whose body is bounded."""

    body_class = BoundedBody


async def read_object(request: Request, *, optional: bool = False) -> Mapping[str, Any]:
    """Return the body, which must be one JSON object; where it is optional, none is an empty one.

    Raises:
        BodyNotJson, BodyTooLarge, BodyTooSlow.
    """
    data = await read_bytes(request)
    if request.mimetype in _FORM_TYPES:
        raise BodyNotJson("Send it as Content-Type: application/json")
    return {} if optional and not data else _decode(data)


async def read_bytes(request: Request) -> bytes:
    """Return the body as it came.

    Raises:
        BodyTooLarge, BodyTooSlow.
    """
    try:
        data = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    except RequestEntityTooLarge:
        limit = request.max_content_length
        raise BodyTooLarge(f"At most {limit} bytes are read") from None
    except RequestTimeout:
        raise BodyTooSlow(f"It must arrive within {BODY_DEADLINE_S} s") from None
    return bytes(data)


def take_text(body: Mapping[str, Any], name: str, *, longest: int) -> str | None:
    """Return the string under `name`; None when it is absent, null or empty.

    Raises:
        FieldInvalid: not a string, too long, or with a NUL character in it.
    """
    value = body.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise FieldInvalid(name, "Expected a string")
    check_text(name, value, longest=longest)
    return value


def take_flag(body: Mapping[str, Any], name: str) -> bool:
    """Return the boolean under `name`; False when it is absent or null."""
    value = body.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise FieldInvalid(name, "Expected true or false")
    return value


def check_text(name: str, value: Any, *, longest: int) -> None:
    """Raise `FieldInvalid` when a string in `value`, at any depth, is too long or holds a NUL."""
    match value:
        case str() if "\0" in value:
            raise FieldInvalid(name, "Must not hold a NUL character")
        case str() if len(value) > longest:
            raise FieldInvalid(name, f"At most {longest} characters")
        case dict():
            for key, item in value.items():
                check_text(name, key, longest=longest)
                check_text(name, item, longest=longest)
        case list():
            for item in value:
                check_text(name, item, longest=longest)


def _decode(data: bytes) -> Mapping[str, Any]:
    try:
        body: dict[str, Any] = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.ValidationError as error:  # JSON, but a list, a string, a number out of range
        raise BodyNotJson(str(error).partition(" - at")[0].replace("`", "")) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BodyNotJson from None
    return body
