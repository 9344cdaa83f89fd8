"""What runs an actor: its one task, its jobs, its timers, its restarts.

Laws of this file:
- Control messages (signals, ends of jobs, timers, stop) go before ordinary ones. At most 64
  messages are handled between two checkpoints.
- A nursery exists only while jobs do, inside the actor's own task: no job outlives its actor, and
  an idle actor costs one task.
- A crash ends what the actor held (jobs, timers, deferred replies) and nothing that it was sent:
  the inbox stays for the next incarnation, less the message that crashed it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
import outcome
import trio
from trio.lowlevel import checkpoint, current_task, wait_task_rescheduled

from engine.actor import DEFERRED, Actor, JobEnded, StopReason
from engine.errors import ActorCrashed, ActorStopped, DomainError, RestartLimitReached
from engine.inbox import AskerGone, Inbox, Request
from engine.jobs import Job, Timer, Work
from engine.policy import ActorPolicy, Restart
from engine.ref import ActorRef
from engine.reply import Reply

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

_BATCH: Final = 64

Build = Callable[[], Actor]


class ActorEnded(msgspec.Struct, frozen=True, kw_only=True):
    """Sent to an actor's watcher, as a signal, when it has ended for good."""

    address: str
    reason: StopReason
    error: BaseException | None = None


class _Stop(msgspec.Struct, frozen=True):
    grace_s: float
    final: bool  # False: an actor's own wish, after which a PERMANENT one is started again


class _GraceOver:
    """The time for begun work to finish has passed."""


_GRACE_OVER: Final = _GraceOver()
_OWN: Final = (JobEnded, Timer, AskerGone)  # what in the control lane belongs to one incarnation


