"""The session: one login in one browser context, used by one step at a time.

It decides by its agenda what comes next, runs it as a job, and tells the registry what became of
it. Its handlers never wait, so it can be closed, listed and asked whatever its page is doing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, assert_never

import msgspec
import structlog
import trio

from actors.browser.agenda import Agenda, Call, Operate, Step
from actors.browser.errors import (
    AuthenticationFailed,
    BrowserSessionError,
    BrowserUnavailable,
    OperationTimedOut,
    SessionClosed,
)
from actors.browser.messages import EndReason, OperationDone
from actors.browser.page import BrowserGone
from actors.browser.pool_messages import ContextLost
from actors.browser.portals.portal import Credentials
from actors.browser.report import STATUS, WORK, SessionReport
from actors.browser.verdict import Verdict, can_wait, verdict
from actors.browser.work import Equipment, PageWork, again, told
from engine import DEFERRED, Actor, ActorRef, Clock, JobEnded, StopReason
from engine.meter import outcome_of
from engine.registry import (
    LeaseLapsed,
    LeaseReleased,
    LeaseRenewed,
    SessionEnding,
    SessionFailed,
    SessionStarted,
)

REFUSAL_REMEMBERED_S: Final = 60.0
"""How long a refused pair of credentials is not tried again, so that no account gets locked."""

_RETRY_S: Final = 30.0
_SAVE_INTERVAL_S: Final = 60.0
_LAST_SAVE_S: Final = 2.0
_OPENING: Final = frozenset({Step.LOG_IN, Step.RESTORE})
_MOST_FAILURES: Final = 3


class _RefreshDue(msgspec.Struct, frozen=True):
    pass


class _SaveDue(msgspec.Struct, frozen=True):
    pass


class _CallerLeft(msgspec.Struct, frozen=True):
    token: int


class _Finish(msgspec.Struct, frozen=True):
    """Sent to itself, behind what it was sent before: all that still gets its answer."""


class BrowserSession(Actor):
    """One session.

    Args:
        session_id: its public id.
        credentials: whose login it is; may be None for one that is restored.
        restored: it was live under an earlier server, and begins with what was saved of it.
        parks: tells whether a stop means the server's, after which it is to be restored.
        equipment: what all sessions share.
        registry: who starts, leases and ends it.
        clock: wall time for what is shown.
    """

    def __init__(
        self,
        session_id: str,
        credentials: Credentials | None,
        *,
        equipment: Equipment,
        registry: ActorRef,
        clock: Clock,
        restored: bool = False,
        parks: Callable[[], bool] = lambda: False,
    ) -> None:
        self._id = session_id
        self._credentials = credentials
        self._equipment = equipment
        self._registry = registry
        self._clock = clock
        self._parks = parks
        self._agenda = Agenda(Step.RESTORE if restored else Step.LOG_IN)
        self._ended: BrowserSessionError | None = None  # why, once it ends by itself
        self._last_refresh: datetime | None = None
        self._failures = 0  # to keep the login alive, in a row
        self._retry_is_set = False
        self._intrusions = 0  # of this context, that have been noted
        self._begun_at = 0.0  # the step that runs, on trio's clock

    # -- hooks ---------------------------------------------------------------------------------

    async def on_start(self) -> None:
        self._work = PageWork(self._equipment, self._credentials, self.ref)
        self._go_on()

    def handle(self, message: Any) -> Any:
        match message:
            case Operate():
                return self._enqueue(message)
            case _CallerLeft():
                self._withdraw(message.token)
            case LeaseReleased():
                self._registry.signal(message)
            case LeaseLapsed():
                self._lapse(message.token)
            case ContextLost():
                self._context_lost(message.context_id)
            case _RefreshDue():
                self._retry_is_set = False
                self._agenda.refresh_due = True
                self._go_on()
            case _SaveDue():
                self._agenda.save_due = True
                self._save_later()
                self._go_on()
            case _Finish():
                self.stop()
            case _:
                raise TypeError(f"{self.ref.address} does not know {message!r}")
        return None

    def handle_job_end(self, end: JobEnded) -> None:
        step, call = Step(end.name), self._agenda.done()
        error = end.error
        if error is not None and not isinstance(error, (BrowserSessionError, BrowserGone)):
            raise error
        if end.cancelled:  # by a stop, or by a lease that has lapsed
            error = SessionClosed() if self.stopping else OperationTimedOut()
        if self._work.lost:
            self._agenda.recovery_due = True
        self._measure(step, call, error)
        self._note_end(step, call, error)
        if step is Step.LOG_IN or step is Step.RESTORE:
            self._opening_ended(error)
        else:
            if call is not None:
                self._settle(call, end.value if error is None else told(error))
            self._follow(verdict(step, error), error)
        self._go_on()

    async def on_stop(self, reason: StopReason) -> None:
        self._refuse_all(SessionClosed())
        parked = reason == "stopped" and self._ended is None and self._parks()
        if parked and self._agenda.opened:
            with trio.move_on_after(_LAST_SAVE_S):
                await self._work.save()
        self._work.give_back()
        if reason == "stopped":
            # News to the registry only when the server stops.
            why: EndReason = "parked" if parked and self._work.kept else "closed"
            stopping = SessionClosed("the server is stopping")
            self._registry.signal(SessionEnding(id=self._id, reason=why, error=stopping))

    # -- steps ---------------------------------------------------------------------------------

    def _go_on(self) -> None:
        if not self.stopping and self._ended is None:
            self._drop_unawaited()
            step = self._agenda.next_step()
            if step is not None:
                self._begin(step)
        self._report()

    def _begin(self, step: Step) -> None:
        call, work = self._agenda.call, self._work
        self._begun_at = trio.current_time()
        if call is not None:
            self._note("operation.started", name=call.message.call.name)
        elif step not in {Step.RECOVER, Step.SAVE}:
            self._note(f"{step.value}.started")
        if call is not None:
            self._registry.signal(LeaseRenewed(token=call.message.token))
            self.start_job(step.value, self._operate, call.message)
            return
        jobs = {
            Step.LOG_IN: work.log_in,
            Step.RESTORE: work.restore,
            Step.RECOVER: work.recover,
            Step.REFRESH: work.refresh,
            Step.SAVE: work.save,
        }
        self.start_job(step.value, jobs[step])

    async def _operate(self, message: Operate) -> OperationDone:
        """Run the operation, and keep the debug bundle that was asked for either way."""
        call = message.call
        if call.request_id:
            structlog.contextvars.bind_contextvars(request_id=call.request_id)
        try:
            answer = await self._work.operate(call.name, call.request)
        except BrowserSessionError as error:
            error.fields["session_id"] = self._id
            if call.debug:
                error.fields["debug_bundle"] = await self._work.bundle(str(error))
            raise
        return OperationDone(
            session_id=self._id,
            is_new_session=message.is_new,
            answer=answer,
            debug_bundle=await self._work.bundle("succeeded") if call.debug else None,
        )

    def _opening_ended(self, error: Exception | None) -> None:
        """The login, or the restoring, that the session begins with has ended."""
        if error is None:
            self._agenda.opened = True
            self._refreshed()
            self._save_later()
            self._registry.signal(SessionStarted(id=self._id))
        elif not self.stopping:
            refused = isinstance(error, AuthenticationFailed)
            restored = self._agenda.opening is Step.RESTORE
            failed = SessionFailed(
                id=self._id,
                error=told(error),
                remember_s=REFUSAL_REMEMBERED_S if refused else 0.0,
                reason="login_lost" if restored else None,
                keep=restored and can_wait(error),
            )
            self._registry.signal(failed)
            self.stop()

    def _follow(self, found: Verdict, error: Exception | None) -> None:
        """Do what a step's end asks for."""
        match found:
            case Verdict.GO_ON:
                pass
            case Verdict.FRESH:
                self._refreshed()
            case Verdict.RECOVER:
                self._agenda.recovery_due = True
            case Verdict.REFRESH:
                self._agenda.refresh_due = True
            case Verdict.TRY_LATER:
                self._try_later(told(error))
            case Verdict.LOGIN_LOST:
                self._end("login_lost", told(error))
            case Verdict.CRASHED:
                self._end("crashed", told(error))
            case _:
                assert_never(found)

    def _try_later(self, error: BrowserSessionError) -> None:
        """What is down for a moment costs nobody a login: only the third time ends it."""
        if self._work.context_id is None:
            self._refuse_all(error)  # they have waited for the page
        if self._retry_is_set:
            return  # an operation has asked in between: that was no try of its own
        self._failures += 1
        if self._failures >= _MOST_FAILURES:
            self._end("crashed" if isinstance(error, BrowserUnavailable) else "login_lost", error)
            return
        self._retry_is_set = True
        interval_s = self._equipment.settings.refresh_interval_s
        self.set_timer("refresh", min(_RETRY_S, interval_s), _RefreshDue())

    def _refreshed(self) -> None:
        self._failures = 0
        self._retry_is_set = False
        self._last_refresh = self._clock.now()
        self.set_timer("refresh", self._equipment.settings.refresh_interval_s, _RefreshDue())

    def _save_later(self) -> None:
        if self._equipment.keeper is not None:
            self.set_timer("save", _SAVE_INTERVAL_S, _SaveDue())

    # -- what comes in between -----------------------------------------------------------------

    def _enqueue(self, message: Operate) -> Any:
        if self._ended is not None:
            raise again(self._ended)
        self._note("lease.granted", token=message.token)
        reply = self.defer(on_gone=_CallerLeft(message.token))
        self._agenda.calls.append(Call(message, reply))
        if self._agenda.running is None and self._work.context_id is None:
            self._agenda.recovery_due = True  # the last one failed; perhaps it works by now
        self._go_on()
        return DEFERRED

    def _withdraw(self, token: int) -> None:
        call = self._agenda.withdraw(token)
        if call is not None:
            self._settle(call, SessionClosed())

    def _context_lost(self, context_id: str) -> None:
        if context_id == self._work.context_id:
            self._work.lost = True
            self._note("browser.crashed")
            # A login and a recovery notice by themselves, and take another context.
            if self._agenda.running not in {*_OPENING, Step.RECOVER}:
                self._agenda.recovery_due = True
                self._go_on()

    def _lapse(self, token: int) -> None:
        call = self._agenda.withdraw(token)
        if call is not None:
            call.reply.refuse(OperationTimedOut("it waited too long for the session"))
        elif self._agenda.call is not None and self._agenda.call.message.token == token:
            self.cancel_job(Step.OPERATE.value)

    def _drop_unawaited(self) -> None:
        """An operation is not begun for a caller that has left in this very moment."""
        calls = self._agenda.calls
        while calls and not calls[0].reply.awaited:
            self._settle(calls.popleft(), SessionClosed())

    def _settle(self, call: Call, result: OperationDone | BrowserSessionError) -> None:
        if isinstance(result, BrowserSessionError):
            call.reply.refuse(result)
        else:
            call.reply.answer(result)
        self._note("lease.released", token=call.message.token)
        self._registry.signal(LeaseReleased(token=call.message.token))

    def _refuse_all(self, error: BrowserSessionError) -> None:
        for call in self._agenda.calls:
            self._settle(call, again(error))
        self._agenda.calls.clear()

    def _end(self, reason: EndReason, error: BrowserSessionError) -> None:
        if not self.stopping and self._ended is None:
            # What one caller was told beside it (its bundle) is nobody else's.
            self._ended = type(error)(error.details, session_id=self._id)
            self._registry.signal(SessionEnding(id=self._id, reason=reason, error=self._ended))
            self._refuse_all(self._ended)
            self.ref.signal(_Finish())

    def _note(self, event: str, **data: Any) -> None:
        self._equipment.note(self._id, event, **data)

    def _measure(self, step: Step, call: Call | None, error: Exception | None) -> None:
        work = WORK[step] if call is None else f"operation/{call.message.call.name}"
        cut = isinstance(error, SessionClosed)
        seconds = trio.current_time() - self._begun_at
        self._equipment.meter.ended(work, outcome_of(error, cancelled=cut), seconds)

    def _note_end(self, step: Step, call: Call | None, error: Exception | None) -> None:
        """Put a step's end on the stream, and what its page tried to open meanwhile."""
        intrusions = self._work.intrusions
        if intrusions > self._intrusions:
            self._note("popup.blocked", count=intrusions - self._intrusions)
        self._intrusions = intrusions
        failure = {} if error is None else {"error": str(told(error))}
        if call is not None:
            name = call.message.call.name
            self._note("operation.finished", name=name, success=error is None, **failure)
        elif step is Step.RESTORE:
            self._note_restore("given up" if self.stopping else failure.get("error"))
        elif step is Step.RECOVER:
            if error is None:
                self._note("session.recovered")
        elif step is not Step.SAVE:
            self._note(f"{step.value}.{'succeeded' if error is None else 'failed'}", **failure)

    def _note_restore(self, failure: str | None) -> None:
        if failure is None:
            login = "renewed" if self._work.logins else "kept"
            self._note("session.recovered", login=login)
        else:
            self._note("restore.failed", error=failure)

    def _report(self) -> None:
        self._registry.signal(
            SessionReport(
                id=self._id,
                status=STATUS[self._agenda.running],
                current_url=self._work.current_url,
                last_refresh=self._last_refresh,
            )
        )
