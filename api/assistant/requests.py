"""What the assistant's routes take, decoded: bodies, queries and headers.

Laws of this file: pure. Types are checked here, sizes and contents by the conversation itself.
Unknown fields are ignored, save in a PATCH. No error repeats a value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias, cast

import msgspec
from msgspec import UNSET, UnsetType

from actors.assistant.commands import (
    DEFAULT_LOCATION,
    DEFAULT_TYPE,
    CancelReply,
    Create,
    OnBusy,
    PostMessage,
    Update,
)
from actors.assistant.records import Metadata
from api.body import take_flag
from api.errors import FieldInvalid, FieldsMissing
from api.query import take_limit, take_sequence

_ETAG: Final = re.compile(r'"?([0-9]{1,15})"?')
_ON_BUSY: Final = ("enqueue", "reject", "interrupt")
_UPDATABLE: Final = ("title", "metadata", "locationId", "sessionType", "status")
# No version has this number, so whoever expects it is told of a conflict.
_NO_VERSION: Final = -1

Start: TypeAlias = Literal["after", "updatedAfter"]


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """A create: the command, and whether a session that is there must make way."""

    command: Create
    force_new: bool


class PageWanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages: those created, or those changed, after a sequence."""

    start: Start
    after: int
    limit: int


def opening(body: Mapping[str, Any], *, session_id: str) -> Opening:
    """Return what `POST /api/sessions` asks for.

    Raises:
        FieldsMissing, FieldInvalid.
    """
    missing = tuple(name for name in ("businessId", "userId") if body.get(name) in (None, ""))
    if missing:
        raise FieldsMissing(missing)
    command = Create(
        session_id=session_id,
        business_id=_text(body, "businessId") or "",
        user_id=_text(body, "userId") or "",
        location_id=_text(body, "locationId") or DEFAULT_LOCATION,
        session_type=_text(body, "sessionType") or DEFAULT_TYPE,
        title=_text(body, "title"),
        metadata=_metadata(body),
    )
    return Opening(command=command, force_new=take_flag(body, "forceNew"))


def update(body: Mapping[str, Any], if_match: Sequence[str]) -> Update:
    """Return what a PATCH asks for.

    Args:
        if_match: the values of that header, none for none.

    Raises:
        FieldInvalid: a field is unknown or ill-typed; only a title may be null.
    """
    for name in body:
        if name not in _UPDATABLE:
            raise FieldInvalid(name[:64], f"is not one of {', '.join(_UPDATABLE)}")
    return Update(
        title=_text(body, "title") if "title" in body else UNSET,
        metadata=_metadata(body) if "metadata" in body else UNSET,
        location_id=_given_text(body, "locationId"),
        session_type=_given_text(body, "sessionType"),
        status=_status(body),
        expected_version=_version(if_match),
    )


def post(
    body: Mapping[str, Any], keys: Sequence[str], *, message_id: str, reply_id: str
) -> PostMessage:
    """Return what a new message asks for, be it a POST or a websocket's frame.

    Args:
        keys: the values of `Idempotency-Key`, none for none.

    Raises:
        FieldsMissing, FieldInvalid.
    """
    if body.get("content") is None:
        raise FieldsMissing(("content",))
    if len(keys) > 1:
        raise FieldInvalid("Idempotency-Key", "is there more than once")
    return PostMessage(
        message_id=message_id,
        reply_id=reply_id,
        content=_text(body, "content") or "",
        metadata=_metadata(body),
        key=keys[0] if keys else None,
        on_busy=_on_busy(body),
    )


def cancel(body: Mapping[str, Any]) -> CancelReply:
    """Return what a cancel asks for; `replyId` names the reply that is meant, if any."""
    return CancelReply(reply_id=_text(body, "replyId"))


def page_wanted(query: Mapping[str, str]) -> PageWanted:
    """Return which page of messages is asked for; a cursor goes on in the list that it is from.

    Raises:
        FieldInvalid: a number is none, or both lists are asked for at once.
    """
    if "after" in query and "updatedAfter" in query:
        raise FieldInvalid("updatedAfter", "cannot be combined with after")
    start: Start = "updatedAfter" if "updatedAfter" in query else "after"
    after = take_sequence(query, start) or 0
    behind = take_sequence(query, "cursor")
    limit = take_limit(query)
    return PageWanted(start=start, after=after if behind is None else behind, limit=limit)


def _text(body: Mapping[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise FieldInvalid(name, "must be a string")
    return value


def _given_text(body: Mapping[str, Any], name: str) -> str | UnsetType:
    if name not in body:
        return UNSET
    value = _text(body, name)
    if value is None:
        raise FieldInvalid(name, "must be a string")
    return value


def _metadata(body: Mapping[str, Any]) -> Metadata:
    value = body.get("metadata")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise FieldInvalid("metadata", "must be an object")
    return value


def _status(body: Mapping[str, Any]) -> Literal["active", "closed"] | UnsetType:
    match body.get("status", UNSET):
        case "active" | "closed" | UnsetType() as status:
            return status
        case _:
            raise FieldInvalid("status", "must be active or closed")


def _on_busy(body: Mapping[str, Any]) -> OnBusy:
    policy = body.get("onBusy")
    if policy is None:
        return "enqueue"
    if policy not in _ON_BUSY:
        raise FieldInvalid("onBusy", f"must be one of {', '.join(_ON_BUSY)}")
    return cast("OnBusy", policy)


def _version(if_match: Sequence[str]) -> int | None:
    """Return the version that an `If-Match` names; None for any version."""
    if not if_match:
        return None
    text = if_match[0].strip() if len(if_match) == 1 else ""
    if text == "*":
        return None
    match = _ETAG.fullmatch(text)
    return _NO_VERSION if match is None else int(match[1])
