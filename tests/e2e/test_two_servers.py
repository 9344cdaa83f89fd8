"""Two servers on one PostgreSQL: each session has one owner, and the other one takes over."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.api.harness import Server, server
from tests.engine.store.parts import PostgresBackend
from tests.faults.private_postgres import PrivatePostgres

pytestmark = pytest.mark.usefixtures("leak_check")

CREATES = 50
KEY = "A" * 43 + "="
# Longer than a loaded machine keeps a server from renewing.
LEASE_S = 8
WHO = {"businessId": "B0100001", "userId": "user_123"}


class Node:
    """One of the servers, as a client sees it."""

    def __init__(self, running: Server, http: httpx.AsyncClient) -> None:
        self.running = running
        self._http = http

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self._http.post(f"{self.running.urls[0]}/api/sessions{path}", json=body)

    async def get(self, path: str) -> httpx.Response:
        return await self._http.get(f"{self.running.urls[0]}/api/sessions{path}")

    async def say(self, session_id: str, content: str) -> httpx.Response:
        return await self.post(f"/{session_id}/messages", content=content)

    async def create(self, **fields: Any) -> dict[str, Any]:
        answer = await self.post("", **{**WHO, **fields})
        assert answer.status_code in {200, 201}, answer.text
        made: dict[str, Any] = answer.json()
        return made


@asynccontextmanager
async def node(folder: Path, store: str) -> AsyncIterator[Node]:
    await trio.Path(folder).mkdir(exist_ok=True)
    env = {"MOORING_STORE": store, "MOORING_KEY": KEY, "MOORING_LEASE_S": str(LEASE_S)}
    async with (
        server(folder, env=env) as running,
        httpx.AsyncClient(trust_env=False, timeout=30) as http,
    ):
        await running.wait_ready()
        yield Node(running, http)


@pytest.fixture
def place(postgres: PrivatePostgres) -> PostgresBackend:
    return PostgresBackend(postgres)


def owners(place: PostgresBackend) -> list[str]:
    """The streams that have an owner whose lease runs."""
    found = place.server.sql(
        f"SELECT stream FROM {place.schema}.owners WHERE expires_at > clock_timestamp()"
    )
    return found.split()


async def test_of_fifty_creates_that_race_on_two_servers_one_makes_the_session(
    tmp_path: Path, place: PostgresBackend
) -> None:
    answers: list[dict[str, Any]] = []

    async def create(at: Node) -> None:
        answers.append(await at.create())

    async with node(tmp_path / "a", place.where) as a, node(tmp_path / "b", place.where) as b:
        async with trio.open_nursery() as nursery:
            for number in range(CREATES):
                nursery.start_soon(create, (a, b)[number % 2])
        (session_id,) = {answer["sessionId"] for answer in answers}
        assert len(answers) == CREATES
        assert [answer["isNew"] for answer in answers].count(True) == 1
        # What the catalogue and the log can answer, both do.
        for one in (a, b):
            found = (await one.get(f"/{session_id}")).json()
            assert (found["sessionId"], found["status"]) == (session_id, "active")
            history = (await one.get("/business/B0100001/user/user_123/history")).json()
            assert [it["sessionId"] for it in history["sessions"]] == [session_id]
        # One takes commands, the other one says when to try again.
        first = await a.say(session_id, "one")
        second = await b.say(session_id, "two")
        assert Counter([first.status_code, second.status_code]) == {201: 1, 503: 1}
        refused = first if first.status_code == 503 else second
        assert 1 <= int(refused.headers["Retry-After"]) <= LEASE_S
        assert refused.json()["message"] == "The session is on another server; try again later"
        owned = owners(place)
        assert owned.count(f"conversation/{session_id}") == 1
        assert len(owned) == len(set(owned))


async def _until_taken_over(by: Node, session_id: str, content: str) -> dict[str, Any]:
    with trio.fail_after(60):
        while True:
            answer = await by.say(session_id, content)
            if answer.status_code == 201:
                message: dict[str, Any] = answer.json()
                return message
            assert answer.status_code == 503, answer.text
            await trio.sleep(0.1)  # another process's lease gives no event to wait for


async def _replies(by: Node, session_id: str, count: int) -> list[dict[str, Any]]:
    """Wait until so many replies have ended, and return all messages."""
    with trio.fail_after(60):
        while True:
            messages = (await by.get(f"/{session_id}/messages")).json()["messages"]
            ended = [it["role"] == "assistant" and it["status"] != "streaming" for it in messages]
            if ended.count(True) >= count:
                found: list[dict[str, Any]] = messages
                return found
            await trio.sleep(0.05)


async def test_when_a_server_is_killed_the_other_one_takes_its_sessions_over(
    tmp_path: Path, place: PostgresBackend
) -> None:
    async with node(tmp_path / "b", place.where) as b:
        async with node(tmp_path / "a", place.where) as a:
            session_id = (await a.create())["sessionId"]
            assert (await a.say(session_id, "before")).status_code == 201
            assert (await b.say(session_id, "early")).status_code == 503
            assert await a.running.stop(signal.SIGKILL) == -signal.SIGKILL
        await _until_taken_over(b, session_id, "after")
        messages = await _replies(b, session_id, 2)
    said = [it["content"] for it in messages if it["role"] == "user"]
    assert said == ["before", "after"]
    assert [it["seq"] for it in messages] == sorted({it["seq"] for it in messages})


async def test_a_server_that_is_started_again_finds_its_sessions_its_own_at_once(
    tmp_path: Path, place: PostgresBackend
) -> None:
    async with node(tmp_path / "a", place.where) as a:
        session_id = (await a.create())["sessionId"]
        assert (await a.say(session_id, "before")).status_code == 201
        await a.running.stop(signal.SIGKILL)
    async with node(tmp_path / "a", place.where) as a:
        assert (await a.say(session_id, "after")).status_code == 201


async def test_a_server_that_stops_in_order_leaves_its_sessions_to_the_other_one_at_once(
    tmp_path: Path, place: PostgresBackend
) -> None:
    async with node(tmp_path / "b", place.where) as b:
        async with node(tmp_path / "a", place.where) as a:
            session_id = (await a.create())["sessionId"]
            assert (await a.say(session_id, "before")).status_code == 201
            await _replies(a, session_id, 1)  # else the other one would be woken to write it
            assert await a.running.stop() == 0
        assert owners(place) == []
        assert (await b.say(session_id, "after")).status_code == 201


async def test_a_server_that_stood_still_past_its_lease_never_owns_beside_the_other(
    tmp_path: Path, place: PostgresBackend
) -> None:
    async with node(tmp_path / "b", place.where) as b, node(tmp_path / "a", place.where) as a:
        session_id = (await a.create())["sessionId"]
        assert (await a.say(session_id, "before")).status_code == 201
        await _replies(a, session_id, 1)
        a.running.process.send_signal(signal.SIGSTOP)
        try:
            await _until_taken_over(b, session_id, "while it stood still")
            await _replies(b, session_id, 2)
        finally:
            a.running.process.send_signal(signal.SIGCONT)
        late = await a.say(session_id, "late")
        assert late.status_code == 503, late.text
        assert (await b.say(session_id, "after")).status_code == 201
        messages = await _replies(b, session_id, 3)
    said = [it["content"] for it in messages if it["role"] == "user"]
    assert said == ["before", "while it stood still", "after"]
