"""Jobs and timers: what an actor begins, and what ends with its incarnation."""

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
    """A child task of an actor, cancellable by name; puts itself into the inbox when it ends."""

    __slots__ = ("args", "end", "name", "scope", "work")

    def __init__(self, name: str, work: Work, args: tuple[Any, ...]) -> None:
        self.name = name
        self.work = work
        self.args = args
        self.scope = trio.CancelScope()
        self.end: JobEnded | None = None

    async def run(self, inbox: Inbox) -> None:
        value, error = None, None
        try:
            # Inside the try: what is left of a group, once the scope has taken the cancellation
            # out of it, is an error like any other.
            with self.scope:
                value = await self.work(*self.args)
        except Exception as caught:
            error = caught
        cancelled = error is None and self.scope.cancelled_caught
        self.end = JobEnded(name=self.name, value=value, error=error, cancelled=cancelled)
        inbox.signal(self)


class Timer:
    """Puts itself into its actor's control lane when it is due."""

    __slots__ = ("bucket", "inbox", "message", "name")

    def __init__(self, name: str, message: Any, inbox: Inbox, bucket: Bucket) -> None:
        self.name = name
        self.message = message
        self.inbox = inbox
        self.bucket = bucket
        bucket[self] = None

    def expire(self) -> None:
        self.inbox.signal(self)

    def cancel(self) -> None:
        self.bucket.pop(self, None)
