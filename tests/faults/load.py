"""Clients of every kind of session, that go on whatever happens, and know what they were answered.

Each asks again, under the same key, until it is answered: what it was answered must then be there,
once and in order, however often the server died in between.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import httpx
import trio
from wsproto.utilities import RemoteProtocolError

from tests.api.partner.partnering import PASSWORD, bearer
from tests.api.wire import Closed, Refused, lined
from tests.e2e.running import credentials

# What a client may be told while the server, its Chromium or its store are away.
_PASSING: Final = frozenset({429, 502, 503, 504})
_PAUSE_S: Final = 0.05
SETTINGS: Final = {
    "MOORING_ASSISTANT__ECHO_PAUSE_S": "0.001",
    "MOORING_PARTNER__MONTHLY_QUOTA": "1000000",
    "MOORING_PARTNER__RATE_LIMIT_PER_MINUTE": "1000000",
    "MOORING_PARTNER__MAX_ACTIVE": "100000",
}


class Over(Exception):
    """The load has been ended; what had not been answered by then is not asked again."""


class Place:
    """Where the server is now, and how it goes."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.url = ""
        self.answered: Counter[str] = Counter()
        self.cut = self.passing = 0
        self.over = False
        self._changed = trio.Event()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def ask(
        self,
        kind: str,
        method: str,
        path: str,
        *,
        also: frozenset[int] = frozenset(),
        passing: frozenset[int] = _PASSING,
        **more: Any,
    ) -> httpx.Response:
        """Ask until it is answered: with success, or with one of the statuses in `also`.

        Those in `passing` have it asked again, any other one fails the test.

        Raises:
            Over: the load was ended before that.
        """
        while not self.over:
            try:
                answer = await self.http.request(method, self.url + path, **more)
            except httpx.TransportError:
                self.cut += 1
            else:
                if answer.is_success or answer.status_code in also:
                    self.answered[kind] += 1
                    self._changed.set()
                    self._changed = trio.Event()
                    return answer
                assert answer.status_code in passing, f"{method} {path}: {answer.text}"
                self.passing += 1
            await trio.sleep(_PAUSE_S)
        raise Over

    async def wait_more(self, kinds: tuple[str, ...], answers: int) -> None:
        """Wait until so many more have been answered, and one of each kind among them."""
        before = self.answered.copy()
        with trio.fail_after(120):
            while True:
                more = self.answered - before
                if more.total() >= answers and all(more[kind] for kind in kinds):
                    return
                await self._changed.wait()


class Chat:
    """Somebody who talks, and who follows the stream of it."""

    kind = "conversation"

    def __init__(self, place: Place, name: str) -> None:
        self.place = place
        self.name = name
        self.session_id = ""
        self.sent: list[str] = []
        self.seen: list[int] = []

    async def run(self) -> None:
        opening = {"businessId": "B1", "userId": self.name}
        made = await self.place.ask(self.kind, "POST", "/api/sessions", json=opening)
        self.session_id = made.json()["sessionId"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow)
            with suppress(Over):
                await self._talk()
            nursery.cancel_scope.cancel()

    async def _talk(self) -> None:
        while True:
            text = f"{self.name} says {len(self.sent)}"
            await self.place.ask(
                self.kind,
                "POST",
                f"/api/sessions/{self.session_id}/messages",
                json={"content": text},
                headers={"Idempotency-Key": text},
                # Over a slow network it talks faster than it is replied to: its line may be full.
                passing=_PASSING | {409},
            )
            self.sent.append(text)
            await trio.sleep(_PAUSE_S)

    async def _follow(self) -> None:
        while True:
            after = self.seen[-1] if self.seen else 0
            path = f"/api/sessions/{self.session_id}/stream?after={after}"
            try:
                async with lined(self.place.port, path) as line:
                    while True:
                        frame = await line.next()
                        if "at" in frame:
                            self.seen.append(frame["seq"])
            except (OSError, Closed, Refused, trio.BrokenResourceError, trio.TooSlowError):
                await trio.sleep(_PAUSE_S)
            except RemoteProtocolError:  # killed in the middle of the answer to the handshake
                await trio.sleep(_PAUSE_S)

    async def check(self) -> None:
        path = f"/api/sessions/{self.session_id}/messages"
        found: list[dict[str, Any]] = []
        after: str | None = "0"
        while after is not None:
            query = {"limit": "100", "after": after}
            page = (await self.place.ask(self.kind, "GET", path, params=query)).json()
            found += page["messages"]
            after = page["nextCursor"]
        texts = [message["content"] for message in found if message["role"] == "user"]
        # What was under way when the load was ended may be there or not.
        assert texts[: len(self.sent)] == self.sent
        assert len(texts) <= len(self.sent) + 1
        seqs = [message["seq"] for message in found]
        assert seqs == sorted(set(seqs))
        assert self.seen == await self._stream(), "an event was missed, came twice, or out of order"

    async def _stream(self) -> list[int]:
        """Return what the stream has for one who was never cut, as far as this one has come."""
        newest = self.seen[-1] if self.seen else 0
        path = f"/api/sessions/{self.session_id}/stream?after=0"
        found: list[int] = []
        async with lined(self.place.port, path) as line:
            while not found or found[-1] < newest:
                frame = await line.next()
                if "at" in frame:
                    found.append(frame["seq"])
        return [seq for seq in found if seq <= newest]


