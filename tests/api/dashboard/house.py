"""The dashboard over real tenants, sessions, webhooks, store and sockets, in this process."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec
import trio

from actors.partner import PartnerSettings
from actors.partner.hosted import Opening, check_opening
from actors.partner.tenants import ChangeProfile, Principal
from api.access import AccessLog
from api.address import Address
from api.app import App
from api.guard import policy_for
from api.house import House, open_house
from api.partner.credentials import Reach
from api.partner.house import PartnerHouse, open_partner, partner_routes
from api.server.drain import Drain
from api.server.listen import open_listener
from api.server.web import Web
from api.settings import Settings, StreamSettings
from api.streams import Streams
from engine.clock import SystemClock
from engine.seal import Sealer
from tests.api.partner.partnering import CHEAP, MASTER

PARTNER: Final = PartnerSettings(
    max_active=100, rate_limit_per_minute=10_000, webhook_allow_private=True
)
ADA: Final = {"email": "ada@harbour.example", "password": "correct horse battery"}


class Dash(msgspec.Struct, kw_only=True):
    """A dashboard that is being served, and what is behind it."""

    client: httpx.AsyncClient
    url: str
    house: House
    app: App
    partner: PartnerHouse
    principal: Principal | None = None

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.client.get(path, **options)

    async def post(self, path: str, /, **fields: Any) -> httpx.Response:
        """Send a form as a page of ours does."""
        return await self.client.post(path, data=fields, headers={"Origin": self.url})

    async def sign_up(self, email: str = ADA["email"]) -> None:
        answer = await self.post("/dashboard/signup", email=email, password=ADA["password"])
        assert answer.status_code == 303, answer.text

    async def whose(self) -> Principal:
        """Return who has signed up."""
        if self.principal is None:
            self.principal = await self._log_in()
        return self.principal

    async def _log_in(self) -> Principal:
        email = ADA["email"]
        entered = await self.partner.accounts.log_in(
            email, ADA["password"], client="test", kind="web"
        )
        account = entered.account
        return Principal(
            tenant_id=account.tenant_id, kind="user", id=account.user_id, role=account.role
        )

    async def create(self, *, purpose: str | None = None, **metadata: str) -> str:
        """Create a session as a partner's server does, and return its id."""
        body = {"return_url": "https://yourapp.example/callback", "metadata": metadata}
        opening = check_opening(Opening(environment="sandbox", purpose=purpose, **body), body)
        answered = await self.partner.hosted.create(await self.whose(), opening)
        session_id: str = msgspec.json.decode(answered.body)["session_id"]
        return session_id

    async def cancel(self, session_id: str) -> None:
        await self.partner.hosted.cancel(await self.whose(), session_id)

    async def name_everything(self, text: str) -> None:
        """Put a text wherever somebody may write one that others see."""
        who = await self.whose()
        profile = ChangeProfile(name=text[:100], logo_url=None, by=who.id)
        await self.partner.tenants.ask(who.tenant_id, profile)
        await self.partner.keyring.generate(who.tenant_id, "sandbox", name=text[:100], by=who.id)
        address = f"https://x.example/{quote(text)}"[:1500]
        await self.partner.webhooks.create(who.tenant_id, url=address, by=who.id)


def problems_in(answer: httpx.Response) -> dict[str, str]:
    """Return what a form says is wrong, by field."""
    found = re.findall(r'class="problem"(?: id="([^"]*)-problem")?>([^<]*)<', answer.text)
    return dict(found)


@asynccontextmanager
async def dashing(
    data_dir: Path, partner: PartnerSettings = PARTNER, *, is_https: bool = False
) -> AsyncIterator[Dash]:
    """Serve the dashboard on a free port, and stop when the scope ends."""
    settings = Settings(partner=partner)
    clock, drain = SystemClock(), Drain()
    listener = open_listener(Address.at(0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    sealer = Sealer((MASTER,), clock)
    async with (
        open_house(settings, data_dir=data_dir, sealer=sealer, clock=clock) as house,
        open_partner(
            partner,
            house=house,
            public_url=url,
            clock=clock,
            drain_s=0.2,
            password_cost=CHEAP,
        ) as family,
    ):
        policy = policy_for((), frozenset())
        app = App(policy=policy, drain=drain, max_body_bytes=1024 * 1024)
        streams = Streams(house.hub, house.store, drain, StreamSettings())
        for routes in partner_routes(family, Reach(policy=policy, is_https=is_https), streams):
            app.register_blueprint(routes)
        web = Web(AccessLog(app, clock), drain, drain_s=1.0)
        async with trio.open_nursery() as nursery:
            await nursery.start(web.run, [listener])
            drain.serve()
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client:
                yield Dash(client=client, url=url, house=house, app=app, partner=family)
            drain.begin()
