"""How long `GET /health` takes while somebody guesses at passwords: a hundred wrong ones a second.

Both are sent at a fixed rate whatever the answers take, and a latency counts from when a request
was due, so that a server that stalls cannot hide it. The guesses come from many addresses, since
each may try only a few at once, and each is at an account of its own, since each account lets only
a few guesses through: what is left is as much hashing as the server lets itself be made to do.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
import trio

from benchmarks.hammer import get, percentile_ms, post, read_answer

GUESSES_PER_S: Final = 100
_LOOKS_PER_S: Final = 50
_SECONDS: Final = 20.0
_ADDRESSES: Final = 50
_LOGIN: Final = "/api/v1/auth/login"


class Flood(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        health_s: the latencies of `GET /health` in seconds, sorted, by what went on beside it.
        statuses: how many guesses were answered with what.
    """

    health_s: dict[str, tuple[float, ...]]
    statuses: dict[int, int]

    def rows(self, to_be_reached: float) -> dict[str, dict[str, float]]:
        return {
            name: {
                "p50": percentile_ms(times, 0.5),
                "p99": percentile_ms(times, 0.99),
                "to be reached": to_be_reached,
            }
            for name, times in self.health_s.items()
        }


def measure_flood(host: str) -> Flood:
    """Look at a server's health alone, beside logins without a password, and beside guesses.

    The second is what as many requests cost that are refused before anything is hashed.
    """
    alone, _ = trio.run(_look, host, None)
    refused, _ = trio.run(_look, host, partial(_login, host, None))
    beside, statuses = trio.run(_look, host, partial(_login, host, "not anybody's password"))
    each = f"{GUESSES_PER_S} a second"
    health_s = {"alone": alone, f"{each} without a password": refused, f"{each} wrong": beside}
    return Flood(health_s=health_s, statuses=statuses)


async def _look(
    host: str, request: Callable[[int], bytes] | None
) -> tuple[tuple[float, ...], dict[int, int]]:
    looks, others = _Paced(host, _LOOKS_PER_S), _Paced(host, GUESSES_PER_S)
    async with trio.open_nursery() as nursery:
        if request is not None:
            nursery.start_soon(others.run, request)
        nursery.start_soon(looks.run, lambda number: get(host, "/health"))
    if set(looks.statuses) != {200}:
        raise RuntimeError(f"/health answered {dict(looks.statuses)}")
    return tuple(sorted(looks.latencies_s)), dict(others.statuses)


def _login(host: str, password: str | None, number: int) -> bytes:
    body = {"email": f"user-{number}@example.com", "password": password}
    return post(host, _LOGIN, msgspec.json.encode(body))


class _Paced:
    """Requests that are sent when they are due, each over a connection of its own."""

    def __init__(self, host: str, per_s: float) -> None:
        self._name, _, port = host.partition(":")
        self._port = int(port)
        self._per_s = per_s
        self.latencies_s: list[float] = []
        self.statuses: Counter[int] = Counter()

    async def run(self, request: Callable[[int], bytes]) -> None:
        began = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for number in range(int(_SECONDS * self._per_s)):
                due = began + number / self._per_s
                await trio.sleep(max(0.0, due - time.perf_counter()))
                nursery.start_soon(self._send, request(number), number, due)

    async def _send(self, request: bytes, number: int, due: float) -> None:
        address = f"127.0.0.{2 + number % _ADDRESSES}"
        stream = await trio.open_tcp_stream(self._name, self._port, local_address=address)
        async with stream:
            await stream.send_all(request)
            answer = await read_answer(stream)
        self.latencies_s.append(time.perf_counter() - due)
        self.statuses[int(answer.split(b" ", 2)[1])] += 1
