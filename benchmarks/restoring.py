"""Ten browser sessions after `kill -9`: from the server's start until all of them are live again.

The baseline is the same start without what was saved, and ten logins at once instead.
"""

from __future__ import annotations

import os
import signal
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import httpx

from benchmarks.browser import create
from benchmarks.report import Table
from benchmarks.served import Served, served

ROW: Final = "restoring ten browser sessions without login"
_ROUNDS: Final = 3
_SESSIONS: Final = 10
_ALLOWED_S: Final = 5.0


def _client() -> httpx.Client:
    return httpx.Client(trust_env=False, timeout=120)


def _log_in_all(http: httpx.Client, server: Served) -> None:
    numbers = range(1, _SESSIONS + 1)
    with ThreadPoolExecutor(_SESSIONS) as callers:
        list(callers.map(lambda number: create(http, server, number), numbers))


def _are_live(http: httpx.Client, server: Served) -> bool:
    sessions = http.get(f"{server.url}/sessions").json()["sessions"]
    return [session["status"] for session in sessions] == ["live"] * _SESSIONS


def _logins(http: httpx.Client, server: Served) -> dict[str, int]:
    found: dict[str, int] = http.get(f"{server.portal}/__control").json()["logins"]
    return found


def _restore(directory: str) -> dict[str, float]:
    began = time.perf_counter()
    with served(data_dir=directory, restore="eager") as server, _client() as http:
        listening = time.perf_counter()
        while not _are_live(http, server):
            time.sleep(0.02)  # noqa: TID251 - a benchmark outside of any loop
        live = time.perf_counter()
        if set(_logins(http, server).values()) != {1}:
            raise RuntimeError("a session has logged in again")
    return {"from the start": live - began, "from listening": live - listening}


def _log_in_again(directory: str) -> dict[str, float]:
    began = time.perf_counter()
    with served(data_dir=directory, restore="off") as server, _client() as http:
        listening = time.perf_counter()
        _log_in_all(http, server)
        live = time.perf_counter()
    return {"from the start": live - began, "from listening": live - listening}


def _round() -> tuple[dict[str, float], dict[str, float]]:
    with tempfile.TemporaryDirectory(prefix="mooring-bench-") as directory:
        with served(data_dir=directory) as server, _client() as http:
            _log_in_all(http, server)
            os.kill(server.pid, signal.SIGKILL)
        return _restore(directory), _log_in_again(directory)


def measure() -> list[Table]:
    """Return seconds; the median of a few rounds."""
    rounds = [_round() for _ in range(_ROUNDS)]
    rows = {}
    for since in ("from the start", "from listening"):
        ours, again = (statistics.median(each[side][since] for each in rounds) for side in (0, 1))
        rows[f"{ROW}, {since}"] = {
            "Mooring": ours,
            "logging in again": again,
            "allowed": _ALLOWED_S,
        }
    return [
        Table(
            title="after kill -9 of the server",
            unit="s until all are live",
            rows=rows,
            subject="Mooring",
            less_is_better=True,
            reach={row: {"allowed": 1.0} for row in rows},
        )
    ]
