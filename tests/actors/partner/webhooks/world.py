"""Webhooks over a store in memory, in virtual time, with a receiver in place of the network."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec
import trio

from actors.partner.settings import PartnerSettings
from actors.partner.webhooks import (
    Change,
    Created,
    ListedAttempt,
    Notification,
    Outcome,
    Outgoing,
    Permit,
    Webhooks,
    open_webhooks,
)
from engine import SeededClock
from engine.durable import Log
from engine.seal import MasterKey, Sealer
from engine.store import MemoryDisk, Store, open_memory
from engine.waker import open_waker

URL = "https://example.com/hooks"
TAKEN = Outcome(status=200, response="thanks")
REFUSED = Outcome(status=500, response="no", error="answered 500")
Act = Callable[[Outgoing], Outcome]


class Got(msgspec.Struct, kw_only=True):
    """What a receiver has got, and when."""

    url: str
    at: datetime
    headers: dict[str, str]
    text: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def body(self) -> Any:
        return json.loads(self.text)


class Receiver:
    """Implements `Send`: takes what is sent, or does what `act` says of it.

    Attributes:
        takes_s: how long it takes to answer.
    """

    def __init__(self, act: Act = lambda outgoing: TAKEN, *, takes_s: float = 0.1) -> None:
        self.act = act
        self.takes_s = takes_s
        self.got: list[Got] = []
        self.clock = SeededClock()

    async def __call__(self, outgoing: Outgoing) -> Outcome:
        self.got.append(
            Got(
                url=outgoing.url,
                at=self.clock.now(),
                headers=dict(outgoing.headers),
                text=outgoing.body,
            )
        )
        await trio.sleep(self.takes_s)
        return self.act(outgoing)

    @property
    def ids(self) -> list[str]:
        return [one.id for one in self.got]


class World:
    """The webhooks, and what tests ask of them for tenant `t1`."""

    def __init__(
        self, webhooks: Webhooks, receiver: Receiver, store: Store, clock: SeededClock
    ) -> None:
        self.webhooks = webhooks
        self.receiver = receiver
        self.store = store
        self.clock = clock

    async def create(self, tenant_id: str = "t1", url: str = URL, **fields: Any) -> Created:
        return await self.webhooks.create(tenant_id, url=url, **{"by": "u1"} | fields)

    async def notify(self, subject: str = "s1", **fields: Any) -> Notification:
        given: dict[str, Any] = {
            "tenant_id": "t1",
            "environment": "sandbox",
            "type": "session.completed",
            "subject": subject,
            "seq": 3,
            "at": self.clock.now(),
            "data": msgspec.json.encode({"session_id": subject, "state": "completed"}),
        }
        note = Notification(**given | fields)
        await self.webhooks.notify(note)
        return note

    async def attempts(self, created: Created, **query: Any) -> Sequence[ListedAttempt]:
        id_ = created.endpoint.id
        page = await self.webhooks.attempts("t1", id_, **{"limit": 100} | query)
        return page.attempts

    async def days(self, days: float) -> None:
        await trio.sleep(timedelta(days=days).total_seconds())


async def _anything(change: Change) -> None:
    await trio.lowlevel.checkpoint()


@asynccontextmanager
async def world(
    receiver: Receiver | None = None,
    *,
    disk: MemoryDisk | None = None,
    seed: int = 0,
    permit: Permit | None = None,
    looks_every_s: float = 60.0,
) -> AsyncIterator[World]:
    """Open webhooks.

    Args:
        permit: default: everybody may change everything.
        looks_every_s: how often the waker looks for what is due; each second, as a server does,
            would make a virtual day long.
    """
    clock = SeededClock(seed)
    receiver = receiver or Receiver()
    # The key must be the same at each start.
    sealer = Sealer((MasterKey(b"k" * 32),), clock)
    async with open_memory(disk, clock=clock) as store:
        log = Log(
            store=store,
            epoch=await store.begin_epoch(),
            publish=lambda stream, events: None,
            end=lambda stream, reason: None,
        )
        async with (
            open_waker(store, clock, every_s=looks_every_s) as waker,
            open_webhooks(
                PartnerSettings(),
                log=log,
                waker=waker,
                sealer=sealer,
                clock=clock,
                permit=permit or _anything,
                drain_s=0.5,
                send=receiver,
            ) as webhooks,
        ):
            yield World(webhooks, receiver, store, clock)
