"""Jobs, timers and the other things that an actor holds, and that end with its incarnation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import trio

from engine.actor import JobEnded

if TYPE_CHECKING:
    from engine.deadlines import Bucket
    from engine.inbox import Inbox

Work = Callable[..., Awaitable[Any]]


class Job:
    """A child task of an actor, cancellable by name; its end is a message."""

    __slots__ = ("args", "name", "scope", "work")

    def __init__(self, name: str, work: Work, args: tuple[Any, ...]) -> None:
        self.name = name
        self.work = work
        self.args = args
        self.scope = trio.CancelScope()

    async def run(self, inbox: Inbox) -> None:
        value, error = None, None
        with self.scope:
            try:
                value = await self.work(*self.args)
            except Exception as caught:
                error = caught
        cancelled = self.scope.cancelled_caught
        inbox.signal(JobEnded(name=self.name, value=value, error=error, cancelled=cancelled))


class Timer:
    """Puts itself into its actor's control lane when it is due."""

    __slots__ = ("bucket", "inbox", "message", "name")

    def __init__(self, name: str, message: Any, inbox: Inbox) -> None:
        self.name = name
        self.message = message
        self.inbox = inbox
        self.bucket: Bucket | None = None

    def expire(self) -> None:
        self.inbox.signal(self)

    def cancel(self) -> None:
        if self.bucket is not None:
            self.bucket.pop(self, None)
