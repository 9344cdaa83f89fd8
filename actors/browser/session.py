"""The session: one login in one browser context, used by one step at a time.

It decides by its agenda what comes next, runs it as a job, and tells the registry what became of
it. Its handlers never wait, so it can be closed, listed and asked whatever its page is doing.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, assert_never

import msgspec

from actors.browser.agenda import Agenda, Call, Step
from actors.browser.errors import (
    AuthenticationFailed,
    BrowserCrashed,
    BrowserSessionError,
    LoginTimedOut,
    OperationTimedOut,
    PortalUnreachable,
    SessionClosed,
)
from actors.browser.messages import EndReason, OperationDone, RunOperation, Status
from actors.browser.page import BrowserGone
from actors.browser.pool import ContextLost
from actors.browser.portals.portal import Credentials
from actors.browser.work import Equipment, PageWork, told
from engine import DEFERRED, Actor, ActorRef, Clock, JobEnded, StopReason
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

_REFRESH_RETRY_S: Final = 30.0
_FAILED_REFRESHES: Final = 3


class Operate(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An operation under a lease; answered with `OperationDone`."""

    call: RunOperation
    token: int
    is_new: bool


class SessionReport(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signalled to the registry whenever the session changes."""

    id: str
    status: Status
    current_url: str
    last_refresh: datetime | None


class _RefreshDue(msgspec.Struct, frozen=True):
    pass


_STATUS: Final[dict[Step | None, Status]] = {
    None: "live",
    Step.LOG_IN: "starting",
    Step.OPERATE: "in_use",
    Step.REFRESH: "refreshing",
    Step.RECOVER: "recovering",
}


class BrowserSession(Actor):
    """One session.

    Args:
        session_id: its public id.
        credentials: whose login it is.
        equipment: what all sessions share.
        registry: who starts, leases and ends it.
        clock: wall time for what is shown.
    """

    def __init__(
        self,
        session_id: str,
        credentials: Credentials,
        *,
        equipment: Equipment,
        registry: ActorRef,
        clock: Clock,
    ) -> None:
        self._id = session_id
        self._credentials = credentials
        self._equipment = equipment
        self._registry = registry
        self._clock = clock
        self._agenda = Agenda()
        self._last_refresh: datetime | None = None
        self._failed_refreshes = 0

    # -- hooks ---------------------------------------------------------------------------------

    async def on_start(self) -> None:
        self._work = PageWork(self._equipment, self._credentials, self.ref)
        self._go_on()

    def handle(self, message: Any) -> Any:
        match message:
            case Operate():
                self._agenda.calls.append(Call(message, self.defer()))
                self._go_on()
                return DEFERRED
            case LeaseReleased():
                self._registry.signal(message)
            case LeaseLapsed():
                self._lapse(message.token)
            case ContextLost():
                self._context_lost(message.context_id)
            case _RefreshDue():
                self._agenda.refresh_due = True
                self._go_on()
            case _:
                raise TypeError(f"{self.ref.address} does not know {message!r}")
        return None

    def handle_job_end(self, end: JobEnded) -> None:
        step, call = Step(end.name), self._agenda.done()
        if end.error is not None and not isinstance(end.error, (BrowserSessionError, BrowserGone)):
            raise end.error
        error = SessionClosed() if end.cancelled else end.error
        match step:
            case Step.LOG_IN:
                self._login_ended(error)
            case Step.OPERATE:
                assert call is not None  # noqa: S101 - the agenda pairs them
                self._operation_ended(call, end.value, error)
            case Step.REFRESH:
                self._refresh_ended(error)
            case Step.RECOVER:
                self._recovery_ended(error)
            case _:
                assert_never(step)
        self._go_on()

    async def on_stop(self, reason: StopReason) -> None:
        for call in self._agenda.calls:
            self._settle(call, SessionClosed())
        self._agenda.calls.clear()
        self._work.give_back()

    # -- steps ---------------------------------------------------------------------------------

    def _go_on(self) -> None:
        if not self.stopping:
            self._drop_unawaited()
            step = self._agenda.next_step()
            if step is not None:
                self._begin(step)
        self._report()

    def _begin(self, step: Step) -> None:
        match step:
            case Step.LOG_IN:
                self.start_job(step.value, self._work.log_in)
            case Step.RECOVER:
                self.start_job(step.value, self._work.recover)
            case Step.REFRESH:
                self.start_job(step.value, self._work.refresh)
            case Step.OPERATE:
                call = self._agenda.call
                assert call is not None  # noqa: S101 - the agenda pairs them
                self._registry.signal(LeaseRenewed(token=call.message.token))
                self.start_job(step.value, self._operate, call.message)
            case _:
                assert_never(step)

    async def _operate(self, message: Operate) -> OperationDone:
        """Run the operation, and keep the debug bundle that was asked for either way."""
        call = message.call
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

    def _login_ended(self, error: Exception | None) -> None:
        if error is None:
            self._agenda.opened = True
            self._refreshed()
            self._registry.signal(SessionStarted(id=self._id))
        elif not self.stopping:
            refused = isinstance(error, AuthenticationFailed)
            remember_s = REFUSAL_REMEMBERED_S if refused else 0.0
            failed = SessionFailed(id=self._id, error=told(error), remember_s=remember_s)
            self._registry.signal(failed)
            self.stop()

    def _operation_ended(self, call: Call, answer: Any, error: Exception | None) -> None:
        if isinstance(error, (BrowserCrashed, OperationTimedOut)):
            self._agenda.recovery_due = True
        self._settle(call, error if error is not None else answer)

    def _refresh_ended(self, error: Exception | None) -> None:
        if error is None:
            self._refreshed()
        elif isinstance(error, BrowserGone):
            self._agenda.recovery_due = True
        elif isinstance(error, (PortalUnreachable, LoginTimedOut)):
            self._refresh_failed(error)
        else:
            self._end("login_lost", error)

    def _refresh_failed(self, error: Exception) -> None:
        """A portal that is down for a moment costs nobody a login: only the third time ends it."""
        self._failed_refreshes += 1
        if self._failed_refreshes >= _FAILED_REFRESHES:
            self._end("login_lost", error)
        else:
            interval_s = self._equipment.settings.refresh_interval_s
            self.set_timer("refresh", min(_REFRESH_RETRY_S, interval_s), _RefreshDue())

    def _recovery_ended(self, error: Exception | None) -> None:
        if error is None:
            self._refreshed()
        elif isinstance(error, (PortalUnreachable, LoginTimedOut)):
            # The page is back, its portal is not: operations say so until a refresh succeeds.
            self._refresh_failed(error)
        elif isinstance(error, AuthenticationFailed):
            self._end("login_lost", error)
        else:
            self._end("crashed", error)

    def _refreshed(self) -> None:
        self._failed_refreshes = 0
        self._last_refresh = self._clock.now()
        self.set_timer("refresh", self._equipment.settings.refresh_interval_s, _RefreshDue())

    # -- what comes in between -----------------------------------------------------------------

    def _context_lost(self, context_id: str) -> None:
        # A login and a recovery notice by themselves, and take another context.
        busy = self._agenda.running in {Step.LOG_IN, Step.RECOVER}
        if context_id == self._work.context_id and not busy:
            self._agenda.recovery_due = True
            self._go_on()

    def _lapse(self, token: int) -> None:
        call = self._agenda.withdraw(token)
        if call is not None:
            call.reply.refuse(OperationTimedOut("it waited too long for the session"))
        elif self._agenda.call is not None and self._agenda.call.message.token == token:
            self.cancel_job(Step.OPERATE.value)

    def _drop_unawaited(self) -> None:
        """An operation that has not begun is not begun for a caller that has gone."""
        calls = self._agenda.calls
        while calls and not calls[0].reply.awaited:
            self._settle(calls.popleft(), SessionClosed())

    def _settle(self, call: Call, result: Any) -> None:
        if isinstance(result, Exception):
            call.reply.refuse(told(result))
        else:
            call.reply.answer(result)
        self._registry.signal(LeaseReleased(token=call.message.token))

    def _end(self, reason: EndReason, error: Exception) -> None:
        if not self.stopping:
            ending = SessionEnding(id=self._id, reason=reason, error=told(error))
            self._registry.signal(ending)
            self.stop()

    def _report(self) -> None:
        self._registry.signal(
            SessionReport(
                id=self._id,
                status=_STATUS[self._agenda.running],
                current_url=self._work.current_url,
                last_refresh=self._last_refresh,
            )
        )
