"""Every line says where it comes from: request, session, actor."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any

import httpx
import structlog
import trio

from api import log
from engine import Actor, open_supervisor
from tests.api.harness import CREDENTIALS, opened, server
from tests.api.monitoring.test_metrics import OPENING

_log = structlog.get_logger("mooring.test")


class Chatty(Actor):
    def handle(self, message: Any) -> Any:
        _log.info("handled")
        self.start_job("job", self._work)

    async def _work(self) -> None:
        _log.info("worked")


class Crashing(Actor):
    def handle(self, message: Any) -> Any:
        raise ZeroDivisionError


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_what_an_actor_and_its_jobs_log_names_the_actor_and_its_session() -> None:
    stream = io.StringIO()
    log.configure(stream)
    async with open_supervisor("test") as supervisor:
        ref = supervisor.spawn(Chatty, "conversation/c-1")
        # The asker's own ids are not the actor's.
        with structlog.contextvars.bound_contextvars(request_id="of-the-asker"):
            await ref.ask("go", timeout_s=1)
        await trio.testing.wait_all_tasks_blocked()
        supervisor.spawn(Chatty, "registry/conversation").tell_nowait("go")
        await trio.testing.wait_all_tasks_blocked()
    found = lines(stream)
    assert [line["event"] for line in found] == ["handled", "worked"] * 2
    assert {line["actor"] for line in found[:2]} == {"conversation/c-1"}
    assert {line["session_id"] for line in found[:2]} == {"c-1"}
    assert {line["actor"] for line in found[2:]} == {"registry/conversation"}
    assert not any("session_id" in line for line in found[2:])
    assert not any("request_id" in line for line in found)


async def test_a_crash_is_logged_under_its_actor(  # by the engine, which knows no structlog
) -> None:
    stream = io.StringIO()
    log.configure(stream)
    async with open_supervisor("test") as supervisor:
        supervisor.spawn(Crashing, "browser/session_1").tell_nowait("go")
        await trio.testing.wait_all_tasks_blocked()
    (line,) = lines(stream)
    assert (line["event"], line["actor"]) == ("actor_crashed", "browser/session_1")
    assert line["session_id"] == "session_1"
    assert "ZeroDivisionError" in line["exception"]


async def test_what_the_engine_logs_about_a_stream_says_which_and_why() -> None:
    stream = io.StringIO()
    log.configure(stream)
    engine = logging.getLogger("mooring.engine")
    engine.warning("ownership_lost", extra={"stream": "conversation/c-1"})
    engine.warning("leases_not_renewed", extra={"cause": "the store is not available: gone"})
    lost, kept = lines(stream)
    assert (lost["stream"], lost["session_id"]) == ("conversation/c-1", "c-1")
    assert kept["cause"] == "the store is not available: gone"


async def test_what_a_library_logs_in_an_actor_names_it_too() -> None:
    stream = io.StringIO()
    log.configure(stream)

    class Loud(Actor):
        def handle(self, message: Any) -> Any:
            logging.getLogger("library").warning("odd")

    async with open_supervisor("test") as supervisor:
        supervisor.spawn(Loud, "pool/browser").tell_nowait("go")
        await trio.testing.wait_all_tasks_blocked()
    (line,) = lines(stream)
    assert (line["event"], line["actor"]) == ("odd", "pool/browser")


async def test_a_request_names_its_session_by_path_by_body_and_by_answer(tmp_path: Path) -> None:
    async with server(tmp_path) as running:
        await running.wait_ready()
        (url,) = running.urls
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            made = await client.post(f"{url}/get_session", json=CREDENTIALS)
            browser_id = made.json()["session_id"]
            used = {"session_id": browser_id, "container_id": "A"}
            await client.post(f"{url}/get_booking_number", json=used)
            await client.delete(f"{url}/sessions/{browser_id}")
            opened_ = await client.post(f"{url}/api/sessions", json=OPENING)
            talk_id = opened_.json()["sessionId"]
            await client.get(f"{url}/api/sessions/{talk_id}")
            await client.get(f"{url}/sessions")
        assert await running.stop() == 0
    requests = [line for line in running.log if line["event"] == "request"]
    assert [line.get("session_id") for line in requests] == [
        browser_id,
        browser_id,
        browser_id,
        talk_id,
        talk_id,
        None,
    ]
    ids = [line["request_id"] for line in requests]
    assert len(set(ids)) == len(ids)
    assert ids[0] == made.headers["x-request-id"]


async def test_an_operation_carries_the_id_of_its_request_to_the_session() -> None:
    async with opened() as door:
        await door.client.post("/get_session", json=CREDENTIALS)
        body = {"session_id": "session_1704623456_0", "container_id": "A"}
        answer = await door.client.post("/get_booking_number", json=body)
    assert door.desk.registry.asked[-1].request_id == answer.headers["x-request-id"] != ""


async def test_a_session_id_that_a_client_makes_up_is_cut_short_in_the_log(tmp_path: Path) -> None:
    async with server(tmp_path) as running:
        await running.wait_ready()
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            await client.get(f"{running.urls[0]}/api/sessions/{'x' * 2000}")
        assert await running.stop() == 0
    (line,) = [line for line in running.log if line["event"] == "request"]
    assert line["session_id"] == "x" * 128
