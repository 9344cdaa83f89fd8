"""Conversations as a user has them: the seed's own lines, and a server that is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from api.storage import DATABASE
from engine.store import open_sqlite
from tests.api.harness import server
from tests.api.wire import Closed, Refused, lined

pytestmark = pytest.mark.usefixtures("leak_check")

KILLS = 20
WRITERS = 4
# What the seed prints, to the letter.
SEED = r"""
curl -X POST http://localhost:3000/api/sessions \
  -H "Content-Type: application/json" \
  -d '{
    "businessId": "B0100001",
    "userId": "user_123",
    "locationId": "L001",
    "sessionType": "general"
  }'
---
curl http://localhost:3000/api/sessions/business/B0100001/user/user_123/active
---
curl "http://localhost:3000/api/sessions/business/B0100001/user/user_123/history?limit=20"
"""


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def test_the_curl_lines_of_the_seed(tmp_path: Path) -> None:
    async with server(tmp_path) as running:
        await running.wait_ready()
        answers = []
        for line in SEED.split("---"):
            command = line.strip().replace("localhost:3000", f"localhost:{running.port}")
            done = await trio.run_process(
                ["sh", "-c", f"{command} -sS --noproxy '*'"],
                capture_stdout=True,
                env={"PATH": os.environ["PATH"]},
            )
            answers.append(json.loads(done.stdout))
    made, active, history = answers
    assert made.pop("isNew") is True
    assert (made["locationId"], made["sessionType"]) == ("L001", "general")
    assert active == made
    assert history == {"sessions": [made], "nextCursor": None}


class Writer:
    """A client that posts with keys, tries again until it is told, and remembers what it was told.

    One of its own keys is never used for another message.
    """

    def __init__(self, number: int, url: str) -> None:
        self.number = number
        self.url = url
        self.session_id = ""
        self.told: list[dict[str, Any]] = []
        self.retried = 0
        self.ended = trio.Event()

    async def write(self, stop: trio.Event) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
            body = {"businessId": "b", "userId": f"u{self.number}"}
            opened = await self._insist(client, "/api/sessions", body, {})
            self.session_id = opened["sessionId"]
            number = 0
            while not stop.is_set():
                number += 1
                headers = {"Idempotency-Key": f"{self.number}-{number}"}
                path = f"/api/sessions/{self.session_id}/messages"
                text = {"content": f"{self.number}-{number} words to say"}
                posted = await self._insist(client, path, text, headers)
                again = await self._insist(client, path, text, headers)
                assert again == posted
                self.told.append(posted)
        self.ended.set()

    async def _insist(
        self, client: httpx.AsyncClient, path: str, body: dict[str, Any], headers: dict[str, str]
    ) -> dict[str, Any]:
        while True:
            try:
                answer = await client.post(self.url + path, json=body, headers=headers)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code in {200, 201}:
                found: dict[str, Any] = answer.json()
                return found
            assert answer is None or answer.status_code in {409, 503}, answer.text
            self.retried += 1
            await trio.sleep(0.05)


async def follow(port: int, writer: Writer, seen: list[dict[str, Any]], stop: trio.Event) -> None:
    """Read a writer's stream across every end of the server."""
    while not stop.is_set():
        after = seen[-1]["seq"] if seen else 0
        try:
            target = f"/api/sessions/{writer.session_id}/stream?after={after}"
            async with lined(port, target) as line:
                while True:
                    frame = await line.next()
                    if "at" in frame:
                        seen.append(frame)
        except (OSError, Closed, Refused, AssertionError, trio.BrokenResourceError):
            await trio.sleep(0.05)
        except trio.TooSlowError:
            continue


