"""The partner family behind the door, over real sockets and a real SQLite file, in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import trio
from quart import Blueprint

from actors.partner import PartnerSettings
from actors.partner.tenants.passwords import Cost
from api.access import AccessLog
from api.address import Address, Origin
from api.app import App
from api.guard import policy_for
from api.house import House, open_house
from api.partner.credentials import Reach
from api.partner.house import PartnerHouse, open_partner, partner_routes
from api.server.drain import Drain
from api.server.listen import open_listener
from api.server.web import Web
from api.settings import Network, Settings, StreamSettings
from api.streams import Streams
from engine.clock import Clock, SystemClock
from engine.seal import MasterKey, Sealer

CHEAP = Cost(passes=1, memory_kib=8)
PASSWORD = "a long enough password"
MASTER = MasterKey(b"m" * 32)


class Person(msgspec.Struct, kw_only=True):
    """Somebody who has logged in."""

    access_token: str
    refresh_token: str
    user: dict[str, Any]

    @property
    def bearer(self) -> dict[str, str]:
        return bearer(self.access_token)


class Counter(msgspec.Struct, kw_only=True):
    """A door that is being served, and what is behind it."""

    client: httpx.AsyncClient
    port: int
    house: House
    partner: PartnerHouse

    async def post(
        self, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return await self.client.post(f"/api/v1{path}", json=body, headers=headers)

    async def get(self, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
        return await self.client.get(f"/api/v1{path}", headers=headers)

    async def sign_up(self, email: str = "ada@example.com") -> Person:
        answer = await self.post("/auth/signup", {"email": email, "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        return person(answer)

    async def log_in(
        self, email: str = "ada@example.com", password: str = PASSWORD, **headers: str
    ) -> httpx.Response:
        body = {"email": email, "password": password}
        return await self.post("/auth/login", body, headers)

    async def generate_key(self, who: Person, environment: str = "sandbox") -> dict[str, Any]:
        body = {"environment": environment}
        answer = await self.post("/api-keys/generate", body, who.bearer)
        assert answer.status_code == 201, answer.text
        key: dict[str, Any] = answer.json()
        return key


def person(answer: httpx.Response) -> Person:
    return msgspec.convert(answer.json(), Person)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def partnering(
    data_dir: Path,
    *,
    tokens: tuple[str, ...] = (),
    origins: frozenset[Origin] = frozenset(),
    proxies: tuple[Network, ...] = (),
    is_https: bool = False,
    cost: Cost = CHEAP,
    extra: Callable[[PartnerHouse, Reach], Blueprint] | None = None,
    clock: Clock | None = None,
    **settings: Any,
) -> AsyncIterator[Counter]:
    """Serve the family on a free port, and stop when the scope ends."""
    clock, drain = clock or SystemClock(), Drain()
    sealer = Sealer((MASTER,), clock)
    listener = open_listener(Address.at(0))
    port = listener.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    async with (
        open_house(Settings(), data_dir=data_dir, sealer=sealer, clock=clock) as house,
        open_partner(
            PartnerSettings(**settings),
            house=house,
            public_url=base,
            clock=clock,
            drain_s=0.2,
            password_cost=cost,
        ) as partner,
    ):
        policy = policy_for(tokens, origins)
        app = App(policy=policy, drain=drain, max_body_bytes=1024 * 1024)
        reach = Reach(policy=policy, is_https=is_https, trusted=proxies)
        streams = Streams(house.hub, house.store, drain, StreamSettings())
        for routes in partner_routes(partner, reach, streams):
            app.register_blueprint(routes)
        if extra is not None:
            app.register_blueprint(extra(partner, reach))
        web = Web(AccessLog(app, clock, proxies), drain, drain_s=1.0)
        async with trio.open_nursery() as nursery:
            await nursery.start(web.run, [listener])
            drain.serve()
            limits = httpx.Limits(max_connections=200)
            async with httpx.AsyncClient(
                base_url=base, trust_env=False, timeout=20, limits=limits
            ) as client:
                yield Counter(client=client, port=port, house=house, partner=partner)
            drain.begin()
