"""The family of conversations, put together: its actors, and what wakes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from actors.assistant.decider import KIND
from actors.assistant.responders.responder import Responder
from actors.assistant.session import REPLY, ConversationActor
from actors.assistant.settings import AssistantSettings
from engine import Clock
from engine.activation import Activations, ActivationStatistics, open_activations
from engine.durable import Log
from engine.meter import Meter, WorkStatistics
from engine.waker import Waker


class ConversationStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Conversations in memory, and how their replies go.

    Attributes:
        writing: replies that are being written.
    """

    writing: int
    work: tuple[WorkStatistics, ...]
    actors: ActivationStatistics


class Conversations(msgspec.Struct, frozen=True, kw_only=True):
    """The family's door; lists and pages are read from `log`."""

    actors: Activations
    log: Log
    meter: Meter

    def statistics(self) -> ConversationStatistics:
        """Return what there is now."""
        return ConversationStatistics(
            writing=self.meter.running(REPLY),
            work=self.meter.statistics(),
            actors=self.actors.statistics(),
        )

    async def ask(self, session_id: str, message: Any, *, timeout_s: float = 30.0) -> Any:
        """Ask a conversation, in memory or not; raises as `ActorRef.ask` does."""
        return await self.actors.ask(session_id, message, timeout_s=timeout_s)


@asynccontextmanager
async def open_conversations(
    settings: AssistantSettings,
    *,
    responder: Responder,
    log: Log,
    waker: Waker,
    clock: Clock,
    drain_s: float = 2.0,
) -> AsyncIterator[Conversations]:
    """Open the family for the length of a block.

    What an earlier server left unfinished goes on: queued replies are written, replies that were
    cut off are marked or begun anew. At the end running replies get `drain_s`; what is not finished
    then is found by the next start.
    """

    meter = Meter()

    def build(session_id: str) -> ConversationActor:
        return ConversationActor(
            session_id, responder=responder, settings=settings, log=log, clock=clock, meter=meter
        )

    async with open_activations(KIND, build, clock=clock, drain_s=drain_s) as actors:
        with waker.waking(KIND, actors.wake):
            yield Conversations(actors=actors, log=log, meter=meter)
