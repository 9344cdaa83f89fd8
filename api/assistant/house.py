"""Conversations, put together over the house: whoever answers them, the actors, the desk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from actors.assistant.family import open_conversations
from actors.assistant.responders import open_responder
from actors.assistant.settings import AssistantSettings
from api.assistant.desk import AssistantDesk
from engine.clock import Clock
from engine.durable import Log
from engine.waker import Waker


@asynccontextmanager
async def open_assistant(
    settings: AssistantSettings, *, log: Log, waker: Waker, clock: Clock, drain_s: float
) -> AsyncIterator[AssistantDesk]:
    """Open conversations for the length of a block.

    Args:
        drain_s: what replies that are being written get at the end; the next start marks the rest.
    """
    async with (
        open_responder(settings, clock) as responder,
        open_conversations(
            settings, responder=responder, log=log, waker=waker, clock=clock, drain_s=drain_s
        ) as conversations,
    ):
        yield AssistantDesk(conversations, clock)
