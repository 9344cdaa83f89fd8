"""The server's life from the door's side: starting, serving, draining, cut off.

Laws of this file: it only moves forward; beginning the drain twice is beginning it once.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Awaitable, Callable, Iterator
from typing import Literal, TypeAlias, TypeVar

import trio

from api.errors import ServerStopping

Phase: TypeAlias = Literal["starting", "serving", "draining"]
_T = TypeVar("_T")


class Drain:
    """Knows whether new work is welcome, and can cut off what is still running."""

    def __init__(self) -> None:
        self._phase: Phase = "starting"
        self._begun = trio.Event()
        self._begun_at = math.inf
        self._is_cut = False
        self._running: set[trio.CancelScope] = set()
        self._endless: set[trio.CancelScope] = set()

    @property
    def phase(self) -> Phase:
        return self._phase

    def serve(self) -> None:
        """Say that the doors are open; too late once the drain has begun."""
        if self._phase == "starting":
            self._phase = "serving"

    def begin(self) -> None:
        """Take no new connections; what is running may finish."""
        if self._phase != "draining":
            self._phase = "draining"
            self._begun_at = trio.current_time()
            self._begun.set()
            for scope in self._endless:
                scope.cancel()

    def cut(self) -> None:
        """End every request that still runs with `ServerStopping`, and every later one at once."""
        self.begin()
        self._is_cut = True
        for scope in self._running:
            scope.cancel()

    async def wait_begun(self) -> None:
        await self._begun.wait()

    @contextlib.contextmanager
    def until_begun(self) -> Iterator[trio.CancelScope]:
        """Run a block that has no end of its own, such as a live stream, until the drain begins."""
        with trio.CancelScope() as scope:
            self._endless.add(scope)
            if self._phase == "draining":
                scope.cancel()
            try:
                yield scope
            finally:
                self._endless.discard(scope)

    def deadline(self, within_s: float) -> float:
        """Return the time, on trio's clock, that is `within_s` after the drain's beginning."""
        return self._begun_at + within_s

    async def run(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Await `work()` and return what it returns, unless it is cut off.

        Raises:
            ServerStopping: it was still running when the drain's deadline passed.
        """
        with trio.CancelScope() as scope:
            self._running.add(scope)
            if self._is_cut:
                scope.cancel()
            try:
                return await work()
            finally:
                self._running.discard(scope)
        raise ServerStopping("It was still running when the server had to go; call again")
