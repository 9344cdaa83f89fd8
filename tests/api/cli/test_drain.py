"""`mooring drain`, against servers that run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import httpx
import pytest
import trio

from api.datadir import Holder, find_holder, hold_data_dir, tell_url
from tests.api.harness import CREDENTIALS, MOORING, server
from tests.api.monitoring.test_metrics import OPENING
from tests.api.wire import lined

pytestmark = pytest.mark.usefixtures("leak_check")


async def drain(data_dir: Path, **env: str) -> subprocess.CompletedProcess[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MOORING_")}
    environ |= {"MOORING_DATA_DIR": str(data_dir)} | env
    done = await trio.run_process(
        [*MOORING, "drain"], env=environ, capture_stdout=True, capture_stderr=True, check=False
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def test_the_holder_of_a_data_directory_is_found_while_it_holds_it(tmp_path: Path) -> None:
    assert find_holder(tmp_path / "none") is None
    with hold_data_dir(tmp_path / "data") as path:
        assert find_holder(path) == Holder(pid=os.getpid(), url=None)
        tell_url(path, "http://127.0.0.1:5010")
        assert find_holder(path) == Holder(pid=os.getpid(), url="http://127.0.0.1:5010")
    assert find_holder(tmp_path / "data") is None


async def test_it_ends_the_server_of_its_data_directory_with_exit_code_0(tmp_path: Path) -> None:
    async with server(tmp_path) as running:
        await running.wait_ready()
        done = await drain(tmp_path / "data")
        assert await running.wait_ended() == 0
    assert done.returncode == 0
    assert done.stderr.startswith("ended after ")


async def test_without_a_server_it_says_so_and_exits_with_1(tmp_path: Path) -> None:
    done = await drain(tmp_path / "data")
    assert done.returncode == 1
    assert done.stderr == f"mooring: no server runs on {tmp_path / 'data'}\n"


async def test_a_wrong_setting_is_exit_code_2(tmp_path: Path) -> None:
    assert (await drain(tmp_path, MOORING_DRAIN_S="soon")).returncode == 2


async def test_it_waits_for_a_running_operation_and_tells_what_it_waits_for(
    tmp_path: Path,
) -> None:
    env = {"MOORING_DRAIN_S": "20"}
    async with server(tmp_path, env=env) as running:
        await running.wait_ready()
        (url,) = running.urls
        answers: list[httpx.Response] = []
        async with (
            httpx.AsyncClient(trust_env=False, timeout=60) as client,
            trio.open_nursery() as nursery,
        ):
            await client.post(f"{url}/get_session", json=CREDENTIALS)

            async def call() -> None:
                body = {"session_id": "session_1704623456_0", "seconds": 5}
                answers.append(await client.post(f"{url}/rest", json=body))

            nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked(0.3)
            done = await drain(tmp_path / "data", **env)
        assert await running.wait_ended() == 0
    assert answers[0].status_code == 200
    assert done.returncode == 0
    assert f"draining process {running.process.pid}: 1 s" in done.stderr


async def test_a_reply_that_is_being_written_is_finished_and_streams_are_told_to_come_again(
    tmp_path: Path,
) -> None:
    env = {"MOORING_ASSISTANT__ECHO_PAUSE_S": "0.2", "MOORING_DRAIN_S": "30"}
    async with server(tmp_path, env=env) as running:
        await running.wait_ready()
        (url,) = running.urls
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            made = (await client.post(f"{url}/api/sessions", json=OPENING)).json()
            path = f"/api/sessions/{made['sessionId']}"
            async with lined(running.port, f"{path}/stream?after=0") as line:
                text = "one two three four five six seven eight nine ten"
                await client.post(f"{url}{path}/messages", json={"content": text})
                await line.until("reply.started")
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(drain, tmp_path / "data")
                    assert (await line.closed()).code == 1012
        assert await running.wait_ended() == 0
    async with server(tmp_path, env=env) as running:
        await running.wait_ready()
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            found = await client.get(f"{running.urls[0]}{path}/messages")
        assert await running.stop() == 0
    assert [message["status"] for message in found.json()["messages"]] == ["complete"] * 2
    assert found.json()["messages"][1]["content"].endswith(text)
