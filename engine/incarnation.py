"""One incarnation of an actor: from `build` to `on_stop`.

Laws of this file:
- Control messages (signals, ends of jobs, timers, stop) go before ordinary ones. At most 64
  messages are handled between two checkpoints.
- A nursery exists only while jobs do, inside the actor's own task: no job outlives its actor, and
  an idle actor costs one task.
- A crash ends what the incarnation holds, and nothing that the actor was sent: the inbox stays for
  the next one, less the message that crashed this one.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio
from trio.lowlevel import (
    checkpoint,
    current_task,
    disable_ki_protection,
    wait_task_rescheduled,
)

from engine.actor import DEFERRED, Actor
from engine.errors import DomainError
from engine.holdings import Holdings
from engine.jobs import Job, Timer
from engine.request import AskerGone, Request

if TYPE_CHECKING:
    from engine.cell import Cell
    from engine.ref import ActorRef

_BATCH: Final = 64


class Stop(msgspec.Struct, frozen=True):
    """Told to the actor from outside: it ends for good."""

    until: float  # on trio's clock: what is begun may finish till then


class _GraceOver:
    """The time for begun work to finish has passed."""


_GRACE_OVER: Final = _GraceOver()


class Incarnation(Holdings):
    """One life of an actor, in the actor's task."""

    __slots__ = ("actor", "paused", "span", "starting")

    def __init__(self, cell: Cell) -> None:
        super().__init__(cell)
        self.actor: Actor | None = None
        self.starting: trio.CancelScope | None = None  # while `on_start` runs
        self.span: trio.CancelScope | None = None  # whose, if any, end is this one's end
        self.paused = False  # ordinary messages wait; what is in the control lane does not

    @property
    def ref(self) -> ActorRef:
        return self.cell.ref

    @property
    def stopping(self) -> bool:
        return self.grace_until is not None

    # -- the task ------------------------------------------------------------------------------

    async def live(self) -> Exception | None:
        """Start, serve, clean up; return the crash that ended it, None when it was stopped."""
        crash: Exception | None = None
        try:
            actor = self.actor = self.cell.build()
            actor._life = self
            await self._start(actor)
            with self.span or nullcontext():
                while self.grace_until is None or self.jobs:
                    if self.jobs:
                        await self._serve_with_jobs(actor)
                    else:
                        await self._serve(actor)
            if self.span is not None and self.span.cancelled_caught:
                self.inbox.close()  # as by a stop, for good
        except Exception as caught:
            crash = caught
        finally:
            await self._clean_up(crash)
        return crash

    async def _start(self, actor: Actor) -> None:
        if type(actor).on_start is Actor.on_start:
            return
        deadline = trio.current_time() + self.cell.policy.start_timeout_s
        with trio.CancelScope(deadline=deadline) as self.starting:
            await actor.on_start()
        if self.starting.cancelled_caught:
            if not self.cell.stop_is_in():
                raise trio.TooSlowError
            self.inbox.close()
            self.grace_until = trio.current_time()
            self.jobs = None  # none has begun
        self.starting = None

    async def _serve_with_jobs(self, actor: Actor) -> None:
        crash: Exception | None = None
        async with trio.open_nursery() as nursery:
            try:
                self.start_jobs_in(nursery)
                await self._serve(actor)
            except Exception as caught:
                crash = caught
                # Each by its own scope, so that what goes wrong then is that job's error and does
                # not take the place of the crash.
                self.cancel_jobs()
            finally:
                self.nursery = None
        if crash is not None:
            raise crash

    async def _serve(self, actor: Actor) -> None:
        """Handle messages until a stop is asked for, or the last job ends, or the first starts."""
        inbox = self.inbox
        entry: Any
        task = current_task()
        had_jobs = bool(self.jobs)
        while True:
            for _ in range(_BATCH):
                if inbox.control:
                    self._handle_control(actor, inbox.control.popleft())
                elif inbox.lane and not self.paused and self.grace_until is None:
                    entry = inbox.lane.popleft()
                    if inbox.senders:
                        inbox.admit()
                    if type(entry) is Request:
                        self.current = entry
                        self._answer(actor, entry)
                    else:
                        self._deliver(actor, entry)
                else:
                    break
                stopped = self.grace_until is not None and not self.jobs
                if bool(self.jobs) is not had_jobs or stopped:
                    return
            else:
                await checkpoint()
                continue
            entry = None  # an idle actor keeps no message alive
            await wait_task_rescheduled(inbox.park(task))

    # A cell is protected against KeyboardInterrupt, so that nobody is left waiting for what was
    # half done; what calls a handler is not, so that one that never ends can be interrupted.
    @disable_ki_protection
    def _answer(self, actor: Actor, request: Request) -> None:
        """Begin `self.current`."""
        if request.task is None:  # the asker has left: never begun
            self.current = None
            return
        if request.place is not None:  # forwarded: its leaving is this actor's own matter now
            del request.place[request]
            request.place = None
        try:
            answer = actor.handle(request.message)
        except DomainError as refusal:
            if self.still_has(request):
                request.fail(refusal)
        except Exception as crash:
            if self.still_has(request):
                request.fail(self.crashed(crash))
            raise
        else:
            if answer is DEFERRED:
                if self.current is request:
                    raise TypeError(f"{actor!r} returned DEFERRED and has not deferred")
            elif self.still_has(request):
                request.answer(answer)
        self.current = None

    @disable_ki_protection
    def _deliver(self, actor: Actor, message: Any) -> None:
        try:
            actor.handle(message)
        except DomainError:
            # A refusal without an asker: there is nobody to tell.
            return

    def _handle_control(self, actor: Actor, message: Any) -> None:
        match message:
            case Job():
                self._handle_job_end(actor, message)
            case Timer():
                self._handle_timer(actor, message)
            case AskerGone():
                if message.holder is None or message.holder is self:
                    self._deliver(actor, message.message)
            case Request():
                self.current = message
                self._answer(actor, message)
            case Stop():
                self._stop(message.until, final=True)
            case _:
                self._deliver(actor, message)

    @disable_ki_protection
    def _handle_job_end(self, actor: Actor, job: Job) -> None:
        if self.take_job(job) and job.end is not None:
            actor.handle_job_end(job.end)

    def _handle_timer(self, actor: Actor, timer: Timer) -> None:
        if not self.take_timer(timer):
            return
        if timer.message is _GRACE_OVER:
            self.cancel_jobs()
        else:
            self._deliver(actor, timer.message)

    def resume(self) -> None:
        self.paused = False
        self.inbox.wake()

    # -- ending --------------------------------------------------------------------------------

    def stop_myself(self, grace_s: float) -> None:
        """Begin to stop now; a PERMANENT actor keeps its inbox, and is started again."""
        until = trio.current_time() + grace_s
        self._stop(until, final=not self.cell.policy.restarts_after(None))

    def _stop(self, until: float, *, final: bool) -> None:
        """Begin nothing more from now on; jobs have until the earliest `until` that was named."""
        if final:
            self.inbox.close()
        if self.grace_until is not None and self.grace_until <= until:
            return
        self.grace_until = until
        left_s = until - trio.current_time()
        if left_s > 0:
            self.set_timer("engine.grace", left_s, _GRACE_OVER)
        else:
            self.cancel_jobs()

    def hurry(self, until: float) -> None:
        """A stop has come in: let an `on_start` under way end within its grace."""
        if self.starting is not None:
            self.starting.deadline = min(self.starting.deadline, until)

    async def _clean_up(self, crash: Exception | None) -> None:
        try:
            if self.actor is not None and type(self.actor).on_stop is not Actor.on_stop:
                await self._call_on_stop(self.actor, crash)
        finally:
            self.let_go(crash)

    async def _call_on_stop(self, actor: Actor, crash: Exception | None) -> None:
        deadline = trio.current_time() + self.cell.policy.stop_timeout_s
        with trio.CancelScope(shield=True, deadline=deadline) as scope:
            try:
                await actor.on_stop("stopped" if crash is None else "crashed")
            except Exception as error:
                self.cell.report("on_stop_failed", error)
        if scope.cancelled_caught:
            self.cell.report("on_stop_timed_out", None)
