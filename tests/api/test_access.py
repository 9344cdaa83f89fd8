from __future__ import annotations

import io
import ipaddress
import json
from typing import Any

import pytest
import trio
import trio.testing

from actors.browser.messages import GetSession
from api import log
from api.access import client_of
from tests.api.harness import CREDENTIALS, Opened, opened

NETWORKS = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("127.0.0.1/32"))


@pytest.fixture
def written() -> io.StringIO:
    stream = io.StringIO()
    log.configure(stream)
    return stream


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


async def line_after(written: io.StringIO) -> dict[str, Any]:
    """The one line of the one request so far; it is written once its handler has ended."""
    with trio.fail_after(40):
        while not written.getvalue():
            await trio.testing.wait_all_tasks_blocked(0.01)
    (line,) = lines(written)
    return line


async def test_a_request_is_one_line_with_method_path_status_time_and_id(
    written: io.StringIO,
) -> None:
    async with opened() as door:
        answer = await door.client.get("/sessions?password=hunter2")
        line = await line_after(written)
    assert line["event"] == "request"
    assert (line["method"], line["path"], line["status"]) == ("GET", "/sessions", 200)
    assert line["ms"] >= 0
    assert line["client"] == "127.0.0.1"
    assert line["request_id"] == answer.headers["x-request-id"]
    assert line["timestamp"].endswith("Z")


async def test_request_ids_differ_and_are_not_taken_from_the_client() -> None:
    async with opened() as door:
        headers = {"X-Request-Id": "mine"}
        ids = {
            (await door.client.get("/ready", headers=headers)).headers["x-request-id"]
            for _ in range(3)
        }
    assert len(ids) == 3
    assert "mine" not in ids


@pytest.mark.parametrize(
    "body",
    [
        *(b"not json", b"[]", b'{"username": 5}', b"", b"x" * 2_000_000),
        json.dumps(CREDENTIALS | {"password": "wrong"}).encode(),
        json.dumps(CREDENTIALS | {"password": "nul\0"}).encode(),
    ],
)
async def test_bad_input_is_one_line_and_nothing_of_it_stands_there(
    written: io.StringIO, body: bytes
) -> None:
    async with opened() as door:
        await door.client.post("/get_session?key=hunter2", content=body)
        line = await line_after(written)
    assert line["level"] == "info"
    for secret in ("harbor-1", "wrong", "nul", "hunter2", "driver-1", "xxx"):
        assert secret not in written.getvalue()


async def test_tokens_and_cookies_are_not_in_the_log(written: io.StringIO) -> None:
    async with opened(tokens=("hunter2",)) as door:
        headers = {"Authorization": "Bearer hunter2", "Cookie": "id=hunter3"}
        await door.client.get("/sessions", headers=headers)
        await line_after(written)
    assert "hunter" not in written.getvalue()


@pytest.mark.parametrize(
    ("path", "shown"),
    [("/s/SECRET", "/s/…"), ("/s/SECRET/start?x=1", "/s/…/start"), ("/s/SECRET/", "/s/…")],
)
async def test_a_visitors_link_is_not_in_the_log(
    written: io.StringIO, path: str, shown: str
) -> None:
    async with opened() as door:
        await door.client.get(path)
        line = await line_after(written)
    assert line["path"] == shown
    assert "SECRET" not in written.getvalue()


async def test_an_unexpected_error_is_one_line_with_its_traceback_and_no_locals(
    written: io.StringIO,
) -> None:
    async def fail(_: Any) -> None:
        secret = "hunter2"  # a local of a frame on the traceback
        raise RuntimeError(f"a fault of {len(secret)} letters")

    async with opened() as door:
        door.desk.registry.behave[GetSession] = fail
        await door.client.post("/get_session", json=CREDENTIALS)
        line = await line_after(written)
    assert (line["level"], line["status"]) == ("error", 500)
    assert "RuntimeError: a fault of 7 letters" in line["exception"]
    assert "harbor-1" not in written.getvalue()


async def test_a_client_that_leaves_is_a_499(written: io.StringIO) -> None:
    async with opened() as door:
        begun = trio.Event()

        async def wait(_: Any) -> None:
            begun.set()
            await trio.sleep_forever()

        door.desk.registry.behave[GetSession] = wait
        await leave_after(door, begun)
        line = await line_after(written)
    assert (line["status"], line["level"]) == (499, "info")


async def leave_after(door: Opened, begun: trio.Event) -> None:
    body = json.dumps(CREDENTIALS).encode()
    head = f"POST /get_session HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    async with await door.connect() as stream:
        await stream.send_all(head.encode() + body)
        await begun.wait()


async def test_a_path_cannot_break_out_of_its_line(written: io.StringIO) -> None:
    async with opened() as door:
        await door.client.get("/x%0a%7B%22event%22%3A1%7D%1b%5b31m" + "y" * 1000)
        line = await line_after(written)
    assert line["path"].startswith('/x\n{"event":1}\x1b[31my')
    assert len(line["path"]) == 256
    assert "\x1b" not in written.getvalue()


async def test_what_quart_itself_trips_over_is_a_500_in_the_contracts_shape(
    written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened() as door:

        async def fail(_: Any) -> None:
            raise RuntimeError("a fault of the framework")

        monkeypatch.setattr(door.app, "handle_request", fail)
        answer = await door.client.get("/sessions")
        line = await line_after(written)
    assert answer.status_code == 500
    assert answer.json()["error"] == "Internal server error"
    assert answer.json()["request_id"] == answer.headers["x-request-id"] == line["request_id"]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),  # nobody we trust says so
        ("10.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9", "10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["evil\n, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [""], "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_one_before_the_proxies_that_are_trusted(
    peer: str, forwarded: list[str], client: str
) -> None:
    headers = [(b"X-Forwarded-For", value.encode()) for value in forwarded]
    scope: Any = {"client": (peer, 1), "headers": headers}
    assert client_of(scope, NETWORKS) == client


async def test_a_trusted_proxys_client_is_the_one_in_the_log(written: io.StringIO) -> None:
    async with opened(tokens=("token",), proxies=NETWORKS) as door:
        headers = {"Authorization": "Bearer token", "X-Forwarded-For": "198.51.100.7"}
        assert (await door.client.get("/sessions", headers=headers)).status_code == 200
        line = await line_after(written)
    assert line["client"] == "198.51.100.7"