class Cell:
    """One actor's place in a supervisor; lives through its restarts."""

    __slots__ = (
        "actor",
        "build",
        "current",
        "deferred",
        "ended",
        "inbox",
        "jobs",
        "nursery",
        "policy",
        "ref",
        "restarts",
        "stopping",
        "supervisor",
        "timers",
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
        self.actor: Actor | None = None
        self.build = build
        self.inbox = inbox
        self.ref = ref
        self.policy = policy
        self.supervisor = supervisor
        self.watcher = watcher
        self.current: Request | None = None
        self.deferred: dict[Request, Any] | None = None
        self.jobs: dict[str, Job] | None = None
        self.timers: dict[str, Timer] | None = None
        self.nursery: trio.Nursery | None = None
        self.restarts: deque[float] | None = None
        self.ended: trio.Event | None = None
        self.stopping = False

    # -- the task ------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live until stopped, or crashed once too often."""
        crash: BaseException | None = None
        try:
            while True:
                crash = await self._live()
                if self.inbox.closed or not self._restarts_after(crash):
                    break
                await self._back_off(crash)
                if self.inbox.closed:
                    break
            if crash is not None:
                self.supervisor.report(self.inbox.address, "crashed", crash)
        except RestartLimitReached as limit:
            crash = limit
            raise
        finally:
            self._end(crash)

    def _end(self, crash: BaseException | None) -> None:
        self.inbox.close()
        self.supervisor.forget(self)
        if self.ended is not None:
            self.ended.set()
        if self.watcher is not None:
            reason: StopReason = "stopped" if crash is None else "crashed"
            address = self.inbox.address
            self.watcher.signal(ActorEnded(address=address, reason=reason, error=crash))

    async def _live(self) -> Exception | None:
        """Live through one incarnation; return the crash that ended it."""
        crash: Exception | None = None
        self.stopping = False
        try:
            actor = self.actor = self.build()
            actor._cell = self
            if type(actor).on_start is not Actor.on_start:
                with trio.fail_after(self.policy.start_timeout_s):
                    await actor.on_start()
            while not self.stopping or self.jobs:
                if self.jobs:
                    await self._serve_with_jobs(actor)
                else:
                    await self._serve(actor)
        except Exception as caught:
            crash = caught
        finally:
            await self._clean_up(crash)
        return crash

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
                nursery.cancel_scope.cancel()
            finally:
                self.nursery = None
        if crash is not None:
            raise crash

    async def _serve(self, actor: Actor) -> None:
        """Handle messages until a stop is asked for, or the last job ends, or the first starts."""
        inbox = self.inbox
        task = current_task()
        had_jobs = bool(self.jobs)
        while True:
            for _ in range(_BATCH):
                if inbox.control:
                    self._handle_control(actor, inbox.control.popleft())
                elif inbox.lane and not self.stopping:
                    entry = inbox.lane.popleft()
                    if inbox.senders:
                        inbox.admit()
                    if type(entry) is Request:
                        self._answer(actor, entry)
                    else:
                        self._deliver(actor, entry)
                else:
                    break
                if bool(self.jobs) is not had_jobs or (self.stopping and not self.jobs):
                    return
            else:
                await checkpoint()
                continue
            await wait_task_rescheduled(inbox.park(task))

    def _answer(self, actor: Actor, request: Request) -> None:
        if request.task is None:  # the asker has left: never begun
            return
        if request.place is not None:
            del request.place[request]
            request.place = None
        self.current = request
        try:
            answer = actor.handle(request.message)
        except DomainError as refusal:
            request.complete(outcome.Error(refusal))
        else:
            if answer is not DEFERRED:
                request.complete(outcome.Value(answer))
        self.current = None

    def _deliver(self, actor: Actor, message: Any) -> None:
        try:
            actor.handle(message)
        except DomainError:
            # A refusal without an asker: there is nobody to tell.
            return

    def _handle_control(self, actor: Actor, message: Any) -> None:
        match message:
            case JobEnded():
                assert self.jobs is not None  # noqa: S101 - only a job sends its own end
                del self.jobs[message.name]
                actor.handle_job_end(message)
            case Timer():
                # One that was cancelled or replaced after it fired is no longer in the table.
                if self.timers is not None and self.timers.get(message.name) is message:
                    del self.timers[message.name]
                    self._deliver(actor, message.message)
            case AskerGone():
                self._deliver(actor, message.message)
            case Request():
                self._answer(actor, message)
            case _Stop():
                self._begin_to_stop(message)
            case _GraceOver():
                self._cancel_jobs()
            case _:
                self._deliver(actor, message)

    # -- for the actor itself ------------------------------------------------------------------

    def defer(self, on_gone: Any) -> Reply:
        request = self.current
        if request is None:
            return Reply(None)
        if self.deferred is None:
            self.deferred = {}
        self.deferred[request] = None if on_gone is None else AskerGone(on_gone)
        request.place = self.deferred
        return Reply(request)

    def start_job(self, name: str, work: Work, args: tuple[Any, ...]) -> None:
        if self.jobs is None:
            self.jobs = {}
        if name in self.jobs:
            raise ValueError(f"{self.inbox.address} already runs a job named {name!r}")
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
        timer = self.timers[name] = Timer(name, message, self.inbox)
        timer.bucket = self.supervisor.deadlines.add(timer, trio.current_time() + delay_s)

    def cancel_timer(self, name: str) -> None:
        timer = (self.timers or {}).pop(name, None)
        if timer is not None:
            timer.cancel()

    # -- ending --------------------------------------------------------------------------------

    def ask_to_stop(self, grace_s: float) -> None:
        """Begin to stop, for good, before the next ordinary message is handled."""
        self.inbox.signal(_Stop(grace_s, final=True))

    def stop_myself(self, grace_s: float) -> None:
        """Begin to stop now: nothing more is begun, also by the handler that says so.

        A PERMANENT actor keeps its inbox, and is started again.
        """
        self._begin_to_stop(_Stop(grace_s, final=self.policy.restart is not Restart.PERMANENT))

    def _begin_to_stop(self, stop: _Stop) -> None:
        self.stopping = True
        if stop.final:
            self.inbox.close()
        if stop.grace_s > 0 and self.jobs:
            self.set_timer("engine.grace", stop.grace_s, _GRACE_OVER)
        else:
            self._cancel_jobs()

    def _cancel_jobs(self) -> None:
        for job in (self.jobs or {}).values():
            job.scope.cancel()

    async def _clean_up(self, crash: Exception | None) -> None:
        for timer in (self.timers or {}).values():
            timer.cancel()
        self.timers = self.jobs = None
        if self.inbox.control:
            kept = (entry for entry in self.inbox.control if not isinstance(entry, _OWN))
            self.inbox.control = deque(kept)
        if self.actor is not None and type(self.actor).on_stop is not Actor.on_stop:
            await self._call_on_stop(self.actor, "stopped" if crash is None else "crashed")
        self._fail_replies(crash)
        self.actor = None

    async def _call_on_stop(self, actor: Actor, reason: StopReason) -> None:
        with trio.CancelScope(shield=True) as scope:
            scope.deadline = trio.current_time() + self.policy.stop_timeout_s
            try:
                await actor.on_stop(reason)
            except Exception as error:
                self.supervisor.report(self.inbox.address, "on_stop failed", error)

    def _fail_replies(self, crash: Exception | None) -> None:
        """Nobody is left waiting for an answer that cannot come any more."""
        left = tuple(self.deferred or ())
        if self.current is not None:
            left += (self.current,)
        self.deferred = self.current = None
        for request in left:
            address = self.inbox.address
            error: Exception = ActorStopped(address, request.message)
            if crash is not None:
                error = ActorCrashed(address)
                error.__cause__ = crash
            request.place = None
            request.complete(outcome.Error(error))

    # -- restarting ----------------------------------------------------------------------------

    def _restarts_after(self, crash: Exception | None) -> bool:
        match self.policy.restart:
            case Restart.PERMANENT:
                return True
            case Restart.TRANSIENT:
                return crash is not None
            case Restart.TEMPORARY:
                return False

    async def _back_off(self, crash: Exception | None) -> None:
        policy = self.policy
        if self.restarts is None:
            self.restarts = deque(maxlen=policy.max_restarts + 1)
        now = trio.current_time()
        self.restarts.append(now)
        recent = sum(1 for at in self.restarts if now - at <= policy.restart_window_s)
        if recent > policy.max_restarts:
            raise RestartLimitReached(
                self.inbox.address, policy.max_restarts, policy.restart_window_s
            ) from crash
        self.supervisor.report(self.inbox.address, "restarting", crash)
        await self._wait_unless_stopped(policy.backoff(recent, self.supervisor.clock.jitter()))

    async def _wait_unless_stopped(self, delay_s: float) -> None:
        task = current_task()
        with trio.move_on_after(delay_s):
            while not self._stop_is_in():
                await wait_task_rescheduled(self.inbox.park(task))

    def _stop_is_in(self) -> bool:
        for entry in tuple(self.inbox.control or ()):
            if isinstance(entry, _Stop) and entry.final:
                self.inbox.close()
        return self.inbox.closed
