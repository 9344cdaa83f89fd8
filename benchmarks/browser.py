"""Browser sessions: reusing one, creating one, and what each takes, beside doing it by hand.

The baseline of creating is `benchmarks.bare_login`: the same login at the same portal by a bare
pyppeteer script in a Chromium that already runs; both in turn, account by account. The baseline of
memory is one Chromium for each session.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import time
from typing import Any

import httpx

from benchmarks.report import Table
from benchmarks.served import Served, chromium_pss_bytes, served

_CREATES = 12
_REUSES = 500
_SIZES = (1, 5, 10)


def credentials(number: int) -> dict[str, str]:
    return {
        "username": f"driver-{number}",
        "password": f"harbor-{number}",
        "captcha_api_key": "demo-captcha-key",
    }


def create(http: httpx.Client, server: Served, number: int) -> float:
    started = time.perf_counter()
    answer = http.post(f"{server.url}/get_session", json=credentials(number))
    answer.raise_for_status()
    return time.perf_counter() - started


class Bare:
    """The bare script, kept running."""

    def __init__(self, server: Served, executable: str) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "benchmarks.bare_login"]
        self.process = subprocess.Popen(
            [*command, executable, server.portal, server.captcha],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._line()

    def create(self, number: int) -> float:
        assert self.process.stdin is not None
        print(number, file=self.process.stdin, flush=True)
        return float(self._line())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the bare script ended")
        return line


def percentiles(samples: list[float]) -> dict[str, float]:
    """Return p50 and p95, in milliseconds."""
    cuts = statistics.quantiles(samples, n=20)
    return {"p50": statistics.median(samples) * 1000, "p95": cuts[18] * 1000}


def measure_times(executable: str) -> dict[str, dict[str, float]]:
    ours: list[float] = []
    bare: list[float] = []
    reuses: list[float] = []
    with (
        served(capacity=_CREATES + 1) as server,
        httpx.Client(trust_env=False, timeout=120) as http,
    ):
        script = Bare(server, executable)
        create(http, server, 0)  # warm both up
        script.create(1000)
        for number in range(1, _CREATES + 1):
            ours.append(create(http, server, number))
            bare.append(script.create(1000 + number))
        script.close()
        reuses = [create(http, server, 1) for _ in range(_REUSES)]
    return {
        "reuse a session": percentiles(reuses),
        "create a session": percentiles(ours),
        "bare pyppeteer login": percentiles(bare),
    }


def measure_memory(per_process: int) -> dict[str, float]:
    """Return MiB for each session at each size."""
    found: dict[str, float] = {}
    settings: dict[str, Any] = {"capacity": max(_SIZES), "sessions_per_process": per_process}
    with served(**settings) as server, httpx.Client(trust_env=False, timeout=120) as http:
        number = 0
        for size in _SIZES:
            while number < size:
                number += 1
                create(http, server, number)
            time.sleep(3)  # noqa: TID251 - a benchmark outside of any loop; lets Chromium settle
            found[str(size)] = chromium_pss_bytes(server.pid) / size / 2**20
    return found


def measure() -> list[Table]:
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        raise RuntimeError("no Chromium: apt-get install chromium")
    times = measure_times(executable)
    shared, single = measure_memory(5), measure_memory(1)
    creating = {
        name: {"Mooring": times["create a session"][name], "bare pyppeteer": bare}
        for name, bare in times["bare pyppeteer login"].items()
    }
    memory = {
        f"{size} sessions": {"five in a Chromium": shared[size], "a Chromium for each": each}
        for size, each in single.items()
    }
    return [
        Table(
            title="reusing a session by POST /get_session",
            unit="ms",
            rows={"reuse": times["reuse a session"]},
        ),
        Table(
            title="creating a session: login with captcha at the demo portal",
            unit="ms",
            rows=creating,
            subject="Mooring",
            less_is_better=True,
            reach={"p50": {"bare pyppeteer": 1 / 1.1}},
        ),
        Table(
            title="memory of Chromium (PSS), the spare context included",
            unit="MiB a session",
            rows=memory,
            subject="five in a Chromium",
            less_is_better=True,
        ),
    ]
