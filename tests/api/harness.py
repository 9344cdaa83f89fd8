"""The door over real sockets, in this process or in one of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import httpx
import msgspec
import trio

from actors.browser.settings import BrowserSettings
from api.access import AccessLog
from api.address import Address, Origin
from api.app import App
from api.browser.routes import browser_routes
from api.guard import Policy, policy_for
from api.monitoring.health import Doctor, health_routes
from api.monitoring.vitals import Vitals
from api.server.drain import Drain
from api.server.listen import open_listener
from api.server.web import Web
from api.settings import Network
from engine.clock import SeededClock
from tests.api.desk import Desk

ROOT = Path(__file__).parents[2]
# The whole program, and the same without browsers.
MOORING = (str(Path(sys.executable).with_name("mooring")),)
ON_PAPER = (sys.executable, "-m", "tests.api.desk_cli")
CREDENTIALS = {"username": "driver-1", "password": "harbor-1", "captcha_api_key": "key"}


class Opened(msgspec.Struct, kw_only=True):
    """A door that is being served."""

    client: httpx.AsyncClient
    port: int
    desk: Desk
    drain: Drain
    web: Web
    app: App
    everything: trio.CancelScope

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    async def say(self, data: bytes) -> bytes:
        """Send raw bytes, and return all that comes until the server closes."""
        async with await self.connect() as stream:
            await stream.send_all(data)
            with trio.fail_after(40):
                return b"".join([bytes(part) async for part in stream])


def make_app(
    desk: Desk,
    drain: Drain,
    policy: Policy | None = None,
    browser: BrowserSettings | None = None,
    max_body_bytes: int = 1024 * 1024,
) -> App:
    app = App(policy=policy or Policy(), drain=drain, max_body_bytes=max_body_bytes)
    doctor = Doctor(desk, drain, None, Vitals())
    app.register_blueprint(health_routes(doctor, SeededClock()))
    limits = browser or BrowserSettings()
    app.register_blueprint(browser_routes(desk, limits, "https://mooring.example"))
    return app


@asynccontextmanager
async def opened(
    *,
    desk: Desk | None = None,
    browser: BrowserSettings | None = None,
    tokens: tuple[str, ...] = (),
    origins: frozenset[Origin] = frozenset(),
    proxies: tuple[Network, ...] = (),
    max_body_bytes: int = 1024 * 1024,
    **web_options: Any,
) -> AsyncIterator[Opened]:
    """Serve the routes over `desk` on a free port, and stop when the scope ends."""
    desk, drain = desk or Desk(), Drain()
    app = make_app(desk, drain, policy_for(tokens, origins), browser, max_body_bytes)
    web_options.setdefault("drain_s", 0.2)
    web = Web(AccessLog(app, SeededClock(), proxies), drain, **web_options)
    listener = open_listener(Address.at(0))
    port = listener.getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(web.run, [listener])
        drain.serve()
        base = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=20) as client:
            yield Opened(
                client=client,
                port=port,
                desk=desk,
                drain=drain,
                web=web,
                app=app,
                everything=nursery.cancel_scope,
            )
        drain.begin()


class Server:
    """`mooring serve` as a process."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self.urls: list[str] = []
        self.errors = b""

    @property
    def port(self) -> int:
        return int(self.urls[0].rpartition(":")[2])

    @property
    def log(self) -> list[dict[str, Any]]:
        """The log's lines so far."""
        return [json.loads(line) for line in self.errors.decode().splitlines()]

    async def read_errors(self) -> None:
        assert self.process.stderr is not None
        async for part in self.process.stderr:
            self.errors += part

    async def wait_ready(self, addresses: int = 1) -> None:
        assert self.process.stdout is not None
        text = b""
        with trio.fail_after(30):
            while text.count(b"listening on ") < addresses:
                part = await self.process.stdout.receive_some()
                assert part, f"ended before it was ready: {self.errors.decode()}"
                text += part
        lines = text.decode().splitlines()
        self.urls = [line.split()[-1] for line in lines if line.startswith("listening on ")]

    async def stop(self, number: int = signal.SIGTERM, *, within_s: float = 15) -> int:
        """Send a signal, and return the exit code."""
        self.process.send_signal(number)
        return await self.wait_ended(within_s=within_s)

    async def wait_ended(self, *, within_s: float = 15) -> int:
        with trio.fail_after(within_s):
            return await self.process.wait()


@asynccontextmanager
async def server(
    tmp_path: Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    program: tuple[str, ...] = ON_PAPER,
    stdout: int = PIPE,
) -> AsyncIterator[Server]:
    """Start a server; whatever happens, it has gone when the scope ends."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MOORING_")}
    environ |= {"MOORING_BIND": "127.0.0.1:0", "MOORING_DATA_DIR": str(tmp_path / "data")}
    environ |= {"PYTHONPATH": str(ROOT)} | dict(env or {})
    command = [*program, "serve", *arguments]
    async with trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process(
            command, stdin=DEVNULL, stdout=stdout, stderr=PIPE, env=environ, cwd=tmp_path
        )
        running = Server(process)
        nursery.start_soon(running.read_errors)
        try:
            yield running
        finally:
            with trio.CancelScope(shield=True), contextlib.suppress(ProcessLookupError):
                if process.returncode is None:
                    process.kill()
                await process.wait()
