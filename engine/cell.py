"""What keeps an actor at its address: its one task, from incarnation to incarnation, to its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec
import trio
from trio.lowlevel import current_task, enable_ki_protection, wait_task_rescheduled

from engine.actor import Actor, StopReason
from engine.errors import RestartLimitReached
from engine.inbox import Inbox
from engine.incarnation import Incarnation, Stop
from engine.policy import ActorPolicy, RestartHistory
from engine.ref import ActorRef

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

Build = Callable[[], Actor]
_LIFE: Final = "Cell.run"


class ActorEnded(msgspec.Struct, frozen=True, kw_only=True):
    """Sent to an actor's watcher, as a signal, when it has ended for good."""

    address: str
    reason: StopReason
    error: BaseException | None = None


class Cell:
    """One actor's place in a supervisor; lives through its restarts."""

    __slots__ = (
        "build",
        "ended",
        "inbox",
        "life",
        "policy",
        "ref",
        "restarts",
        "supervisor",
        "watcher",
    )

    def __init__(
        self,
        build: Build,
        *,
        inbox: Inbox,
        ref: ActorRef,
        policy: ActorPolicy,
        supervisor: Supervisor,
        watcher: ActorRef | None,
    ) -> None:
        self.build = build
        self.inbox = inbox
        self.ref = ref
        self.policy = policy
        self.supervisor = supervisor
        self.watcher = watcher
        self.life: Incarnation | None = None
        self.restarts: RestartHistory | None = None
        self.ended: trio.Event | None = None

    @enable_ki_protection
    async def run(self) -> None:
        """Live until stopped, or crashed once too often."""
        crash: Exception | None = None
        try:
            while not self.stop_is_in():
                self.life = Incarnation(self)
                crash = await self.life.live()
                self.life = None
                if crash is not None:
                    self.supervisor.count_crash()
                    self.report("actor_crashed", crash)
                if self.inbox.closed or not self.policy.restarts_after(crash):
                    break
                delay_s = self._delay_before_restart()
                if delay_s is None:
                    crash = self._limit_reached(crash)
                    break
                await self._back_off(delay_s)
        finally:
            self._end(crash)

    def _end(self, crash: Exception | None) -> None:
        self.inbox.end()
        self.supervisor.forget(self)
        if self.ended is not None:
            self.ended.set()
        if self.watcher is not None:
            reason: StopReason = "stopped" if crash is None else "crashed"
            address = self.inbox.address
            self.watcher.signal(ActorEnded(address=address, reason=reason, error=crash))

    def ask_to_stop(self, grace_s: float) -> None:
        """Begin to stop, for good, before the next ordinary message is handled."""
        until = trio.current_time() + grace_s
        self.inbox.signal(Stop(until))
        if self.life is not None:
            self.life.hurry(until)

    def stop_is_in(self) -> bool:
        """True when a stop waits in the inbox that no incarnation has handled."""
        return any(isinstance(entry, Stop) for entry in self.inbox.control or ())

    def report(self, event: str, error: BaseException | None, **fields: str) -> None:
        """Log what happened to this actor."""
        self.supervisor.report(event, error, actor=self.inbox.address, **fields)

    # -- restarting ----------------------------------------------------------------------------

    def _delay_before_restart(self) -> float | None:
        if self.restarts is None:
            self.restarts = RestartHistory()
        jitter = self.supervisor.clock.jitter()
        return self.restarts.next_delay(self.policy, trio.current_time(), jitter)

    def _limit_reached(self, crash: Exception | None) -> RestartLimitReached:
        policy = self.policy
        limit = RestartLimitReached(
            self.inbox.address, policy.max_restarts, policy.restart_window_s
        )
        limit.__cause__ = crash
        self.supervisor.escalate(limit)
        return limit

    async def _back_off(self, delay_s: float) -> None:
        """Wait, unless a stop comes in first."""
        self.supervisor.count_restart()
        task = current_task()
        with trio.move_on_after(delay_s):
            while not self.stop_is_in():
                await wait_task_rescheduled(self.inbox.park(task))


def current_actor() -> str | None:
    """Return the address of the actor in whose task, or in whose job, this is called.

    None outside of every actor, and in a thread. It walks up the tree of tasks: for logs, not for
    the hot path.
    """
    try:
        task = trio.lowlevel.current_task()
    except RuntimeError:
        return None
    here: trio.lowlevel.Task | None = task
    while here is not None:
        if getattr(here.coro, "__qualname__", "") == _LIFE:
            return here.name
        here = None if here.parent_nursery is None else here.parent_nursery.parent_task
    return None
