"""Timers that survive: what is due in the catalogue is woken, in memory or not.

A session that wants to be woken says so in its catalogue row (`due_at_ms`); that is durable with
the rest of its commit. One task looks for what is due, so a timer fires after a restart too, and
for actors that have left memory. An actor in memory keeps its own, exact timer beside it.

Guarantees: what is due is woken within `every_s` of its time, or of the start that comes after it;
while it stays due it is woken again each `again_s`, so a wake that failed is not the last.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, TypeAlias

import structlog
import trio

from engine.clock import Clock
from engine.errors import MooringError, StoreError
from engine.store import Due, Store, milliseconds

# Wakes the session of an id; raises a MooringError when it could not.
WakeOne: TypeAlias = Callable[[str], Awaitable[None]]

_log = structlog.get_logger("mooring.waker")
_AT_ONCE: Final = 16
_REMEMBERED: Final = 100_000


class Waker:
    """Wakes what is due of the kinds that have been given to it; made by `open_waker`."""

    def __init__(self, store: Store, clock: Clock, *, every_s: float, again_s: float) -> None:
        self._store = store
        self._clock = clock
        self._every_s = every_s
        self._again_s = again_s
        self._kinds: dict[str, WakeOne] = {}
        self._woken: dict[Due, float] = {}  # when each was woken last, the earliest first
        self._limit = trio.CapacityLimiter(_AT_ONCE)
        self._news = trio.Event()

    @contextmanager
    def waking(self, kind: str, wake: WakeOne) -> Iterator[None]:
        """Wake what is due of `kind` for the length of a block."""
        self._kinds[kind] = wake
        self._news.set()
        try:
            yield
        finally:
            del self._kinds[kind]

    async def run(self) -> None:
        """Look for what is due, until cancelled."""
        while True:
            self._news = trio.Event()
            try:
                await self.wake_due()
            except StoreError as error:
                _log.warning("due_unknown", cause=str(error))
            with trio.move_on_after(self._every_s):
                await self._news.wait()

    async def wake_due(self) -> None:
        """Wake all that is due now and was not woken lately; returns when all has been tried."""
        before_ms = milliseconds(self._clock.now())
        last: Due | None = None
        while page := await self._store.due(before_ms, after=last):
            async with trio.open_nursery() as nursery:
                for due in page:
                    if self._is_wanted(due):
                        nursery.start_soon(self._wake, due)
            last = page[-1]

    def _is_wanted(self, due: Due) -> bool:
        now = trio.current_time()
        if due.stream.partition("/")[0] not in self._kinds:
            return False
        if now < self._woken.get(due, -self._again_s) + self._again_s:
            return False
        self._woken.pop(due, None)
        self._woken[due] = now
        self._forget(now)
        return True

    def _forget(self, now: float) -> None:
        """Drop what would be woken again anyway, and the oldest beyond the bound."""
        while self._woken:
            oldest = next(iter(self._woken))
            if now - self._woken[oldest] < self._again_s and len(self._woken) <= _REMEMBERED:
                return
            del self._woken[oldest]

    async def _wake(self, due: Due) -> None:
        kind, _, id_ = due.stream.partition("/")
        async with self._limit:
            wake = self._kinds.get(kind)
            if wake is None:
                return
            try:
                await wake(id_)
            except MooringError as error:
                _log.warning("not_woken", actor=due.stream, cause=str(error))


@asynccontextmanager
async def open_waker(
    store: Store, clock: Clock, *, every_s: float = 1.0, again_s: float = 30.0
) -> AsyncIterator[Waker]:
    """Run a waker for the length of a block.

    Args:
        every_s: how often it looks.
        again_s: after how long what is still due is woken again.
    """
    waker = Waker(store, clock, every_s=every_s, again_s=again_s)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waker.run, name="waker")
        yield waker
        nursery.cancel_scope.cancel()
