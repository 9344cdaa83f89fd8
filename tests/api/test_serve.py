"""The server as a process: readiness, signals, locks, and what its start says when it fails."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio
import trio.testing

from actors.browser.messages import ListSessions
from api.config import load
from api.serve import _is_unused, _pointed_at, _poll_until
from engine.errors import ActorStopped
from tests.api.desk import Desk
from tests.api.harness import CREDENTIALS, MOORING, ON_PAPER, Server, server

pytestmark = pytest.mark.usefixtures("leak_check")


async def failed(
    tmp_path: Path,
    *arguments: str,
    env: dict[str, str] | None = None,
    program: tuple[str, ...] = ON_PAPER,
) -> Server:
    """Start a server that does not start, and return it once it has ended."""
    async with server(tmp_path, *arguments, env=env, program=program) as running:
        await running.wait_ended(within_s=20)
    return running


async def test_it_says_where_it_listens_once_it_answers(tmp_path: Path) -> None:
    binds = ("--bind", "127.0.0.1:0", "--bind", "[::1]:0")
    async with server(tmp_path, *binds) as running:
        await running.wait_ready(addresses=2)
        hosts = [url.rpartition(":")[0] for url in running.urls]
        assert hosts == ["http://127.0.0.1", "http://[::1]"]
        async with httpx.AsyncClient(trust_env=False, timeout=40) as client:
            for url in running.urls:
                assert (await client.get(f"{url}/ready")).json() == {"status": "ready"}
        assert await running.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_cleanly(tmp_path: Path, number: int) -> None:
    async with server(tmp_path) as running:
        await running.wait_ready()
        assert await running.stop(number) == 0
    assert running.log[-1]["event"] == "stopped"
    assert running.log[-1]["forced"] is False
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port)).close()


async def test_a_stop_waits_for_nobody_who_does_not_read_or_has_nothing_to_say(
    tmp_path: Path,
) -> None:
    env = {"MOORING_DRAIN_S": "1"}
    async with server(tmp_path, env=env) as running, trio.open_nursery() as nursery:
        await running.wait_ready()
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            base = running.urls[0]
            await client.post(f"{base}/get_session", json=CREDENTIALS)  # and stays connected
            idle = await trio.open_tcp_stream("127.0.0.1", running.port)
            deaf = await trio.open_tcp_stream("127.0.0.1", running.port)
            await deaf.send_all(b"GET /debug_bundles/flood.zip HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answers: list[httpx.Response] = []

            async def call(seconds: float) -> None:
                body = {"session_id": "session_1704623456_0", "seconds": seconds}
                answers.append(await client.post(f"{base}/rest", json=body))

            nursery.start_soon(call, 0.5)
            nursery.start_soon(call, 3600)
            await trio.testing.wait_all_tasks_blocked(0.3)
            assert await running.stop(within_s=15) == 0
            await idle.aclose()
            await deaf.aclose()
    assert sorted(answer.status_code for answer in answers) == [200, 503]
    assert {line["level"] for line in running.log} == {"info"}


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    env = {"MOORING_DRAIN_S": "3600"}
    async with server(tmp_path, env=env) as running:
        await running.wait_ready()
        # A head that never ends is nothing to wait for, a body that never comes is.
        stream = await trio.open_tcp_stream("127.0.0.1", running.port)
        await stream.send_all(
            b"POST /rest HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
        )
        await trio.testing.wait_all_tasks_blocked(0.2)
        running.process.send_signal(signal.SIGTERM)
        with trio.fail_after(40):
            while not running.log or running.log[-1]["event"] != "stopping":
                await trio.testing.wait_all_tasks_blocked(0.01)
        assert await running.stop(within_s=10) == 1
        await stream.aclose()
    assert running.log[-1]["forced"] is True


async def test_a_signal_before_it_is_ready_ends_it_at_once_and_cleanly(tmp_path: Path) -> None:
    env = {"DESK_IS_NEVER_READY": "1"}
    async with server(tmp_path, "--demo", env=env) as running:
        assert running.process.stdout is not None
        with trio.fail_after(40):
            text = b""
            while b"demo captcha on " not in text:
                text += await running.process.stdout.receive_some()
        assert b"demo portal on http://127.0.0.1:" in text
        assert await running.stop(within_s=5) == 0
    assert b"listening" not in text


async def test_a_second_server_on_the_same_data_is_refused(tmp_path: Path) -> None:
    async with server(tmp_path) as running:
        await running.wait_ready()
        second = await failed(tmp_path)
        assert second.process.returncode == 1
        assert second.errors.decode().splitlines() == [
            f"mooring: data directory {tmp_path / 'data'}: is in use by another server "
            f"(process {running.process.pid})"
        ]
        await running.stop(signal.SIGKILL)
    async with server(tmp_path) as third:
        await third.wait_ready()
        assert await third.stop() == 0


async def test_a_taken_address_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        running = await failed(tmp_path, "--bind", address)
    assert running.process.returncode == 1
    (line,) = running.errors.decode().splitlines()
    assert line.startswith(f"mooring: cannot listen on {address}: the port is taken")


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (("--bind", "127.0.0.1:70000"), {}, "MOORING_BIND: '127.0.0.1:70000' is not"),
        (("--bind", "0.0.0.0:0"), {}, "MOORING_PUBLIC_URL: must be set"),
        (("--config", "absent.toml"), {}, "absent.toml: cannot be read"),
        ((), {"MOORING_BROWSER__CAPASITY": "1"}, "MOORING_BROWSER__CAPASITY: no such setting"),
        ((), {"MOORING_BROWSER__CAPACITY": "none"}, "MOORING_BROWSER__CAPACITY: expected int"),
        (
            (),
            {"MOORING_TLS_CERT": "/nowhere", "MOORING_TLS_KEY": "/nowhere"},
            "MOORING_TLS_CERT, MOORING_TLS_KEY: No such file or directory",
        ),
    ],
)
async def test_a_wrong_setting_is_one_line_and_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], env: dict[str, str], said: str
) -> None:
    running = await failed(tmp_path, *arguments, env=env)
    assert running.process.returncode == 2
    (line,) = running.errors.decode().splitlines()
    assert line.startswith(f"mooring: {said}")
    assert not (tmp_path / "data" / "server.lock").exists() or "TLS" in said


async def test_data_that_cannot_be_kept_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    running = await failed(tmp_path, env={"MOORING_DATA_DIR": str(tmp_path / "file")})
    assert running.process.returncode == 1
    (line,) = running.errors.decode().splitlines()
    assert line.startswith(f"mooring: data directory {tmp_path / 'file'}: ")


async def test_a_missing_chromium_is_one_line(tmp_path: Path) -> None:
    env = {"MOORING_BROWSER__EXECUTABLE": "/nowhere/chromium"}
    running = await failed(tmp_path, env=env, program=MOORING)
    assert running.process.returncode == 1
    (line,) = running.errors.decode().splitlines()
    assert line.startswith("mooring: ")
    assert "/nowhere/chromium" in line


async def test_a_portal_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    running = await failed(tmp_path, env={"MOORING_BROWSER__PORTAL": "e-model"}, program=MOORING)
    assert running.process.returncode == 1
    (line,) = running.errors.decode().splitlines()
    assert line.startswith("mooring: ")
    assert "e-model" in line


async def test_the_end_waits_for_operations_whose_callers_have_gone(
    autojump_clock: trio.testing.MockClock,
) -> None:
    desk = Desk()
    view = desk.registry.add("driver-1")
    desk.registry.sessions["x"] = msgspec.structs.replace(view, in_use=True)
    with trio.move_on_after(60) as scope:
        await _poll_until(partial(_is_unused, desk))
    assert scope.cancelled_caught
    del desk.registry.sessions["x"]
    with trio.fail_after(1):
        await _poll_until(partial(_is_unused, desk))


async def test_the_end_does_not_wait_for_a_registry_that_has_gone() -> None:
    async def gone(_: Any) -> None:
        raise ActorStopped("browser/registry", None)

    desk = Desk()
    desk.registry.behave[ListSessions] = gone
    assert await _is_unused(desk)


def test_the_demo_is_used_save_where_somebody_has_said_otherwise() -> None:
    def pointed(environ: dict[str, str]) -> tuple[str | None, str]:
        config = load(flags={}, environ=environ)
        browser = _pointed_at("http://portal", "http://captcha", config)
        return browser.portal_url, browser.captcha_url

    own = "http://own.example"
    assert pointed({}) == ("http://portal", "http://captcha")
    assert pointed({"MOORING_BROWSER__PORTAL_URL": own}) == (own, "http://captcha")
    assert pointed({"MOORING_BROWSER__CAPTCHA_URL": own}) == ("http://portal", own)


def make_certificate(tmp_path: Path, *, password: str | None = None) -> dict[str, str]:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    secret = ["-nodes"] if password is None else ["-passout", f"pass:{password}"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*made, *secret], check=True, capture_output=True)
    return {"MOORING_TLS_CERT": str(cert), "MOORING_TLS_KEY": str(key)}


async def test_with_a_certificate_it_serves_https(tmp_path: Path) -> None:
    env = make_certificate(tmp_path)
    async with server(tmp_path, env=env) as running:
        await running.wait_ready()
        assert running.urls[0].startswith("https://127.0.0.1:")
        trust = ssl.create_default_context(cafile=env["MOORING_TLS_CERT"])
        async with httpx.AsyncClient(trust_env=False, verify=trust, timeout=40) as client:
            answer = await client.post(f"{running.urls[0]}/get_session", json=CREDENTIALS)
            assert answer.json()["is_new"] is True
            who = {"email": "ada@example.com", "password": "correct horse battery"}
            own = {"Origin": running.urls[0]}
            door = f"{running.urls[0]}/dashboard/signup"
            cookie = (await client.post(door, data=who, headers=own)).headers["Set-Cookie"]
            assert cookie.startswith("__Host-mooring-partner=")
            assert "Secure" in cookie
        # Plain http to it, and a handshake that never comes, hold nothing up.
        async with await trio.open_tcp_stream("127.0.0.1", running.port) as plain:
            await plain.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async with await trio.open_tcp_stream("127.0.0.1", running.port):
                assert await running.stop() == 0
    assert {line["level"] for line in running.log} == {"info"}


async def test_an_encrypted_key_does_not_ask_for_its_password(tmp_path: Path) -> None:
    running = await failed(tmp_path, env=make_certificate(tmp_path, password="hunter2"))
    assert running.process.returncode == 2
    assert "the key is encrypted" in running.errors.decode()


async def test_the_demo_takes_its_three_ports_or_passes_over_the_lesser_ones(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 3000)):
        async with server(tmp_path, "--demo", env={"MOORING_BIND": ""}) as running:
            await running.wait_ready(addresses=2)
            assert running.urls == ["http://127.0.0.1:5010", "http://127.0.0.1:8000"]
            assert await running.stop() == 0
    (warning,) = [line for line in running.log if line["level"] == "warning"]
    assert "127.0.0.1:3000" in warning["reason"]


async def test_the_demo_does_without_no_5010(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 5010)):
        running = await failed(tmp_path, "--demo", env={"MOORING_BIND": ""})
    assert running.process.returncode == 1
    assert "127.0.0.1:5010: the port is taken" in running.errors.decode()


async def test_a_reader_of_its_output_may_go_away(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    async with server(tmp_path, stdout=write) as running:
        os.close(write)
        with trio.fail_after(40):
            while not any(line["event"] == "serving" for line in running.log):
                await trio.testing.wait_all_tasks_blocked(0.05)
        assert await running.stop() == 0
