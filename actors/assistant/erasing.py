"""Which conversations are somebody's: for erasing them on request."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import msgspec

from actors.assistant.decider import KIND, owner_of
from engine.retention import rows
from engine.store import ListQuery, Store

_PAGE: Final = 500


async def conversations_of(
    store: Store, user_id: str, business_id: str | None
) -> AsyncGenerator[str, None]:
    """Yield the streams of a user's conversations, with one business or with any.

    Any means to look at every conversation there is.
    """
    owner = None if business_id is None else owner_of(business_id, user_id)
    async with aclosing(rows(store, ListQuery(kind=KIND, owner=owner, limit=_PAGE))) as found:
        async for entry in found:
            if owner is not None or _user_of(entry.row.owner) == user_id:
                yield entry.stream


def _user_of(owner: str) -> str:
    _, user_id = msgspec.json.decode(owner, type=tuple[str, str])
    return user_id
