"""The actor: state, and what it does with a message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

if TYPE_CHECKING:
    import trio

    from engine.incarnation import Incarnation
    from engine.ref import ActorRef
    from engine.reply import Reply

StopReason = Literal["stopped", "crashed"]


class _Deferred:
    def __repr__(self) -> str:
        return "DEFERRED"


DEFERRED: Final = _Deferred()
"""What a handler returns for an ask that it has deferred."""


class JobEnded(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended: with a value, with an error, or cancelled."""

    name: str
    value: Any = None
    error: Exception | None = None
    cancelled: bool = False


class Actor:
    """Base of all actors: subclass it, keep state in attributes, answer in `handle`.

    One actor is one task. `handle` is synchronous: a handler cannot wait, so stop, status and lists
    are answered at once whatever is going on. What takes time is a job. Nothing else touches the
    actor's state, and jobs report back as messages; so a handler sees no half-done change.

    The methods below the hooks are for the actor itself, from its handlers and its jobs.
    """

    __slots__ = ("__dict__", "_life")

    _life: Incarnation

    # -- hooks ---------------------------------------------------------------------------------

    async def on_start(self) -> None:
        """Called before the first message, also after a restart; messages wait meanwhile.

        Has `policy.start_timeout_s`, and no more than its grace once a stop has come in. An
        exception is a crash; `on_stop` is called all the same.
        """

    def handle(self, message: Any) -> Any:
        """Do what `message` asks, and return the answer; for a tell the result is dropped.

        Raise a `DomainError` to refuse; anything else that is raised is a crash.
        """
        raise NotImplementedError

    def handle_job_end(self, end: JobEnded) -> None:
        """Called when a job has ended, before all ordinary messages.

        The default makes a failed job a crash of its actor.
        """
        if end.error is not None:
            raise end.error

    async def on_stop(self, reason: StopReason) -> None:
        """Called once after the last message and the last job, also after a crash.

        Runs shielded, with `policy.stop_timeout_s`. What it begins (jobs, timers) ends unheard. Not
        called when the process is killed.
        """

    # -- for the actor itself ------------------------------------------------------------------

    @property
    def ref(self) -> ActorRef:
        """The actor's own ref."""
        return self._life.ref

    @property
    def stopping(self) -> bool:
        """True once a stop has been asked for: what is begun may finish, nothing new is begun."""
        return self._life.stopping

    def defer(self, *, on_gone: Any = None) -> Reply:
        """Answer the ask in hand later, through the `Reply`; then return `DEFERRED`.

        Args:
            on_gone: a message that the actor gets (before ordinary ones) when the asker leaves
                unanswered.

        Once for each message. For a tell the reply exists and goes nowhere. A reply never used ends
        with the asker's deadline, with `ActorStopped` or with `ActorCrashed`.
        """
        return self._life.defer(on_gone)

    def start_job(self, name: str, work: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Run `work(*args)` as a child task; `handle_job_end` hears how it ended.

        Once a stop's grace is over nothing is begun any more: then the call does nothing.

        Raises:
            ValueError: a job of that name is running.
        """
        self._life.start_job(name, work, args)

    def cancel_job(self, name: str) -> bool:
        """Cancel a job; its end still arrives. False when there is none of that name."""
        return self._life.cancel_job(name)

    def set_timer(self, name: str, delay_s: float, message: Any) -> None:
        """Get `message` in `delay_s`, before ordinary ones; replaces a timer of that name."""
        self._life.set_timer(name, delay_s, message)

    def cancel_timer(self, name: str) -> None:
        """Forget a timer; one that is not set is fine."""
        self._life.cancel_timer(name)

    def pause(self) -> None:
        """Take no ordinary message until `resume`; signals, ends of jobs and timers still come.

        For a change that others must not see half done, such as a commit under way.
        """
        self._life.paused = True

    def resume(self) -> None:
        """Take ordinary messages again, from the next one on."""
        self._life.resume()

    def live_within(self, scope: trio.CancelScope) -> None:
        """End at once, as by a stop and for good, when `scope` is cancelled or its deadline passes.

        Once, from `on_start`; the scope is entered when that has returned. `on_stop` is called.
        """
        self._life.span = scope

    def stop(self, *, grace_s: float = 0.0) -> None:
        """End this incarnation, for good unless the policy is PERMANENT.

        `stopping` is true from here on. Jobs get `grace_s` to finish and are then cancelled; the
        message in hand is still handled to its end.
        """
        self._life.stop_myself(grace_s)
