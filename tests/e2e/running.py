"""`mooring serve --demo` as a user starts it: a process of its own, real Chromium, real sockets."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import httpx
import trio

from actors.browser.family import run_id_of
from api.demo.process import open_demo_process
from api.demo.run import DemoUrls

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 60


def credentials(number: int, **changes: str) -> dict[str, str]:
    """Return a demo account's credentials."""
    return {
        "username": f"driver-{number}",
        "password": f"harbor-{number}",
        "captcha_api_key": "demo-captcha-key",
    } | changes


class Mooring:
    """A running server, its demo portal, and a client for both."""

    def __init__(self, process: trio.Process, http: httpx.AsyncClient) -> None:
        self.process = process
        self.http = http
        self.url = ""
        self.portal_url = ""
        self.errors = b""

    # -- what a user does ----------------------------------------------------------------------

    async def get_session(self, number: int = 1, **changes: str) -> httpx.Response:
        body = credentials(number, **changes)
        return await self.http.post(f"{self.url}/get_session", json=body)

    async def open_session(self, number: int = 1) -> str:
        """Log in, and return the session's id."""
        answer = await self.get_session(number)
        assert answer.status_code == 200, answer.text
        session_id: str = answer.json()["session_id"]
        return session_id

    async def get_booking(self, container_id: str = "TRHU1866154", **body: Any) -> httpx.Response:
        body = {"container_id": container_id} | body
        return await self.http.post(f"{self.url}/get_booking_number", json=body)

    async def sessions(self) -> list[dict[str, Any]]:
        answer = await self.http.get(f"{self.url}/sessions")
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["sessions"]
        waiting = [session["status"] for session in found].count("waiting")
        assert answer.json()["active_sessions"] == len(found) - waiting
        assert answer.json()["waiting_sessions"] == waiting
        return found

    async def status(self, session_id: str) -> str | None:
        for session in await self.sessions():
            if session["session_id"] == session_id:
                status: str = session["status"]
                return status
        return None

    async def wait_for_status(self, session_id: str, *wanted: str | None) -> None:
        """Return when a session is listed so; None stands for not listed at all."""
        with trio.fail_after(30):
            while await self.status(session_id) not in wanted:
                await trio.sleep(0.05)

    async def wait_for_sessions(self, count: int) -> list[dict[str, Any]]:
        with trio.fail_after(30):
            while len(found := await self.sessions()) != count:
                await trio.sleep(0.05)
        return found

    async def delete(self, session_id: str) -> httpx.Response:
        return await self.http.delete(f"{self.url}/sessions/{session_id}")

    # -- the portal ----------------------------------------------------------------------------

    async def control(self, **changes: Any) -> dict[str, Any]:
        """Change how the demo portal behaves, and return what it says of itself."""
        if changes:
            await self.http.post(f"{self.portal_url}/__control", json=changes)
        found: dict[str, Any] = (await self.http.get(f"{self.portal_url}/__control")).json()
        return found

    async def logins(self, number: int = 1) -> int:
        count: int = (await self.control())["logins"].get(f"driver-{number}", 0)
        return count

    # -- the process ---------------------------------------------------------------------------

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def log(self) -> list[dict[str, Any]]:
        """The log's lines so far."""
        return [json.loads(line) for line in self.errors.decode().splitlines()]

    async def stop(self, number: int = signal.SIGTERM, *, within_s: float = 60) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        with trio.fail_after(within_s):
            return await self.process.wait()

    async def read_errors(self) -> None:
        assert self.process.stderr is not None
        async for part in self.process.stderr:
            self.errors += part

    async def wait_ready(self) -> None:
        assert self.process.stdout is not None
        text = ""
        with trio.fail_after(START_TIMEOUT_S):
            while "listening on " not in text:
                part = await self.process.stdout.receive_some()
                assert part, f"ended before it was ready: {self.errors.decode()}"
                text += part.decode()
        said = dict(line.rsplit(" on ", 1) for line in text.splitlines())
        self.url = said["listening"]
        self.portal_url = said.get("demo portal", self.portal_url)


@asynccontextmanager
async def mooring(
    data_dir: Path,
    *,
    demo: DemoUrls | None = None,
    environment: Mapping[str, str] | None = None,
    **settings: str | float,
) -> AsyncIterator[Mooring]:
    """Start a server with `MOORING_BROWSER__*` settings; it has gone when the scope ends.

    Args:
        demo: a demo of its own process, that outlives the server; None: the server starts one.
        environment: other settings, as `MOORING_STORE`.
    """
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MOORING_")}
    environ |= {"MOORING_BIND": "127.0.0.1:0", "MOORING_DATA_DIR": str(data_dir)}
    environ |= {f"MOORING_BROWSER__{key.upper()}": str(value) for key, value in settings.items()}
    environ |= environment or {}
    command = [str(Path(sys.executable).parent / "mooring"), "serve"]
    if demo is None:
        command.append("--demo")
    else:
        environ["MOORING_BROWSER__PORTAL_URL"] = demo.portal_url
        environ["MOORING_BROWSER__CAPTCHA_URL"] = demo.captcha_url
    async with (
        httpx.AsyncClient(trust_env=False, timeout=120) as http,
        trio.open_nursery() as nursery,
    ):
        process = await trio.lowlevel.open_process(
            command, stdout=PIPE, stderr=PIPE, env=environ, cwd=data_dir.parent
        )
        running = Mooring(process, http)
        running.portal_url = "" if demo is None else demo.portal_url
        nursery.start_soon(running.read_errors)
        try:
            await running.wait_ready()
            yield running
        finally:
            with trio.CancelScope(shield=True), contextlib.suppress(ProcessLookupError):
                await _end(process)


@asynccontextmanager
async def demo_on_its_own() -> AsyncIterator[DemoUrls]:
    """Run the demo portal and the demo captcha server beside whatever servers come and go."""
    async with open_demo_process() as urls:
        yield urls


async def _end(process: trio.Process) -> None:
    if process.returncode is None:
        process.terminate()
        with trio.move_on_after(20):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()


def chromium_processes(data_dir: Path) -> dict[int, str]:
    """Return the running Chromium processes of the server with this data directory, by pid."""
    mark = f"mooring-chromium-{run_id_of(data_dir)}-"
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if mark in command:
                    found[int(entry.name)] = command
    return found


def browser_pids(data_dir: Path) -> list[int]:
    """Return the pids of the main processes only."""
    processes = chromium_processes(data_dir)
    return [
        pid
        for pid, command in processes.items()
        if "--type=" not in command and "crashpad" not in command
    ]


def chromium_directories(data_dir: Path) -> list[Path]:
    """Return the profiles in the temporary directory that belong to this data directory."""
    return list(Path(tempfile.gettempdir()).glob(f"mooring-chromium-{run_id_of(data_dir)}-*"))
