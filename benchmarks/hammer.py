"""Load over kept connections, as cheap as it can be made: the server is what is measured.

Each connection sends the same request again and again and reads the answers. Any other status than
the one that is expected ends the measurement.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Final

import msgspec
import trio

_LENGTH: Final = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Hammered(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: answers each second, and how long each took, in seconds, sorted."""

    per_s: float
    latencies_s: tuple[float, ...]

    def percentile_ms(self, share: float) -> float:
        return percentile_ms(self.latencies_s, share)


def percentile_ms(sorted_s: Sequence[float], share: float) -> float:
    """Return the time that a share of all stays below."""
    return sorted_s[int(share * (len(sorted_s) - 1))] * 1000


def post(host: str, path: str, body: bytes, **headers: str) -> bytes:
    """Return a request as it goes over the wire."""
    head = {"Host": host, "Content-Type": "application/json", "Content-Length": str(len(body))}
    head |= headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"POST {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


def get(host: str, path: str, **headers: str) -> bytes:
    """Return a request as it goes over the wire."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in ({"Host": host} | headers).items())
    return f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode()


def hammer(host: str, request: bytes, *, status: int, connections: int, requests: int) -> Hammered:
    """Send so many requests over so many connections, and return how that went."""
    return trio.run(_hammer, host, request, status, connections, requests)


async def _hammer(
    host: str, request: bytes, status: int, connections: int, requests: int
) -> Hammered:
    name, _, port = host.partition(":")
    latencies: list[float] = []
    expected = b"HTTP/1.1 %d" % status

    async def one() -> None:
        async with await trio.open_tcp_stream(name, int(port)) as stream:
            for _ in range(requests // connections):
                began = time.perf_counter()
                await stream.send_all(request)
                answer = await read_answer(stream)
                latencies.append(time.perf_counter() - began)
                if not answer.startswith(expected):
                    raise RuntimeError(answer[:300])

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(connections):
            nursery.start_soon(one)
    seconds = time.perf_counter() - began
    return Hammered(per_s=len(latencies) / seconds, latencies_s=tuple(sorted(latencies)))


async def read_answer(stream: trio.SocketStream) -> bytes:
    """Return an answer, head and body; raises when the server goes away before its end."""
    data = b""
    while True:
        data += bytes(await stream.receive_some(65_536))
        head, found, rest = data.partition(b"\r\n\r\n")
        if found:
            length = _LENGTH.search(head)
            if length is not None and len(rest) >= int(length[1]):
                return data
        if not data:
            raise RuntimeError("the server has closed the connection")
