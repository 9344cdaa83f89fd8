"""Tenants over a store in memory, in virtual time; and sessions of theirs, written by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from actors.partner import PartnerSettings
from actors.partner.tenants import (
    OPERATOR,
    ApiKey,
    Confirm,
    CreateTenant,
    Environment,
    GenerateKey,
    QuotaReached,
    Reservation,
    Reserve,
    Tenants,
    Usage,
    User,
    open_tenants,
)
from actors.partner.tenants.admission import ReadUsage
from engine import MooringError, SeededClock
from engine.clock import timestamp
from engine.durable import Log
from engine.seal import MasterKey, Sealer
from engine.store import CatalogueRow, Commit, Event, MemoryDisk, Store, milliseconds, open_memory
from engine.waker import open_waker

TENANT = "t1"


class World:
    def __init__(self, tenants: Tenants, clock: SeededClock) -> None:
        self.tenants = tenants
        self.clock = clock
        self.told: list[QuotaReached] = []
        self.tell_fails = 0
        self.sessions = 0

    @property
    def store(self) -> Store:
        return self.tenants.log.store

    async def tell(self, tenant_id: str, reached: QuotaReached) -> None:
        if self.tell_fails:
            self.tell_fails -= 1
            raise MooringError("nobody listens")
        self.told.append(reached)

    async def ask(self, message: Any) -> Any:
        return await self.tenants.ask(TENANT, message)

    async def create_tenant(self) -> None:
        await self.ask(CreateTenant(tenant_id=TENANT, user=user(), by=OPERATOR))

    async def generate_key(self, digest: str = "d1") -> ApiKey:
        key: ApiKey = await self.ask(GenerateKey(key=key_of(digest)))
        return key

    async def reserve(self, environment: Environment = "sandbox") -> Reservation:
        reservation: Reservation = await self.ask(Reserve(environment=environment))
        return reservation

    async def create(self, environment: Environment = "sandbox", *, confirm: bool = True) -> str:
        """Make a session as the hosted family does; return its id."""
        place = await self.reserve(environment)
        self.sessions += 1
        session_id = f"s{self.sessions}"
        await self.write(session_id, place.created_at, environment)
        if confirm:
            await self.ask(Confirm(token=place.token, session_id=session_id))
        return session_id

    async def write(
        self,
        session_id: str,
        created_at: datetime,
        environment: Environment = "sandbox",
        status: str = "pending",
    ) -> None:
        stream, at_ms = f"hosted/{session_id}", milliseconds(created_at)
        seq = await self.store.newest(stream)
        row = CatalogueRow(
            owner=TENANT,
            status=status,
            created_at_ms=at_ms,
            updated_at_ms=at_ms,
            tags={"place": f"{TENANT}/{environment}"},
        )
        event = Event(seq=seq + 1, type="session.created", at_ms=at_ms, body=b"{}")
        epoch = self.tenants.log.epoch
        await self.store.commit(
            Commit(stream=stream, epoch=epoch, expected_seq=seq, events=(event,), row=row)
        )

    async def usage(self) -> Usage:
        usage: Usage = await self.ask(ReadUsage())
        return usage


def user(user_id: str = "u1", **fields: Any) -> User:
    known: dict[str, Any] = {
        "role": "owner",
        "email": b"sealed",
        "email_digest": f"digest-{user_id}",
        "password": "hash",
        "created_at": "2026-01-01T00:00:00.000Z",
    }
    return User(user_id=user_id, **(known | fields))


def key_of(digest: str, *, by: str = "u1") -> ApiKey:
    return ApiKey(
        key_id=f"key-{digest}",
        environment="sandbox",
        name="",
        hint="vp_sandbox_…",
        digest=digest,
        created_at="2026-01-01T00:00:00.000Z",
        created_by=by,
    )


@asynccontextmanager
async def world(
    settings: PartnerSettings | None = None,
    *,
    disk: MemoryDisk | None = None,
    create: bool = True,
    start: datetime | None = None,
) -> AsyncIterator[World]:
    clock = SeededClock() if start is None else SeededClock(start=start)
    async with open_memory(disk, clock=clock) as store:
        log = Log(
            store=store,
            epoch=await store.begin_epoch(),
            publish=lambda *_: None,
            end=lambda *_: None,
        )
        sealer = Sealer((MasterKey.generate(clock),), clock)
        worlds: list[World] = []

        async def tell(tenant_id: str, reached: QuotaReached) -> None:
            await worlds[0].tell(tenant_id, reached)

        async with (
            open_waker(store, clock) as waker,
            open_tenants(
                settings or PartnerSettings(),
                log=log,
                waker=waker,
                sealer=sealer,
                clock=clock,
                tell=tell,
            ) as tenants,
        ):
            worlds.append(World(tenants, clock))
            if create:
                await worlds[0].create_tenant()
            yield worlds[0]


def at(clock: SeededClock) -> str:
    return timestamp(clock.now())
