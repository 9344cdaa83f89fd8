"""`kill -9` in the middle: no hosted session is lost, its time goes on, and its visitor too."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import trio

from tests.api.harness import server
from tests.api.hosted.visiting import Visitor

PASSWORD = "a long enough password"


class Place:
    """Where the server is, before and after."""

    def __init__(self, port: int) -> None:
        self.port = port


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def test_sessions_and_their_time_and_visitors_survive_a_kill(tmp_path: Path) -> None:
    port = free_port()
    env = {
        "MOORING_BIND": f"127.0.0.1:{port}",
        "MOORING_PARTNER__SESSION_TTL_S": "15",
        "MOORING_PARTNER__RATE_LIMIT_PER_MINUTE": "100000",  # this asks again and again
    }
    place, headers = Place(port), {}
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}/api/v1", trust_env=False, timeout=20
    ) as http:

        async def create() -> dict[str, Any]:
            body = {"return_url": "https://yourapp.com/cb"}
            answer = await http.post("/sessions/create", json=body, headers=headers)
            assert answer.status_code == 201, answer.text
            made: dict[str, Any] = answer.json()
            return made

        async def read(made: dict[str, Any]) -> dict[str, Any]:
            path = f"/sessions/{made['session_id']}"
            found: dict[str, Any] = (await http.get(path, headers=headers)).json()
            return found

        async with server(tmp_path, env=env) as running:
            await running.wait_ready()
            person = await http.post(
                "/auth/signup", json={"email": "ada@example.com", "password": PASSWORD}
            )
            user = {"Authorization": f"Bearer {person.json()['access_token']}"}
            body = {"environment": "sandbox"}
            key = await http.post("/api-keys/generate", json=body, headers=user)
            headers["Authorization"] = f"Bearer {key.json()['api_key']}"
            untouched, begun, finished = [await create() for _ in range(3)]
            async with Visitor(place, finished["session_url"]) as quick:
                await quick.open()
                await quick.press("begin")
                await quick.press("answer", step="consent", choice="agree")
            visitor = Visitor(place, begun["session_url"])
            await visitor.open()
            await visitor.press("begin")
            assert visitor.title == "Do you agree?"
            await running.stop(signal.SIGKILL)
        async with server(tmp_path, env=env) as running, visitor:
            await running.wait_ready()
            assert (await read(untouched))["state"] == "pending"
            assert (await read(begun))["state"] == "in_progress"
            with trio.fail_after(40):  # it may have been cut off while it was being processed
                while (await read(finished))["state"] != "completed":
                    await trio.sleep(0.05)
            await visitor.open()
            assert visitor.title == "Do you agree?"
            await visitor.press("answer", step="consent", choice="agree")
            with trio.fail_after(40):
                while (await read(begun))["state"] != "completed":
                    await trio.sleep(0.05)
                while (await read(untouched))["state"] != "expired":
                    await trio.sleep(0.05)
            usage = (await http.get("/usage", headers=headers)).json()
            assert usage["used"] == 3
            with trio.fail_after(40):  # the ends are told once the actors are back
                while (await http.get("/usage", headers=headers)).json()["active"]:
                    await trio.sleep(0.05)
            listed = await http.get("/sessions", headers=user)
            assert {one["state"] for one in listed.json()["sessions"]} == {"completed", "expired"}
