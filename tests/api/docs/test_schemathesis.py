"""Schemathesis over `/openapi.json` of a running server, following links from answer to request.

A small, repeatable part of it each time; `pytest tests/api/docs --fuzz-examples 30` makes thousands
of cases. The browser is on paper: what is tried here is the door.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from subprocess import STDOUT

import httpx
import pytest
import trio

from tests.api.harness import Server, server

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# No 500, no status, header, type or body that the documents do not have.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
LEFT_OUT = (
    # Streams do not end; tests/api/test_streams.py reads them.
    "browser_session_events",
    "conversation_stream",
    "hosted_session_events",
    # It ends the login that the rest is tried with.
    "logout",
    # An operation of the portal on paper that waits as long as it is told to.
    "rest",
)
ENV = {
    "MOORING_PARTNER__RATE_LIMIT_PER_MINUTE": "10000000",
    "MOORING_PARTNER__MONTHLY_QUOTA": "1000000",
    "MOORING_PARTNER__MAX_ACTIVE": "1000000",
}


async def credentials(running: Server) -> str:
    """Sign up, make a key, and return both as Schemathesis takes them, by kind of security."""
    async with httpx.AsyncClient(base_url=running.urls[0], trust_env=False, timeout=40) as client:
        login = {"email": "ada@example.com", "password": "a long enough password"}
        token = (await client.post("/api/v1/auth/signup", json=login)).json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        made = await client.post(
            "/api/v1/api-keys/generate", json={"environment": "sandbox"}, headers=bearer
        )
        key = made.json()["api_key"]
    kinds = {"accessToken": token, "apiKey": key}
    return "".join(f'[auth.openapi.{kind}]\nbearer = "{it}"\n' for kind, it in kinds.items())


async def fuzz(running: Server, folder: Path, *, examples: int, phases: str) -> tuple[int, str]:
    """Run it, and return its exit code and what it said."""
    config = trio.Path(folder / "schemathesis.toml")
    await config.write_text(await credentials(running))
    command = [str(SCHEMATHESIS), "--config-file", str(config), "run"]
    command += [f"{running.urls[0]}/openapi.json", "--phases", phases, "--seed", "1"]
    command += ["--checks", ",".join(CHECKS), "--max-examples", str(examples), "--no-color"]
    command += ["--request-timeout", "20", "--generation-database", "none"]
    for name in LEFT_OUT:
        command += ["--exclude-operation-id", name]
    done = await trio.run_process(
        command, cwd=folder, capture_stdout=True, stderr=STDOUT, check=False
    )
    return done.returncode, done.stdout.decode()


async def test_what_is_answered_is_what_the_documents_say(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    given: int | None = request.config.getoption("--fuzz-examples")
    phases = "examples,fuzzing,stateful" if given is None else "examples,coverage,fuzzing,stateful"
    async with server(tmp_path, env=ENV) as running:
        await running.wait_ready()
        code, said = await fuzz(running, tmp_path, examples=given or 2, phases=phases)
    assert code == 0, said
    found = re.search(r"(\d+) generated", said)
    assert found, said
    print(f"{found[1]} cases")
    assert int(found[1]) > (1_000 if given else 100), said
    assert not [line for line in running.log if line.get("level") == "error"]
