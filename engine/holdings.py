"""What one incarnation of an actor holds, and what ends with it: jobs, timers, deferred replies.

Laws of this file: what was meant for an earlier incarnation, and comes late, is known by its not
being in this one's tables; when they are let go, nobody is left waiting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from engine.errors import ActorCrashed, ActorStopped
from engine.jobs import Job, Timer, Work
from engine.reply import Reply
from engine.request import AskerGone, Request

if TYPE_CHECKING:
    from engine.cell import Cell


class Holdings:
    """The tables, and what the actor itself does with them."""

    __slots__ = (
        "cell",
        "current",
        "deferred",
        "grace_until",
        "inbox",
        "jobs",
        "nursery",
        "timers",
    )

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.inbox = cell.inbox
        self.current: Request | None = None  # the ask in hand, until it is deferred
        self.deferred: dict[Request, AskerGone | None] | None = None
        self.jobs: dict[str, Job] | None = None
        self.nursery: trio.Nursery | None = None  # while jobs run
        self.timers: dict[str, Timer] | None = None
        self.grace_until: float | None = None  # on trio's clock; None until the actor is to stop

    # -- deferred replies ----------------------------------------------------------------------

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

    def still_has(self, request: Request) -> bool:
        """False once the handler has passed the ask in hand on to another actor."""
        return self.current is request or request.place is not None

    def crashed(self, crash: Exception) -> ActorCrashed:
        """Return what an asker is told of `crash`."""
        error = ActorCrashed(self.inbox.address)
        error.__cause__ = crash
        return error

    # -- jobs ----------------------------------------------------------------------------------

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

    def start_jobs_in(self, nursery: trio.Nursery) -> None:
        """Start what has been begun so far, and all that is begun later, in `nursery`."""
        self.nursery = nursery
        for job in (self.jobs or {}).values():
            nursery.start_soon(job.run, self.inbox, name=job.name)

    def cancel_job(self, name: str) -> bool:
        job = (self.jobs or {}).get(name)
        if job is not None:
            job.scope.cancel()
        return job is not None

    def cancel_jobs(self) -> None:
        for job in (self.jobs or {}).values():
            job.scope.cancel()

    def take_job(self, job: Job) -> bool:
        """Take an ended job out of the table; False if it is not one of this incarnation's."""
        if self.jobs is None or self.jobs.get(job.name) is not job:
            return False
        del self.jobs[job.name]
        return True

    # -- timers --------------------------------------------------------------------------------

    def set_timer(self, name: str, delay_s: float, message: Any) -> None:
        self.cancel_timer(name)
        if self.timers is None:
            self.timers = {}
        bucket = self.cell.supervisor.deadlines.after(delay_s)
        self.timers[name] = Timer(name, message, self.inbox, bucket)

    def cancel_timer(self, name: str) -> None:
        timer = (self.timers or {}).pop(name, None)
        if timer is not None:
            timer.cancel()

    def take_timer(self, timer: Timer) -> bool:
        """Take a timer that fired out of the table; False if it was cancelled or replaced since."""
        if self.timers is None or self.timers.get(timer.name) is not timer:
            return False
        del self.timers[timer.name]
        return True

    # -- ending --------------------------------------------------------------------------------

    def let_go(self, crash: Exception | None) -> None:
        """End all that is still held; `crash` is what the incarnation ended with, if with one."""
        for timer in (self.timers or {}).values():
            timer.cancel()
        for job in (self.jobs or {}).values():
            # The end of a job that a crash has ended is nobody's answer; its error is not lost.
            if job.end is not None and job.end.error is not None:
                self.cell.report("job_failed_while_ending", job.end.error, job=job.name)
        left = tuple(self.deferred or ())
        if self.current is not None:
            left += (self.current,)
        for request in left:
            stopped = ActorStopped(self.inbox.address, request.message)
            request.fail(stopped if crash is None else self.crashed(crash))