class Driver:
    """Somebody who uses the portal through a browser session of their own."""

    kind = "browser"

    def __init__(self, place: Place, number: int) -> None:
        self.place = place
        self.number = number
        self.ids: list[str] = []

    async def run(self) -> None:
        while True:
            body = {"container_id": "TRHU1866154"} | credentials(self.number)
            if self.ids:
                body["session_id"] = self.ids[-1]
            # 409: its session was closed under it, with the server.
            answer = await self.place.ask(
                self.kind, "POST", "/get_booking_number", json=body, also=frozenset({409})
            )
            if answer.status_code == 200:
                assert answer.json()["booking_number"] == "RICFEM857500"
                if answer.json()["session_id"] not in self.ids:
                    self.ids.append(answer.json()["session_id"])

    async def check(self) -> None:
        listed = (await self.place.ask(self.kind, "GET", "/sessions")).json()["sessions"]
        mine = [it for it in listed if it["username"] == f"driver-{self.number}"]
        assert [it["session_id"] for it in mine] == self.ids[-1:]


class Partner:
    """A company that sends visitors to hosted sessions."""

    kind = "hosted"
    allowed: frozenset[str] = frozenset({"pending", "cancelled"})  # of one that it let be
    too_late: frozenset[int] = frozenset()  # what a cancel may be answered with

    def __init__(self, place: Place, name: str) -> None:
        self.place = place
        self.email = f"{name}@example.com"
        self.made: dict[str, str] = {}  # by idempotency key
        self.cancelled: set[str] = set()
        self.key: dict[str, str] = {}

    async def run(self) -> None:
        await self._sign_up()
        while True:
            name = f"order-{len(self.made)}"
            session_id = await self._create(name)
            assert await self._create(name) == session_id
            self.made[name] = session_id
            if len(self.made) % 2:
                path = f"/sessions/{session_id}/cancel"
                if (await self._ask("POST", path, also=self.too_late)).is_success:
                    self.cancelled.add(session_id)
            await trio.sleep(_PAUSE_S)

    async def _sign_up(self) -> None:
        body = {"email": self.email, "password": PASSWORD}
        known = frozenset({400, 409, 422})  # an earlier try had come through
        answer = await self.place.ask(
            self.kind, "POST", "/api/v1/auth/signup", json=body, also=known
        )
        if not answer.is_success:
            answer = await self.place.ask(self.kind, "POST", "/api/v1/auth/login", json=body)
        key = await self.place.ask(
            self.kind,
            "POST",
            "/api/v1/api-keys/generate",
            json={"environment": "sandbox"},
            headers=bearer(answer.json()["access_token"]),
        )
        self.key = bearer(key.json()["api_key"])

    async def _create(self, name: str) -> str:
        body = {"return_url": "https://yourapp.example/back", "metadata": {"order": name}}
        headers = self.key | {"Idempotency-Key": name}
        made = await self._ask("POST", "/sessions/create", json=body, headers=headers)
        session_id: str = made.json()["session_id"]
        return session_id

    async def _ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        headers = headers or self.key
        path = f"/api/v1{path}"
        return await self.place.ask(self.kind, method, path, headers=headers, **more)

    async def check(self) -> None:
        assert len(set(self.made.values())) == len(self.made), "one session for two orders"
        for session_id in self.made.values():
            found = (await self._ask("GET", f"/sessions/{session_id}")).json()
            wanted = {"cancelled"} if session_id in self.cancelled else self.allowed
            assert found["state"] in wanted


Client = Chat | Driver | Partner


class Load:
    """All the clients; they run until `end`."""

    def __init__(self, place: Place, clients: list[Client]) -> None:
        self.place = place
        self.clients = clients
        self.kinds = tuple({client.kind for client in clients})
        self._ended = trio.Event()

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            for client in self.clients:
                nursery.start_soon(self._run, client)
        self._ended.set()

    async def _run(self, client: Client) -> None:
        with suppress(Over):
            await client.run()

    async def end(self) -> None:
        """Let everybody finish what they are about, and return when they have.

        Nothing is cancelled: httpx leaves generators behind when it is.
        """
        self.place.over = True
        with trio.fail_after(60):
            await self._ended.wait()
        self.place.over = False

    async def check(self) -> None:
        """Hold what there is against what was answered."""
        async with trio.open_nursery() as nursery:
            for client in self.clients:
                nursery.start_soon(client.check)

    def counts(self) -> str:
        """Say how much was answered, and what stood in the way."""
        answered = ", ".join(f"{n} {kind}" for kind, n in sorted(self.place.answered.items()))
        return f"answered {answered}; {self.place.cut} cut, {self.place.passing} told to come again"


@asynccontextmanager
async def loaded(make: Callable[[Place], list[Client]]) -> AsyncIterator[Load]:
    """Make clients, with a client of HTTP for the length of a block."""
    limits = httpx.Limits(max_connections=100)
    async with httpx.AsyncClient(trust_env=False, timeout=60, limits=limits) as http:
        place = Place(http)
        yield Load(place, make(place))
    gc.collect()  # what was cut off is heard of here, and not in whichever test comes next


_COMES_TO_REST: Final = (
    "mooring_sessions_in_use",
    "mooring_capacity_waiting",
    "mooring_commits_waiting",
    "mooring_stream_subscribers",
    "mooring_inbox_depth",
    "mooring_browser_contexts_waiting",
)


async def until_idle(figures: Callable[[], Awaitable[Mapping[str, float]]]) -> None:
    """Wait until nothing is in use, in line or under way any more: what stays would be a leak."""
    with trio.fail_after(60):
        while True:
            found = await figures()
            busy = [name for name in found if found[name] and name.startswith(_COMES_TO_REST)]
            # The scrape is one itself.
            if not busy and found["mooring_requests_running"] <= 1:
                return
            await trio.sleep(_PAUSE_S)
