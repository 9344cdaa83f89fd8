"""The hosted session as an actor: takes commands, keeps its time, tells of its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec
import structlog

from actors.partner.hosted.commands import (
    Begin,
    Cancel,
    Command,
    Conclude,
    Expire,
    Extend,
    GiveAnswer,
    OfferHandOver,
    TakeOver,
)
from actors.partner.hosted.decider import HostedDecider, row_of, stream_of
from actors.partner.hosted.events import Recorded
from actors.partner.hosted.records import Hosted
from actors.partner.hosted.states import OPEN, State
from engine import Clock, JobEnded
from engine.activation import ActivatedActor
from engine.durable import Log
from engine.store import Commit

_LOG: Final = structlog.get_logger("mooring.hosted")
_EXPIRY: Final = "expiry"
_HAND_OVER: Final = "tell of the end"
# A timer goes by another clock than the one that decides: it may come a moment early.
_AGAIN_S: Final = 0.01
_LONGEST_TIMER_S: Final = 86_400.0

# Tells webhooks and tenant that a session has ended; returns once that is durable. Idempotent.
TellEnd: TypeAlias = Callable[[Hosted], Awaitable[None]]


class Look(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask how the session stands; answered with its `Hosted`. Changes nothing that time has not."""


class _TimeIsUp(msgspec.Struct, frozen=True):
    pass


class HostedSessionActor(ActivatedActor[Hosted, Command, Recorded]):
    """One hosted session. Commands are answered with the state after them.

    It leaves memory when nothing happens; its time is in the catalogue, and brings it back.

    Args:
        tell_end: called once it has ended, and again until it has returned.
        on_change: called with the tenant's id after each change.
    """

    def __init__(
        self,
        session_id: str,
        *,
        tell_end: TellEnd,
        on_change: Callable[[str], None],
        log: Log,
        clock: Clock,
    ) -> None:
        super().__init__(stream_of(session_id), HostedDecider(), log=log, clock=clock)
        self._on_change = on_change
        self._tell_end = tell_end
        self._is_telling = False
        self._has_told = False

    async def on_start(self) -> None:
        await super().on_start()
        if self.state is not None:
            self._go_on_with(self.state)

    def obey(self, message: Any) -> Any:
        match message:
            case Look():
                return self.submit(Expire(), _same)
            case Begin() | GiveAnswer() | Extend() | OfferHandOver() | TakeOver() | Cancel():
                return self.submit(message, _same)
            case _:
                return super().obey(message)

    def handle(self, message: Any) -> Any:
        if isinstance(message, _TimeIsUp):
            self.submit_own(Expire())
            if self.quiet and self.state is not None:
                self._go_on_with(self.state)
            return None
        return super().handle(message)

    def woken(self) -> None:
        if self.state is None:
            return
        if self.state.session.has_ended:
            self._tell(self.state)
        else:
            self.submit_own(Expire())

    def changed(self, events: Sequence[Recorded]) -> None:
        assert self.state is not None  # noqa: S101 - a commit has made one
        self._on_change(self.state.visit.tenant_id)
        self._go_on_with(self.state)
        if self.state.session.has_ended:
            self._tell(self.state)

    def handle_job_end(self, end: JobEnded) -> None:
        if end.name != _HAND_OVER:
            super().handle_job_end(end)
            return
        self._is_telling = False
        self._has_told = end.error is None and not end.cancelled
        if end.error is not None:
            # It is still due, so the waker comes again; nobody else waits for it.
            _LOG.warning("end_not_told", actor=self.stream, cause=repr(end.error))

    @property
    def busy(self) -> bool:
        return super().busy or self._is_telling

    def _go_on_with(self, state: Hosted) -> None:
        """Do what the state waits for: its time, or its result, which is found without anybody."""
        if state.session.state in OPEN:
            left = datetime.fromisoformat(state.session.expires_at) - self.clock.now()
            delay_s = min(max(left.total_seconds(), _AGAIN_S), _LONGEST_TIMER_S)
            self.set_timer(_EXPIRY, delay_s, _TimeIsUp())
        else:
            self.cancel_timer(_EXPIRY)
        if state.session.state is State.PROCESSING:
            self.submit_own(Conclude())

    def _tell(self, state: Hosted) -> None:
        if self._is_telling or self._has_told or self.stopping:
            return
        self._is_telling = True
        self.start_job(_HAND_OVER, self._tell_and_note, state)

    async def _tell_and_note(self, state: Hosted) -> None:
        await self._tell_end(state)
        # Nothing but the row: a stream ends with its final event.
        commit = Commit(
            stream=self.stream,
            epoch=self.epoch,
            expected_seq=state.seq,
            row=row_of(state, is_handed_over=True),
        )
        await self._log.store.commit(commit)


def _same(state: Hosted) -> Hosted:
    return state
