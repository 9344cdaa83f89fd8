"""Live streams: deliveries to 100 subscribers beside a broadcast without a log, and lateness.

The same subscribers (`benchmarks.subscribers`, a process of its own) read from Mooring, from a bare
Quart-Trio broadcast and from a bare trio-websocket one. Each message posted causes four events.
Deliveries a second are measured with posts as fast as the server takes them; how late an event is
(from its own time, which is before its commit, to its receipt) at about 100 events a second.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from benchmarks.bare_broadcast import EVENTS_PER_POST
from benchmarks.report import Table
from benchmarks.served import served

_ROUNDS = 3
_SUBSCRIBERS = 100
_POSTS = 60
_PACED_POSTS = 75
_PACE_S = EVENTS_PER_POST / 100

Post = Callable[[], None]


@contextmanager
def _mooring() -> Iterator[tuple[str, str, Post]]:
    settings = {"mooring_assistant__echo_pause_s": "0"}
    with served(demo=False, environment=settings) as server, httpx.Client() as http:
        body = {"businessId": "b", "userId": "u"}
        created = http.post(f"{server.url}/api/sessions", json=body).json()
        path = f"/api/sessions/{created['sessionId']}"

        def post() -> None:
            http.post(f"{server.url}{path}/messages", json={"content": "x"}).raise_for_status()

        yield server.url, f"{path}/stream", post


@contextmanager
def _bare(kind: str) -> Iterator[tuple[str, str, Post]]:
    command = [sys.executable, "-m", "benchmarks.bare_broadcast", kind]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with httpx.Client() as http:
            yield url, "/stream", lambda: _publish(http, url)
    finally:
        process.kill()
        process.wait()


def _publish(http: httpx.Client, url: str) -> None:
    http.post(f"{url}/publish").raise_for_status()


def _run(where: tuple[str, str, Post], posts: int, pace_s: float) -> dict[str, Any]:
    url, target, post = where
    expected = posts * EVENTS_PER_POST
    command = [sys.executable, "-m", "benchmarks.subscribers", url.partition("//")[2], target]
    process = subprocess.Popen(
        [*command, str(_SUBSCRIBERS), str(expected)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for _ in range(posts):
        post()
        time.sleep(pace_s)  # noqa: TID251 - paces a load from outside of any loop
    found: dict[str, Any] = json.loads(process.stdout.readline())
    process.wait()
    found["rate"] = _SUBSCRIBERS * expected / (found["last"] - found["first"])
    return found


def measure() -> list[Table]:
    rates: dict[str, list[float]] = {"Mooring": [], "Quart-Trio": []}
    late: list[float] = []
    for _ in range(_ROUNDS):
        with _mooring() as where:
            rates["Mooring"].append(_run(where, _POSTS, 0)["rate"])
            late += _run(where, _PACED_POSTS, _PACE_S)["late_ms"]
        with _bare("quart") as where:
            rates["Quart-Trio"].append(_run(where, _POSTS, 0)["rate"])
    cuts = statistics.quantiles(late, n=100)
    return [
        Table(
            title=f"deliveries to {_SUBSCRIBERS} subscribers of one stream",
            unit="per second",
            rows={"fan-out": {name: statistics.median(it) for name, it in rates.items()}},
            subject="Mooring",
            reach={"fan-out": {"Quart-Trio": 0.8}},
        ),
        Table(
            title="from an event's time to its receipt, at 100 events a second",
            unit="ms",
            rows={f"{_SUBSCRIBERS} subscribers": {"p50": cuts[49], "p99": cuts[98]}},
        ),
    ]
