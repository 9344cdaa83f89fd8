"""Callers of a harbor's registry, each in a task of its own."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from tests.engine.harbor import NoBerth, OpenHarbor


class Caller:
    """Asks one thing in a task of its own; its end, whatever it is, can be looked at."""

    def __init__(self, harbor: OpenHarbor, message: Any) -> None:
        self._harbor = harbor
        self._message = message
        self.scope = trio.CancelScope()
        self.answer: Any = None
        self.error: Exception | None = None
        self.ended_at: float | None = None

    async def run(self) -> None:
        with self.scope:
            try:
                self.answer = await self._harbor.ask(self._message)
            except Exception as error:
                self.error = error
            self.ended_at = trio.current_time()

    @property
    def why(self) -> str:
        assert isinstance(self.error, NoBerth), self.error
        return self.error.why


async def call(nursery: trio.Nursery, harbor: OpenHarbor, *messages: Any) -> list[Caller]:
    """Let each message be asked for, in this order; returns when all that can be done is done."""
    callers = []
    for message in messages:
        callers.append(Caller(harbor, message))
        nursery.start_soon(callers[-1].run)
        await wait_all_tasks_blocked()
    return callers
