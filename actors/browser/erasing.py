"""Which browser sessions were somebody's: for erasing them on request."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

import msgspec

from actors.browser.place import KIND
from engine.retention import rows
from engine.store import Event, ListQuery, Store

_PAGE: Final = 500


async def sessions_of(store: Store, username: str) -> AsyncGenerator[str, None]:
    """Yield the streams of sessions that were opened under a user name; looks at every one."""
    async with aclosing(rows(store, ListQuery(kind=KIND, limit=_PAGE))) as found:
        async for entry in found:
            page = await store.read(entry.stream, limit=1)
            if page.events and _username_in(page.events[0]) == username:
                yield entry.stream


def _username_in(event: Event) -> Any:
    frame: dict[str, Any] = msgspec.json.decode(event.body)
    return frame.get("data", {}).get("username")
