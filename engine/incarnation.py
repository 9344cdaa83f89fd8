"""One incarnation of an actor: from `build` to `on_stop`.

Laws of this file:
- Control messages (signals, ends of jobs, timers, stop) go before ordinary ones. At most 64
  messages are handled between two checkpoints.
- A nursery exists only while jobs do, inside the actor's own task: no job outlives its actor, and
  an idle actor costs one task.
- What it holds (jobs, timers, deferred replies) ends with it. What the actor was sent stays in the
  inbox, less the message that crashed it. What was meant for an earlier incarnation, and comes
  late, is known by its not being in this one's tables.
"""

from __future__ import annotations

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
from engine.errors import ActorCrashed, ActorStopped, DomainError
from engine.inbox import AskerGone, Request
from engine.jobs import Job, Timer, Work
from engine.reply import Reply

if TYPE_CHECKING:
    from engine.cell import Cell
    from engine.ref import ActorRef

_BATCH: Final = 64


class Stop(msgspec.Struct, frozen=True):
    """Told to the actor from outside: it ends for good."""

    grace_s: float


class _GraceOver:
    """The time for begun work to finish has passed."""


_GRACE_OVER: Final = _GraceOver()


class Incarnation:
    """One life of an actor, in the actor's task."""

    __slots__ = (
        "actor",
        "cell",
        "current",
        "deferred",
        "grace_until",
        "inbox",
        "jobs",
        "nursery",
        "paused",
        "starting",
        "timers",
    )

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.inbox = cell.inbox
        self.actor: Actor | None = None
        self.current: Request | None = None  # the ask in hand, until it is deferred
        self.deferred: dict[Request, AskerGone | None] | None = None
        self.jobs: dict[str, Job] | None = None
        self.timers: dict[str, Timer] | None = None
        self.nursery: trio.Nursery | None = None
        self.paused = False  # ordinary messages wait; what is in the control lane does not
        self.starting: trio.CancelScope | None = None
        self.grace_until: float | None = None  # on trio's clock; None until it is to stop

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
            while self.grace_until is None or self.jobs:
                if self.jobs:
                    await self._serve_with_jobs(actor)
                else:
                    await self._serve(actor)
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
            self.nursery = nursery
            try:
                for job in (self.jobs or {}).values():
                    nursery.start_soon(job.run, self.inbox, name=job.name)
                await self._serve(actor)
            except Exception as caught:
                crash = caught
                # Each by its own scope, so that what goes wrong then is that job's error and does
                # not take the place of the crash.
                self._cancel_jobs()
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

    def _answer(self, actor: Actor, request: Request) -> None:
        if request.task is None:  # the asker has left: never begun
            return
        if request.place is not None:  # forwarded: its leaving is this actor's own matter now
            del request.place[request]
            request.place = None
        self.current = request
        try:
            answer = _handle(actor, request.message)
        except DomainError as refusal:
            if self._still_has(request):
                request.fail(refusal)
        except Exception as crash:
            if self._still_has(request):
                request.fail(self._crashed(crash))
            raise
        else:
            if answer is DEFERRED:
                if self.current is request:
                    raise TypeError(f"{actor!r} returned DEFERRED and has not deferred")
            elif self.current is request or self._still_has(request):
                request.answer(answer)
        self.current = None

    def _still_has(self, request: Request) -> bool:
        """False once the handler has passed the ask on to another actor."""
        return self.current is request or request.place is not None

    def _deliver(self, actor: Actor, message: Any) -> None:
        try:
            _handle(actor, message)
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
                self._answer(actor, message)
            case Stop():
                self._stop(message.grace_s, final=True)
            case _:
                self._deliver(actor, message)

    def _handle_job_end(self, actor: Actor, job: Job) -> None:
        if self.jobs is not None and self.jobs.get(job.name) is job and job.end is not None:
            del self.jobs[job.name]
            _handle_job_end(actor, job.end)

    def _handle_timer(self, actor: Actor, timer: Timer) -> None:
        # One that was cancelled or replaced after it fired is no longer in the table.
        if self.timers is not None and self.timers.get(timer.name) is timer:
            del self.timers[timer.name]
            if timer.message is _GRACE_OVER:
                self._cancel_jobs()
            else:
                self._deliver(actor, timer.message)

    # -- for the actor itself ------------------------------------------------------------------

    def defer(self, on_gone: Any) -> Reply:
        request = self.current
        if request is None:
            return Reply(None)
        if self.deferred is None:
            self.deferred = {}
        gone = None
        if on_gone is not None:
            gone = AskerGone(on_gone, self.inbox.number_leaving(), holder=self)
        self.deferred[request] = gone
        request.place = self.deferred
        self.current = None
        return Reply(request)

    def start_job(self, name: str, work: Work, args: tuple[Any, ...]) -> None:
        if self.jobs is None:
            self.jobs = {}
        if name in self.jobs:
            raise ValueError(f"{self.inbox.address} already runs a job named {name!r}")
        if self.grace_until is not None and self.grace_until <= trio.current_time():
            return
        job = self.jobs[name] = Job(name, work, args)
        if self.nursery is not None:
            self.nursery.start_soon(job.run, self.inbox, name=name)

    def cancel_job(self, name: str) -> bool:
        job = (self.jobs or {}).get(name)
        if job is not None:
            job.scope.cancel()
        return job is not None

    def set_timer(self, name: str, delay_s: float, message: Any) -> None:
        self.cancel_timer(name)
        if self.timers is None:
            self.timers = {}
        bucket = self.cell.supervisor.deadlines.bucket(trio.current_time() + delay_s)
        self.timers[name] = Timer(name, message, self.inbox, bucket)

    def resume(self) -> None:
        self.paused = False
        self.inbox.wake()

    def cancel_timer(self, name: str) -> None:
        timer = (self.timers or {}).pop(name, None)
        if timer is not None:
            timer.cancel()

    # -- ending --------------------------------------------------------------------------------

    def stop_myself(self, grace_s: float) -> None:
        """Begin to stop now; a PERMANENT actor keeps its inbox, and is started again."""
        self._stop(grace_s, final=not self.cell.policy.restarts_after(None))

    def _stop(self, grace_s: float, *, final: bool) -> None:
        """Begin nothing more from now on; jobs have until the earliest grace that was named."""
        if final:
            self.inbox.close()
        until = trio.current_time() + grace_s
        if self.grace_until is not None and self.grace_until <= until:
            return
        self.grace_until = until
        if grace_s > 0:
            self.set_timer("engine.grace", grace_s, _GRACE_OVER)
        else:
            self._cancel_jobs()

    def hurry(self, grace_s: float) -> None:
        """A stop has come in: let an `on_start` under way end within its grace."""
        if self.starting is not None:
            until = trio.current_time() + grace_s
            self.starting.deadline = min(self.starting.deadline, until)

    def _cancel_jobs(self) -> None:
        for job in (self.jobs or {}).values():
            job.scope.cancel()

    async def _clean_up(self, crash: Exception | None) -> None:
        try:
            if self.actor is not None and type(self.actor).on_stop is not Actor.on_stop:
                await self._call_on_stop(self.actor, crash)
        finally:
            for timer in (self.timers or {}).values():
                timer.cancel()
            self._report_lost_ends()
            self._fail_replies(crash)

    async def _call_on_stop(self, actor: Actor, crash: Exception | None) -> None:
        deadline = trio.current_time() + self.cell.policy.stop_timeout_s
        with trio.CancelScope(shield=True, deadline=deadline) as scope:
            try:
                await actor.on_stop("stopped" if crash is None else "crashed")
            except Exception as error:
                self.cell.report("on_stop failed", error)
        if scope.cancelled_caught:
            self.cell.report("on_stop took too long", None)

    def _report_lost_ends(self) -> None:
        """Errors of jobs that a crash has ended are nobody's answer, and must not be lost."""
        for job in (self.jobs or {}).values():
            if job.end is not None and job.end.error is not None:
                self.cell.report(f"job {job.name} failed as it was ended", job.end.error)

    def _fail_replies(self, crash: Exception | None) -> None:
        """Nobody is left waiting for an answer that cannot come any more."""
        left = tuple(self.deferred or ())
        if self.current is not None:
            left += (self.current,)
        for request in left:
            stopped = ActorStopped(self.inbox.address, request.message)
            request.fail(stopped if crash is None else self._crashed(crash))

    def _crashed(self, crash: Exception) -> ActorCrashed:
        error = ActorCrashed(self.inbox.address)
        error.__cause__ = crash
        return error


# A cell is protected against KeyboardInterrupt, so that no message gets lost between its inbox and
# its handler; a handler is not, so that one that never ends can be interrupted.


@disable_ki_protection
def _handle(actor: Actor, message: Any) -> Any:
    return actor.handle(message)


@disable_ki_protection
def _handle_job_end(actor: Actor, end: Any) -> None:
    actor.handle_job_end(end)
