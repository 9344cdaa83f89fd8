"""Conversations behind the door, over real sockets and a real SQLite file, in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import trio

from actors.assistant.settings import AssistantSettings
from api.access import AccessLog
from api.address import Address
from api.app import App
from api.assistant.house import open_assistant
from api.assistant.routes import assistant_routes
from api.chat.routes import chat_routes
from api.guard import policy_for
from api.house import House, open_house
from api.server.drain import Drain
from api.server.listen import open_listener
from api.server.web import Web
from api.settings import Settings, StreamSettings
from api.streams import Streams
from engine.clock import Clock, SystemClock
from engine.seal import MasterKey, Sealer
from tests.api.wire import Line, lined

FAST = AssistantSettings(echo_pause_s=0.0)
CREATE = {"businessId": "B0100001", "userId": "user_123"}


class Talk(msgspec.Struct, kw_only=True):
    """A door that is being served, and what is behind it."""

    client: httpx.AsyncClient
    port: int
    house: House
    drain: Drain
    web: Web

    async def create(self, **fields: Any) -> dict[str, Any]:
        answer = await self.client.post("/api/sessions", json=CREATE | fields)
        assert answer.status_code in {200, 201}, answer.text
        session: dict[str, Any] = answer.json()
        return session

    async def open_session(self, **fields: Any) -> str:
        session_id: str = (await self.create(**fields))["sessionId"]
        return session_id

    async def post(self, session_id: str, content: str, **fields: Any) -> dict[str, Any]:
        body = {"content": content} | fields
        answer = await self.client.post(f"/api/sessions/{session_id}/messages", json=body)
        assert answer.status_code == 201, answer.text
        message: dict[str, Any] = answer.json()
        return message

    async def messages(self, session_id: str, **query: Any) -> list[dict[str, Any]]:
        answer = await self.client.get(f"/api/sessions/{session_id}/messages", params=query)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["messages"]
        return found

    @asynccontextmanager
    async def line(self, session_id: str, after: int | str | None = None) -> AsyncIterator[Line]:
        """Subscribe by websocket for the length of a block."""
        query = "" if after is None else f"?after={after}"
        async with lined(self.port, f"/api/sessions/{session_id}/stream{query}") as line:
            yield line


def sealer(clock: Clock) -> Sealer:
    return Sealer((MasterKey.generate(clock),), clock)


@asynccontextmanager
async def conversing(
    data_dir: Path,
    *,
    assistant: AssistantSettings = FAST,
    streams: StreamSettings | None = None,
    tokens: tuple[str, ...] = (),
    clock: Clock | None = None,
    is_https: bool = False,
    **web_options: Any,
) -> AsyncIterator[Talk]:
    """Serve conversations on a free port, and stop when the scope ends."""
    settings = Settings(assistant=assistant, streams=streams or StreamSettings())
    clock, drain = clock or SystemClock(), Drain()
    web_options.setdefault("drain_s", 1.0)
    web_options.setdefault("max_frame_bytes", settings.streams.max_frame_bytes)
    async with (
        open_house(settings, data_dir=data_dir, sealer=sealer(clock), clock=clock) as house,
        open_assistant(
            assistant, log=house.log, waker=house.waker, clock=clock, drain_s=0.2
        ) as desk,
    ):
        policy = policy_for(tokens, frozenset())
        app = App(policy=policy, drain=drain, max_body_bytes=1024 * 1024)
        live = Streams(house.hub, house.store, drain, settings.streams)
        app.register_blueprint(assistant_routes(desk, live))
        app.register_blueprint(chat_routes(policy, clock, is_https=is_https))
        web = Web(AccessLog(app, clock), drain, **web_options)
        listener = open_listener(Address.at(0))
        port = listener.getsockname()[1]
        async with trio.open_nursery() as nursery:
            await nursery.start(web.run, [listener])
            drain.serve()
            base = f"http://127.0.0.1:{port}"
            limits = httpx.Limits(max_connections=200)
            async with httpx.AsyncClient(
                base_url=base, trust_env=False, timeout=20, limits=limits
            ) as client:
                yield Talk(client=client, port=port, house=house, drain=drain, web=web)
            drain.begin()
