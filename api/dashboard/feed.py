"""Who watches a tenant's sessions, and the bell that tells them to look again.

Laws of this file: ringing never waits. A bell that was rung while nobody listened is heard by the
next who does; however often it was rung meanwhile, it is heard once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio

from engine.errors import TooManySubscribers

_MOST_OF_ONE: Final = 100
_MOST: Final = 10_000


class Bell:
    """One watcher's bell."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = trio.Event()

    def ring(self) -> None:
        self._event.set()

    async def heard(self) -> None:
        """Return once it has been rung since the last time; always a checkpoint."""
        await self._event.wait()
        self._event = trio.Event()


class Feed:
    """All bells, by tenant."""

    def __init__(self) -> None:
        self._bells: dict[str, set[Bell]] = {}
        self._watchers = 0

    def ring(self, tenant_id: str) -> None:
        """Say that something has changed among a tenant's sessions."""
        for bell in self._bells.get(tenant_id, ()):
            bell.ring()

    @contextmanager
    def watch(self, tenant_id: str) -> Iterator[Bell]:
        """Give a bell for the length of a block.

        Raises:
            TooManySubscribers: too many watch already.
        """
        bells = self._bells.setdefault(tenant_id, set())
        if len(bells) >= _MOST_OF_ONE or self._watchers >= _MOST:
            raise TooManySubscribers("the dashboard", limit=_MOST_OF_ONE)
        bell = Bell()
        bells.add(bell)
        self._watchers += 1
        try:
            yield bell
        finally:
            self._watchers -= 1
            bells.discard(bell)
            if not bells and self._bells.get(tenant_id) is bells:
                del self._bells[tenant_id]
