"""Hosted sessions to try: a state as if just created, and the family over a store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import trio

from actors.partner import PartnerSettings, TooManyActive
from actors.partner.hosted import (
    Hosted,
    HostedSession,
    HostedSessions,
    Opening,
    check_opening,
    open_hosted,
)
from actors.partner.hosted.events import decode_event, state_after
from actors.partner.hosted.opening import make_session
from actors.partner.tenants import (
    Confirm,
    GiveBack,
    Principal,
    Reservation,
    Reserve,
    SessionEnded,
)
from actors.partner.webhooks import Notification
from engine.clock import SeededClock
from engine.durable import Log
from engine.seal import MasterKey, Sealer
from engine.store import Event, MemoryDisk, Store, open_memory
from engine.stream import StreamHub
from engine.waker import open_waker

NOW = datetime(2026, 1, 1, tzinfo=UTC)
URL = "https://yourapp.com/callback"
PUBLIC = "https://mooring.example"
SANDBOX = Principal(tenant_id="t1", kind="key", id="k1", environment="sandbox")
PRODUCTION = Principal(tenant_id="t1", kind="key", id="k2", environment="production")
USER = Principal(tenant_id="t1", kind="user", id="u1", role="owner")
STRANGER = Principal(tenant_id="t2", kind="user", id="u2", role="owner")


def sealer() -> Sealer:
    clock = SeededClock(7)
    return Sealer((MasterKey.generate(clock),), clock)


def opening(body: dict[str, Any] | None = None, **fields: Any) -> Opening:
    fields = {"environment": "sandbox", "return_url": URL} | fields
    return check_opening(Opening(**fields), body or {"return_url": fields["return_url"]})


def new_session(*, ttl_s: float = 1800, seed: int = 0, **fields: Any) -> Hosted:
    """Return a session as it is right after its create."""
    made = make_session(
        opening(**fields),
        tenant_id="t1",
        created_at=NOW,
        ttl_s=ttl_s,
        public_url=PUBLIC,
        epoch=1,
        clock=SeededClock(seed),
        sealer=sealer(),
    )
    return state_after(decode_event(made.commit.events[0].body))


class PaperTenants:
    """Tenants that count in memory and remember what they were asked."""

    def __init__(self, clock: SeededClock, *, room: int = 1_000_000) -> None:
        self.clock = clock
        self.room = room
        self.asked: list[Any] = []
        self.ended: list[str] = []
        self._tokens = 0
        self._last = datetime(1970, 1, 1, tzinfo=UTC)

    async def ask(self, tenant_id: str, message: Any, *, timeout_s: float = 30.0) -> Any:
        await trio.lowlevel.checkpoint()
        self.asked.append(message)
        match message:
            case Reserve():
                if self.taken >= self.room:
                    raise TooManyActive(limit=self.room, retry_after_s=1)
                self._tokens += 1
                self._last = max(self.clock.now(), self._last + timedelta(milliseconds=1))
                return Reservation(token=self._tokens, created_at=self._last)
            case SessionEnded(session_id=session_id):
                self.ended.append(session_id)
        return None

    def count(self, kind: type) -> int:
        return sum(isinstance(message, kind) for message in self.asked)

    @property
    def taken(self) -> int:
        return self._tokens - self.count(GiveBack)

    @property
    def confirmed(self) -> int:
        return self.count(Confirm)


class World(msgspec.Struct, kw_only=True):
    """Hosted sessions, and what they have told others."""

    desk: HostedSessions
    store: Store
    hub: StreamHub
    tenants: PaperTenants
    notes: list[Notification]
    published: dict[str, list[Event]]
    changes: list[str]
    clock: SeededClock
    failing: list[Exception]

    async def create(self, principal: Principal = SANDBOX, **fields: Any) -> dict[str, Any]:
        fields.setdefault("environment", principal.environment or "sandbox")
        answered = await self.desk.create(principal, opening(**fields))
        created: dict[str, Any] = msgspec.json.decode(answered.body)
        return created

    async def open_session(self, principal: Principal = SANDBOX, **fields: Any) -> str:
        session_id: str = (await self.create(principal, **fields))["session_id"]
        return session_id

    async def get(self, session_id: str, principal: Principal = USER) -> HostedSession:
        return await self.desk.get(principal, session_id)

    async def log(self, session_id: str) -> Sequence[Event]:
        return (await self.store.read(f"hosted/{session_id}")).events


@asynccontextmanager
async def world(
    *,
    disk: MemoryDisk | None = None,
    room: int = 1_000_000,
    settings: PartnerSettings | None = None,
    every_s: float = 1.0,
) -> AsyncIterator[World]:
    clock = SeededClock()
    tenants, notes, changes = PaperTenants(clock, room=room), [], []
    published: dict[str, list[Event]] = {}
    failing: list[Exception] = []

    async def notify(note: Notification) -> None:
        await trio.lowlevel.checkpoint()
        if failing:
            raise failing.pop()
        notes.append(note)

    async with open_memory(disk, clock=clock) as store:
        hub = StreamHub(store, final=frozenset())

        def publish(stream: str, events: Sequence[Event]) -> None:
            published.setdefault(stream, []).extend(events)
            hub.publish(stream, events)

        log = Log(store=store, epoch=await store.begin_epoch(), publish=publish, end=hub.end)
        async with (
            open_waker(store, clock, every_s=every_s) as waker,
            open_hosted(
                settings or PartnerSettings(),
                log=log,
                waker=waker,
                sealer=sealer(),
                clock=clock,
                tenants=tenants,
                notify=notify,
                public_url=PUBLIC,
                on_change=changes.append,
            ) as desk,
        ):
            yield World(
                desk=desk,
                store=store,
                hub=hub,
                tenants=tenants,
                notes=notes,
                published=published,
                changes=changes,
                clock=clock,
                failing=failing,
            )
