"""Conversations, put together: the log, its live streams, and the actors over both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from actors.assistant.family import open_conversations
from actors.assistant.responders import open_responder
from api.assistant_desk import AssistantDesk
from api.settings import Settings
from engine.clock import Clock
from engine.durable import Log
from engine.store import Store, open_sqlite
from engine.stream import StreamHub, StreamLimits

DATABASE: Final = "mooring.db"
# After these a stream has nothing more to say.
FINAL_EVENTS: Final = frozenset({"session.closed"})


class House(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept, and the ways in."""

    desk: AssistantDesk
    hub: StreamHub
    log: Log

    @property
    def store(self) -> Store:
        return self.log.store


@asynccontextmanager
async def open_house(
    settings: Settings, *, data_dir: Path, clock: Clock, drain_s: float
) -> AsyncIterator[House]:
    """Open the store in the data directory, and conversations over it, for the length of a block.

    Args:
        drain_s: what replies that are being written get at the end; the next start marks the rest.

    Raises:
        StoreError: the store cannot be opened.
    """
    async with open_sqlite(data_dir / DATABASE, clock=clock) as store:
        limits = StreamLimits(
            subscribers_per_stream=settings.streams.per_session,
            subscribers=settings.streams.per_server,
        )
        hub = StreamHub(store, final=FINAL_EVENTS, limits=limits)
        log = Log(store=store, epoch=await store.begin_epoch(), publish=hub.publish, end=hub.end)
        async with (
            open_responder(settings.assistant, clock) as responder,
            open_conversations(
                settings.assistant, responder=responder, log=log, clock=clock, drain_s=drain_s
            ) as conversations,
        ):
            yield House(desk=AssistantDesk(conversations, clock), hub=hub, log=log)
