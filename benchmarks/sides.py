"""What `benchmarks.streams` holds beside each other: Mooring, and two broadcasts without a log."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import msgspec

from benchmarks.served import served

MOORING: Final = "Mooring"
QUART: Final = "Quart-Trio"
TRIO_WEBSOCKET: Final = "trio-websocket"
BASELINES: Final = {QUART: "quart", TRIO_WEBSOCKET: "trio-websocket"}

_UPGRADE: Final = (
    "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_ANSWER_S: Final = 120  # a broadcast to a thousand keeps its writers waiting
_FRAME: Final = b"\x81\x81\0\0\0\0x"  # the text "x", masked by nothing


class Side(msgspec.Struct, frozen=True):
    """A server that runs.

    Attributes:
        targets: a path to subscribe to for each stream.
        post: called with a stream's number, from any thread; causes four events and returns when
            the server has answered.
    """

    host: str
    targets: tuple[str, ...]
    post: Callable[[int], None]
    pid: int

    def memory_bytes(self) -> int:
        """Return the process's share of memory."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        pss = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
        return int(pss.split()[1]) * 1024


@contextmanager
def mooring(streams: int, content: str = "x") -> Iterator[Side]:
    """Serve so many conversations; what is posted is echoed without a pause."""
    settings = {"mooring_assistant__echo_pause_s": "0"}
    with (
        served(demo=False, environment=settings) as server,
        httpx.Client(timeout=_ANSWER_S) as http,
    ):
        paths = []
        for number in range(streams):
            body = {"businessId": "b", "userId": f"u{number}"}
            created = http.post(f"{server.url}/api/sessions", json=body).json()
            paths.append(f"/api/sessions/{created['sessionId']}")

        def post(number: int) -> None:
            url = f"{server.url}{paths[number]}/messages"
            http.post(url, json={"content": content}).raise_for_status()

        host = server.url.partition("//")[2]
        yield Side(host, tuple(f"{path}/stream" for path in paths), post, server.pid)


@contextmanager
def bare(kind: str, streams: int, size_bytes: int) -> Iterator[Side]:
    """Serve so many rooms of one of `BASELINES`, with texts of that size."""
    command = [sys.executable, "-m", "benchmarks.bare_broadcast", BASELINES[kind], str(size_bytes)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        host = process.stdout.readline().strip().partition("//")[2]
        targets = tuple(f"/stream/{number}" for number in range(streams))
        publishing = _by_http if kind == QUART else _by_websocket
        with publishing(host) as post:
            yield Side(host, targets, post, process.pid)
    finally:
        process.kill()
        process.wait()


@contextmanager
def _by_http(host: str) -> Iterator[Callable[[int], None]]:
    with httpx.Client(timeout=_ANSWER_S) as http:

        def publish(number: int) -> None:
            http.post(f"http://{host}/publish/{number}").raise_for_status()

        yield publish


@contextmanager
def _by_websocket(host: str) -> Iterator[Callable[[int], None]]:
    """Publish over a websocket for each thread and room, since there is nothing else to call."""
    local, opened = threading.local(), list[socket.socket]()

    def publish(number: int) -> None:
        sockets = local.__dict__.setdefault("sockets", {})
        if number not in sockets:
            sockets[number] = _open_websocket(host, f"/publish/{number}")
            opened.append(sockets[number])
        sockets[number].sendall(_FRAME)
        sockets[number].recv(100)

    yield publish
    for one in opened:
        one.close()


def _open_websocket(host: str, path: str) -> socket.socket:
    address, _, port = host.partition(":")
    opened = socket.create_connection((address, int(port)))
    opened.sendall(_UPGRADE.format(path=path).encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += opened.recv(1)
    return opened
