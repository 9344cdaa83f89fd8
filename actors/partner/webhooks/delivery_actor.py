"""The delivery as an actor: makes the attempts that are due, and tells the endpoint how they went.

It is in memory only while it works. When the next attempt is due is in its row of the catalogue, so
that what a crash or a stop has cut off is found and made by the next start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

import structlog

from actors.partner.webhooks.delivery import (
    GONE,
    Attempt,
    Command,
    Delivery,
    DeliveryEvent,
    Message,
    Open,
    Outcome,
    Record,
    Resend,
)
from actors.partner.webhooks.delivery_decider import DeliveryDecider, stream_of
from actors.partner.webhooks.endpoint import Report
from actors.partner.webhooks.lanes import Crowded
from engine import Clock, JobEnded, MooringError
from engine.activation import ActivatedActor
from engine.durable import Log

# Sends a message to its endpoint as that now stands; raises a MooringError when it could not even
# be tried.
Try: TypeAlias = Callable[[Message], Awaitable[Outcome]]
# Tells the endpoint how an attempt went.
Tell: TypeAlias = Callable[[Message, Report], Awaitable[None]]

_LOG: Final = structlog.get_logger("mooring.webhooks")
_ATTEMPT: Final = "attempt"
_REPORT: Final = "report"
_ERASE: Final = "erase"


class DeliveryActor(ActivatedActor[Delivery, Command, DeliveryEvent]):
    """One delivery of one event to one endpoint."""

    idle_timeout_s = 2.0

    def __init__(
        self, delivery_id: str, *, attempt: Try, tell: Tell, log: Log, clock: Clock
    ) -> None:
        super().__init__(stream_of(delivery_id), DeliveryDecider(), log=log, clock=clock)
        self._attempt = attempt
        self._tell = tell
        self._at_work = False  # an attempt counts until it has been recorded
        self._resending = False
        self._news: Report | None = None  # what the endpoint is still to be told

    # -- hooks ---------------------------------------------------------------------------------

    def obey(self, message: Any) -> Any:
        match message:
            case Open() | Resend():
                return self.submit(message, lambda delivery: delivery.message.event_id)
            case _:
                return super().obey(message)

    def woken(self) -> None:
        self._work()

    def changed(self, events: Sequence[DeliveryEvent]) -> None:
        for event in events:
            if event.attempt is not None:
                self._at_work = False
                self._news = self._report_of(event, event.attempt)
        self.restart_idle_timer()
        self._work()

    @property
    def busy(self) -> bool:
        return super().busy or self._at_work

    def handle_job_end(self, end: JobEnded) -> None:
        if end.name not in {_ATTEMPT, _REPORT, _ERASE}:
            super().handle_job_end(end)
            return
        if end.name == _ATTEMPT and end.error is None and not end.cancelled:
            self.submit_own(Record(outcome=end.value, resend=self._resending))
            return
        self._at_work = False
        self.restart_idle_timer()
        if isinstance(end.error, Crowded):
            return  # it is called, or woken again
        if isinstance(end.error, MooringError):
            # It stays due, so it is woken again; the next attempt makes a report of its own.
            _LOG.warning("not_done", actor=self.stream, job=end.name, cause=str(end.error))
        elif end.error is not None:
            raise end.error
        elif end.name == _REPORT:
            self._work()

    # -- work ----------------------------------------------------------------------------------

    def _work(self) -> None:
        """Begin what is to be done now, if anything; one thing at a time."""
        state = self.state
        if state is None or self._at_work or self.stopping:
            return
        now = self.clock.now()
        if self._news is not None:
            report, self._news = self._news, None
            self._begin(_REPORT, self._tell, state.message, report)
        elif state.is_due(now):
            self._resending = state.resend
            self._begin(_ATTEMPT, self._attempt, state.message)
        elif state.kept_until is not None and state.kept_until <= now:
            self._begin(_ERASE, self.erase)

    def _begin(self, name: str, work: Callable[..., Awaitable[Any]], *args: Any) -> None:
        self._at_work = True
        self.start_job(name, work, *args)

    def _report_of(self, event: DeliveryEvent, attempt: Attempt) -> Report:
        assert self.state is not None  # noqa: S101 - it has been attempted
        return Report(
            tenant_id=self.state.message.tenant_id,
            delivered=attempt.error is None,
            exhausted=event.status == "failed" and not attempt.resend,
            gone=attempt.status == GONE,
        )
