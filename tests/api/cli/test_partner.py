"""`mooring partner`: accounts of a server that does not run, and a session of one that does."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from api.partner.terminal import qr_lines
from tests.api.harness import ROOT, Server, server
from tests.api.partner.partnering import PASSWORD
from tests.api.test_serve import make_certificate

EMAIL = "ada@example.com"
OTHER = "another long password"


def command(
    data_dir: Path, *arguments: str, given: str = PASSWORD, **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.api.desk_cli", "partner", *arguments],
        input=given,
        capture_output=True,
        check=False,
        timeout=60,
        text=True,
        cwd=data_dir.parent,
        env={
            "MOORING_DATA_DIR": str(data_dir),
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": "utf-8",
            **env,
        },
    )


async def run(data_dir: Path, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return await trio.to_thread.run_sync(lambda: command(data_dir, *arguments, **more))


async def log_in(it: Server, password: str = PASSWORD) -> httpx.Response:
    async with httpx.AsyncClient(base_url=it.urls[0], trust_env=False, timeout=40) as http:
        body = {"email": EMAIL, "password": password}
        return await http.post("/api/v1/auth/login", json=body)


@asynccontextmanager
async def serving(tmp_path: Path) -> AsyncIterator[Server]:
    async with server(tmp_path, env={"MOORING_PARTNER__SIGNUP": "closed"}) as it:
        await it.wait_ready()
        yield it


async def test_an_account_is_made_and_its_password_reset_while_no_server_runs(
    tmp_path: Path,
) -> None:
    data_dir = tmp_path / "data"
    made = await run(data_dir, "add-user", "--email", EMAIL, "--password-stdin")
    assert made.returncode == 0, made.stderr
    assert [line.split()[0] for line in made.stdout.splitlines()] == ["user", "tenant"]
    assert PASSWORD not in made.stdout + made.stderr
    async with serving(tmp_path) as it:
        user = (await log_in(it)).json()["user"]
        assert [f"user {user['user_id']}", f"tenant {user['tenant_id']}"] == (
            made.stdout.splitlines()
        )
        busy = await run(data_dir, "reset-password", "--email", EMAIL, "--password-stdin")
        assert busy.returncode == 1
        assert "in use" in busy.stderr
        await it.stop()
    reset = await run(
        data_dir, "reset-password", "--email", "ADA@example.com", "--password-stdin", given=OTHER
    )
    assert reset.returncode == 0, reset.stderr
    async with serving(tmp_path) as it:
        assert (await log_in(it)).status_code == 401
        assert (await log_in(it, OTHER)).status_code == 200


async def test_a_second_person_joins_a_tenant_and_may_not_manage_its_keys(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    made = await run(data_dir, "add-user", "--email", "boss@example.com", "--password-stdin")
    tenant = made.stdout.split()[-1]
    joined = ("--tenant", tenant, "--role", "member", "--password-stdin")
    assert (await run(data_dir, "add-user", "--email", EMAIL, *joined)).returncode == 0
    async with serving(tmp_path) as it:
        body = (await log_in(it)).json()
        assert (body["user"]["tenant_id"], body["user"]["role"]) == (tenant, "member")
        headers = {"Authorization": f"Bearer {body['access_token']}"}
        async with httpx.AsyncClient(
            base_url=it.urls[0], headers=headers, trust_env=False, timeout=40
        ) as http:
            wanted = {"environment": "sandbox"}
            refused = await http.post("/api/v1/api-keys/generate", json=wanted)
            assert refused.status_code == 403
            assert (await http.get("/api/v1/api-keys/list")).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "given", "code", "problem"),
    [
        (("add-user", "--email", "nobody"), PASSWORD, 1, "email: must be an e-mail address"),
        (("add-user", "--email", EMAIL), "short", 1, "password: must have at least 12"),
        (("add-user", "--email", EMAIL, "--tenant", "x"), PASSWORD, 1, "Tenant not found"),
        (("reset-password", "--email", EMAIL), PASSWORD, 1, "Account not found"),
    ],
)
async def test_what_cannot_be_done_is_one_line(
    tmp_path: Path, arguments: tuple[str, ...], given: str, code: int, problem: str
) -> None:
    done = await run(tmp_path / "data", *arguments, "--password-stdin", given=given)
    assert done.returncode == code
    assert done.stderr.startswith(f"mooring: {problem}")
    assert len(done.stderr.splitlines()) == 1


async def test_an_address_has_one_account(tmp_path: Path) -> None:
    for code in (0, 1):
        done = await run(tmp_path / "data", "add-user", "--email", EMAIL, "--password-stdin")
        assert done.returncode == code
    assert "already" in done.stderr


async def test_a_session_is_made_and_its_url_drawn_for_a_phone(tmp_path: Path) -> None:
    async with server(tmp_path) as it:
        await it.wait_ready()
        url = it.urls[0]
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=40) as http:
            body = {"email": EMAIL, "password": PASSWORD}
            who = (await http.post("/api/v1/auth/signup", json=body)).json()
            headers = {"Authorization": f"Bearer {who['access_token']}"}
            wanted = {"environment": "sandbox"}
            made = await http.post("/api/v1/api-keys/generate", json=wanted, headers=headers)
            key = made.json()["api_key"]
            asked = ("--return-url", "https://example.com/back", "--user-id", "user-123")
            other, stdin = tmp_path / "other", ("create-session", "--key", "-", "--server", url)
            done = await run(other, *stdin, *asked, given=key)
            assert done.returncode == 0, done.stderr
            session_id, session_url = (line.split()[1] for line in done.stdout.splitlines()[:2])
            found = await http.get(f"/api/v1/sessions/{session_id}", headers=headers)
            assert found.json()["metadata"] == {"user_id": "user-123"}
            drawn = done.stdout.splitlines()[4:]
            assert drawn == list(qr_lines(session_url, encoding="utf-8", in_colour=False))
            asked = ("--key", "vp_wrong", *asked, "--server", url)
            refused = await run(other, "create-session", *asked)
            assert (refused.returncode, refused.stderr) == (1, "mooring: 401: Invalid API key\n")


async def test_a_server_with_a_certificate_of_its_own_is_believed_when_it_is_named(
    tmp_path: Path,
) -> None:
    env = make_certificate(tmp_path)
    async with server(tmp_path, env=env) as it:
        await it.wait_ready()
        wanted = ("create-session", "--key", "vp_x", "--return-url", "https://x.example")
        for more, said in (
            ({}, "does not answer: its certificate is not trusted ("),
            ({"SSL_CERT_FILE": env["MOORING_TLS_CERT"]}, "401: Invalid API key"),
        ):
            done = await run(tmp_path / "other", *wanted, "--server", it.urls[0], **more)
            assert done.returncode == 1
            assert said in done.stderr
            assert len(done.stderr.splitlines()) == 1


async def test_a_server_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    wanted = ("--key", "vp_x", "--return-url", "https://x.example", "--server")
    for url in ("http://127.0.0.1:1", "no url", "http://[::1"):
        done = await run(tmp_path / "data", "create-session", *wanted, url)
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1


async def test_the_key_of_receipts_is_rotated_and_the_one_before_stays_public(
    tmp_path: Path,
) -> None:
    data_dir = tmp_path / "data"

    async def public() -> list[str]:
        async with serving(tmp_path) as it, httpx.AsyncClient(trust_env=False, timeout=40) as http:
            keys = (await http.get(f"{it.urls[0]}/.well-known/jwks.json")).json()["keys"]
            return [key["kid"] for key in keys if key["kid"].startswith("production-")]

    [first] = await public()
    rotated = await run(data_dir, "rotate-signing-key", "--environment", "production")
    assert rotated.returncode == 0, rotated.stderr
    second = rotated.stdout.split()[-1]
    assert await public() == [first, second]
    async with serving(tmp_path):
        refused = await run(data_dir, "rotate-signing-key", "--environment", "production")
    assert refused.returncode == 1
