"""The endpoint as an actor: takes commands, and forgets itself when it is removed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from actors.partner.webhooks.endpoint import (
    Command,
    Enable,
    Endpoint,
    EndpointEvent,
    Register,
    Remove,
    Report,
    Rotate,
    owned,
)
from actors.partner.webhooks.endpoint_decider import EndpointDecider, stream_of
from engine import DEFERRED, Clock, JobEnded, Reply
from engine.activation import ActivatedActor
from engine.durable import Log


class Describe(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Answered with the endpoint as it stands, secrets sealed; `NotFound` when there is none."""

    tenant_id: str


class EndpointActor(ActivatedActor[Endpoint, Command, EndpointEvent]):
    """One endpoint."""

    def __init__(self, endpoint_id: str, *, log: Log, clock: Clock) -> None:
        super().__init__(stream_of(endpoint_id), EndpointDecider(), log=log, clock=clock)
        self._removals: list[Reply] = []
        self._erasing = False

    def obey(self, message: Any) -> Any:
        match message:
            case Describe():
                return owned(self.state, message.tenant_id)
            case Register() | Rotate() | Enable():
                return self.submit(message, lambda endpoint: endpoint)
            case Report():
                return self.submit(message)
            case Remove():
                return self._remove(message)
            case _:
                return super().obey(message)

    def woken(self) -> None:
        self._erase_if_deleted()

    def changed(self, events: Sequence[EndpointEvent]) -> None:
        self._erase_if_deleted()

    def handle_job_end(self, end: JobEnded) -> None:
        if end.name == "erase":
            self._erased(end)
        else:
            super().handle_job_end(end)

    @property
    def busy(self) -> bool:
        return super().busy or self._erasing

    # -- leaving for good ----------------------------------------------------------------------

    def _remove(self, message: Remove) -> Any:
        owned(self.state, message.tenant_id)
        self._removals.append(self.defer())
        if len(self._removals) == 1:  # else one end answers all
            self.submit_own(message)
        return DEFERRED

    def _erase_if_deleted(self) -> None:
        if self.state is not None and self.state.deleted and not self._erasing:
            self._erasing = True
            self.start_job("erase", self.erase)

    def _erased(self, end: JobEnded) -> None:
        self._erasing = False
        if end.error is not None:
            raise end.error  # the row is due: it is woken and erased again
        if not end.cancelled:
            for reply in self._removals:
                reply.answer(None)
            self._removals.clear()
            self.let_go()
