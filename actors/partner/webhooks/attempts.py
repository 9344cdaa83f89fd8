"""The attempts at one endpoint, in pages: the newest delivery first, of each the newest attempt.

They are read from the catalogue and wake nobody. A cursor names the last attempt that was given, so
that attempts made meanwhile are neither repeated nor put before anything twice.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import msgspec

from actors.partner.webhooks.delivery import Attempt
from actors.partner.webhooks.delivery_decider import (
    ENDPOINT_TAG,
    KIND,
    DeliverySummary,
    decode_summary,
)
from engine.errors import CursorInvalid
from engine.store import ListQuery, Store

_ATTEMPT_ID: Final = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([1-9][0-9]{0,5})")


class ListedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, and the delivery that it belongs to."""

    delivery: DeliverySummary
    attempt: Attempt

    @property
    def id(self) -> str:
        return f"{self.delivery.id}.{self.attempt.number}"


class AttemptPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of attempts; `next_cursor` is None on the last one."""

    attempts: tuple[ListedAttempt, ...]
    next_cursor: str | None


class _Place(msgspec.Struct, frozen=True, array_like=True):
    """Behind which attempt to go on, and the page of deliveries that it was on."""

    page: str | None
    delivery_id: str
    number: int


def delivery_of(attempt_id: str) -> str | None:
    """Return the delivery that an attempt belongs to; None for what is no attempt's id."""
    match = _ATTEMPT_ID.fullmatch(attempt_id)
    return None if match is None else match[1]


async def read_attempts(
    store: Store, *, tenant_id: str, endpoint_id: str, limit: int, cursor: str | None
) -> AttemptPage:
    """Return a page of the attempts at an endpoint.

    Raises:
        CursorInvalid: the cursor is not one of this list.
    """
    place = None if cursor is None else _read(cursor)
    query = ListQuery(
        kind=KIND,
        owner=tenant_id,
        tags={ENDPOINT_TAG: endpoint_id},
        limit=limit,
        cursor=None if place is None else place.page,
    )
    found: list[ListedAttempt] = []
    last: _Place | None = None
    async with aclosing(_listed(store, query, place)) as attempts:
        async for page, listed in attempts:
            if last is not None and len(found) == limit:
                return AttemptPage(attempts=tuple(found), next_cursor=_write(last))
            found.append(listed)
            last = _Place(page, listed.delivery.id, listed.attempt.number)
    return AttemptPage(attempts=tuple(found), next_cursor=None)


async def _listed(
    store: Store, query: ListQuery, behind: _Place | None
) -> AsyncGenerator[tuple[str | None, ListedAttempt], None]:
    """Yield the attempts behind a place, each with the cursor of the page that it is on."""
    while True:
        listing = await store.list_rows(query)
        for entry in listing.entries:
            delivery = decode_summary(entry.row.summary)
            first = len(delivery.attempts)
            if behind is not None:
                if delivery.id != behind.delivery_id:
                    continue
                first, behind = behind.number - 1, None
            for attempt in reversed(delivery.attempts[:first]):
                yield query.cursor, ListedAttempt(delivery=delivery, attempt=attempt)
        if listing.next_cursor is None:
            return
        query = msgspec.structs.replace(query, cursor=listing.next_cursor)


def _write(place: _Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _read(cursor: str) -> _Place:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        return msgspec.json.decode(raw, type=_Place)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise CursorInvalid from None
