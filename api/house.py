"""What everything is kept in: the store, its live streams, and the key that seals secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from actors.partner.hosted import FINAL_TYPES
from api.datadir import node_name
from api.settings import Settings
from api.storage import open_store
from engine.clock import Clock
from engine.durable import Log
from engine.ownership import open_ownership
from engine.seal import Sealer
from engine.store import Store
from engine.stream import StreamHub, StreamLimits
from engine.waker import Waker, open_waker

# After these a stream has nothing more to say.
FINAL_EVENTS: Final = frozenset({"session.closed"}) | FINAL_TYPES


class House(msgspec.Struct, frozen=True, kw_only=True):
    """What all families of sessions share."""

    hub: StreamHub
    log: Log
    sealer: Sealer
    waker: Waker

    @property
    def store(self) -> Store:
        return self.log.store


@asynccontextmanager
async def open_house(
    settings: Settings, *, data_dir: Path, sealer: Sealer, clock: Clock
) -> AsyncIterator[House]:
    """Open the store that is set, or the one in the data directory, for the length of a block.

    Raises:
        StoreError: the store cannot be opened.
    """
    async with open_store(settings.store, data_dir=data_dir, clock=clock) as store:
        limits = StreamLimits(
            subscribers_per_stream=settings.streams.per_session,
            subscribers=settings.streams.per_server,
        )
        hub = StreamHub(store, final=FINAL_EVENTS, limits=limits)
        epoch, node = await store.begin_epoch(), node_name(data_dir, clock)
        async with (
            open_ownership(store, node=node, lease_s=settings.lease_s) as ownership,
            open_waker(store, clock) as waker,
        ):
            log = Log(
                store=store, epoch=epoch, publish=hub.publish, end=hub.end, ownership=ownership
            )
            yield House(hub=hub, log=log, sealer=sealer, waker=waker)
