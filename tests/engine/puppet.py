"""An actor for tests that does what its messages say, and remembers what befell it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from engine import Actor, ActorPolicy, ActorRef, DomainError, JobEnded, StopReason, Supervisor

Deed = Callable[["Puppet"], Any]


class Refusal(DomainError):
    """The puppet's own no."""


class Accident(Exception):
    """What a puppet crashes with."""


def accident() -> None:
    raise Accident


class Puppet(Actor):
    """A message that is a function is done and its result is the answer; any other is echoed.

    Args:
        diary: what happened, over all incarnations.
        on_start, on_stop: what to await then.
        on_job_end: what to do with a job's end instead of the default.
    """

    def __init__(
        self,
        diary: list[Any] | None = None,
        *,
        on_start: Callable[[Puppet], Awaitable[Any]] | None = None,
        on_stop: Callable[[Puppet], Awaitable[Any]] | None = None,
        on_job_end: Callable[[Puppet, JobEnded], Any] | None = None,
    ) -> None:
        self.diary = [] if diary is None else diary
        self._on_start = on_start
        self._on_stop = on_stop
        self._on_job_end = on_job_end

    async def on_start(self) -> None:
        self.diary.append("start")
        if self._on_start is not None:
            await self._on_start(self)

    def handle(self, message: Deed | Any) -> Any:
        if callable(message):
            return message(self)
        self.diary.append(message)
        return message

    def handle_job_end(self, end: JobEnded) -> None:
        self.diary.append(end)
        if self._on_job_end is None:
            super().handle_job_end(end)
        else:
            self._on_job_end(self, end)

    async def on_stop(self, reason: StopReason) -> None:
        self.diary.append(reason)
        if self._on_stop is not None:
            await self._on_stop(self)


def spawn(
    supervisor: Supervisor,
    diary: list[Any] | None = None,
    *,
    address: str = "puppet/1",
    policy: ActorPolicy | None = None,
    watcher: ActorRef | None = None,
    **hooks: Any,
) -> ActorRef:
    """Spawn a puppet that keeps its diary through restarts."""
    diary = [] if diary is None else diary
    return supervisor.spawn(
        lambda: Puppet(diary, **hooks), address, policy=policy or ActorPolicy(), watcher=watcher
    )


async def settled(ref: ActorRef, *, timeout_s: float = 60.0) -> None:
    """Return when everything that was sent to `ref` before has been handled."""
    await ref.ask(lambda _: None, timeout_s=timeout_s)


def sleeping(seconds: float) -> Callable[[Puppet], Awaitable[None]]:
    """A hook that takes that long."""

    async def sleep(_: Puppet) -> None:
        await trio.sleep(seconds)

    return sleep