async def test_what_was_acknowledged_survives_a_server_that_is_killed_again_and_again(
    tmp_path: Path,
) -> None:
    port = free_port()
    env = {"MOORING_BIND": f"127.0.0.1:{port}", "MOORING_ASSISTANT__ECHO_PAUSE_S": "0.01"}
    url = f"http://127.0.0.1:{port}"
    writers = [Writer(number, url) for number in range(WRITERS)]
    seen: list[dict[str, Any]] = []
    stop, over = trio.Event(), trio.Event()
    async with trio.open_nursery() as readers:
        async with trio.open_nursery() as nursery:
            for kill in range(KILLS):
                async with server(tmp_path, env=env) as running:
                    await running.wait_ready()
                    if kill == 0:
                        for writer in writers:
                            nursery.start_soon(writer.write, stop)
                        while not writers[0].session_id:
                            await trio.sleep(0.01)
                        readers.start_soon(follow, port, writers[0], seen, over)
                    before = sum(len(writer.told) for writer in writers)
                    while sum(len(writer.told) for writer in writers) < before + 20:
                        await trio.sleep(0.01)
                    await running.stop(signal.SIGKILL)
            stop.set()
            async with serving(tmp_path, env) as client:
                for writer in writers:
                    await writer.ended.wait()
                await settled(client, writers)
                for writer in writers:
                    await check(client, writer)
                    await check_that_retries_give_the_first_answer(client, writer)
                events = await whole_log(port, writers[0], seen)
        over.set()
        readers.cancel_scope.cancel()
    async with open_sqlite(tmp_path / "data" / DATABASE) as store:
        assert (await store.check()).problems == ()
    assert seen == events
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert any(writer.retried for writer in writers)


@asynccontextmanager
async def serving(tmp_path: Path, env: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with server(tmp_path, env=env) as running:
        await running.wait_ready()
        async with httpx.AsyncClient(
            base_url=running.urls[0], trust_env=False, timeout=40
        ) as client:
            yield client
        assert await running.stop() == 0


async def messages(client: httpx.AsyncClient, writer: Writer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 100}
    while True:
        path = f"/api/sessions/{writer.session_id}/messages"
        page = (await client.get(path, params=query)).json()
        found += page["messages"]
        if page["nextCursor"] is None:
            return found
        query["cursor"] = page["nextCursor"]


async def settled(client: httpx.AsyncClient, writers: list[Writer]) -> None:
    """Wait until every message of every conversation has the end of its reply."""
    with trio.fail_after(60):
        for writer in writers:
            while True:
                roles = Counter(
                    one["role"]
                    for one in await messages(client, writer)
                    if one["status"] != "streaming"
                )
                if roles["user"] >= len(writer.told) and roles["user"] == roles["assistant"]:
                    break
                await trio.sleep(0.1)


async def check(client: httpx.AsyncClient, writer: Writer) -> None:
    found = await messages(client, writer)
    users = [one for one in found if one["role"] == "user"]
    keys = [one["idempotencyKey"] for one in users]
    assert len(set(keys)) == len(keys)  # none twice
    assert [int(re.sub(r".*-", "", key)) for key in keys] == list(range(1, len(keys) + 1))
    assert users[: len(writer.told)] == writer.told  # every acknowledged one, in order
    replies = Counter(one["replyTo"] for one in found if one["role"] == "assistant")
    assert replies == {one["messageId"]: 1 for one in users}


async def check_that_retries_give_the_first_answer(
    client: httpx.AsyncClient, writer: Writer
) -> None:
    before = len(await messages(client, writer))
    for number, told in enumerate(writer.told, start=1):
        answer = await client.post(
            f"/api/sessions/{writer.session_id}/messages",
            json={"content": told["content"]},
            headers={"Idempotency-Key": f"{writer.number}-{number}"},
        )
        assert answer.json() == told
    assert len(await messages(client, writer)) == before


async def whole_log(port: int, writer: Writer, seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Read a stream from its beginning, once the one who stayed has caught up with its end."""
    events: list[dict[str, Any]] = []
    async with lined(port, f"/api/sessions/{writer.session_id}/stream?after=0") as line:
        newest = (await line.next())["seq"]
        while len(events) < newest:
            events.append(await line.next())
    with trio.fail_after(40):
        while not seen or seen[-1]["seq"] < newest:
            await trio.sleep(0.05)
    return events
