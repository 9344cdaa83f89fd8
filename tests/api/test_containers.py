"""The Containerfile's steps as a script, the server that comes of them, and compose.yaml.

No container engine is needed: the steps run on a copy of the sources, under a directory of the
test's own, and what they installed is started as the image's user.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from typing import Any

import httpx
import msgspec
import pytest
import trio
import yaml

from api.config import known_settings, load
from tests.api.harness import ROOT, Server

CONTAINERFILE = (ROOT / "Containerfile").read_text()
CREDENTIALS = {
    "username": "driver-1",
    "password": "harbor-1",
    "captcha_api_key": "demo-captcha-key",
}


class Image(msgspec.Struct):
    """What the steps made, in a directory that stands for the container's root."""

    root: Path
    user: int

    def inside(self, text: str) -> str:
        """Return a line of the Containerfile for here."""
        text = re.sub(r"(?<![\w.])/(src|opt/mooring|var/lib/mooring)\b", rf"{self.root}/\1", text)
        return text.replace("10001", str(self.user))

    @property
    def environ(self) -> dict[str, str]:
        (line,) = re.findall(r"^ENV (.*)$", CONTAINERFILE, re.MULTILINE)
        pairs = (pair.partition("=") for pair in self.inside(line).split())
        path = os.pathsep.join(
            each for each in os.environ["PATH"].split(os.pathsep) if ".venv" not in each
        )
        return {"PATH": path} | {name: value for name, _, value in pairs}


def steps() -> list[str]:
    """The RUN steps, in order; each is one line, so that a shell can take it as it is."""
    assert "\\\n" not in CONTAINERFILE
    return re.findall(r"^RUN (.*)$", CONTAINERFILE, re.MULTILINE)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """Run the steps on a copy of what is, or would be, in the repository."""
    root = Path(tempfile.mkdtemp(prefix="mooring-image-"))
    root.chmod(0o755)  # for the image's user
    python = _python_for_everybody() if os.geteuid() == 0 else None
    made = Image(root, os.geteuid() if python is None else 10001)
    try:
        (root / "src").mkdir()
        (root / "var/lib").mkdir(parents=True)
        for name in _sources():
            (root / "src" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, root / "src" / name)
        for step in steps():
            done = subprocess.run(
                ["sh", "-euc", made.inside(step)],
                env={**os.environ, "PATH": made.environ["PATH"], "PYTHON": python or ""},
                cwd=root,
                capture_output=True,
                text=True,
                check=False,
                timeout=300,
            )
            assert done.returncode == 0, f"{step}\n{done.stderr}"
        shutil.rmtree(root / "src")  # the program needs none of it
        yield made
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _python_for_everybody() -> str | None:
    """Return a Python that the image's user may run too; one in somebody's home is not."""
    is_usable = "import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))"
    for found in ("/usr/bin/python3", "/usr/local/bin/python3"):
        if os.path.exists(found):
            said = subprocess.run([found, "-c", is_usable], check=False, capture_output=True)
            if said.returncode == 0:
                return found
    return None


def _sources() -> list[str]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):  # not a working copy: what a build would take
        ignored = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build")
        return [
            str(path.relative_to(ROOT))
            for path in ROOT.rglob("*")
            if path.is_file() and not set(ignored("", path.relative_to(ROOT).parts))
        ]
    return [name for name in listed.splitlines() if (ROOT / name).is_file()]


@asynccontextmanager
async def serving(image: Image, *arguments: str, **env: str) -> AsyncIterator[Server]:
    """Start the image's entry point as the image's user."""
    (entry,) = re.findall(r'^ENTRYPOINT \["(.*)"\]$', CONTAINERFILE, re.MULTILINE)
    (command,) = re.findall(r'^CMD \["(.*)"\]$', CONTAINERFILE, re.MULTILINE)
    who: dict[str, Any] = {}
    if os.geteuid() == 0:
        who = {"user": image.user, "group": image.user, "extra_groups": []}
    async with trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process(
            [image.inside(entry), command, *arguments],
            stdout=PIPE,
            stderr=PIPE,
            env=image.environ | env,
            cwd=image.inside("/var/lib/mooring"),
            **who,
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


async def test_the_steps_make_a_server_that_logs_in_with_a_real_chromium(image: Image) -> None:
    async with serving(image, "--demo", MOORING_BIND="127.0.0.1:0") as running:
        await running.wait_ready()
        async with httpx.AsyncClient(
            base_url=running.urls[0], trust_env=False, timeout=120
        ) as client:
            session = await client.post("/get_session", json=CREDENTIALS)
            assert session.status_code == 200, session.text
            # What is no Python must have been installed too.
            for page in ("/chat", "/chat/chat.css", "/chat/chat.js"):
                assert (await client.get(page)).status_code == 200
        assert await running.stop() == 0


async def test_all_that_is_no_python_is_installed(image: Image) -> None:
    installed = next((image.root / "opt/mooring/lib").glob("python3*/site-packages"))
    for name in _sources():
        if name.split("/")[0] in {"api", "actors", "engine"}:
            assert (installed / name).is_file(), name


async def test_as_the_image_starts_it_it_wants_a_token_and_says_so(image: Image) -> None:
    async with serving(image) as running:
        assert await running.wait_ended(within_s=30) == 2
    assert b"MOORING_PUBLIC_URL" in running.errors


async def test_with_a_token_the_image_listens_on_every_address(image: Image) -> None:
    env = {
        "MOORING_BIND": image.environ["MOORING_BIND"].replace("5010", "0"),
        "MOORING_PUBLIC_URL": "https://mooring.example",
        "MOORING_OPERATOR_TOKENS": "token",
    }
    async with serving(image, **env) as running:
        await running.wait_ready()
        port = running.port
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            health = await client.get(f"http://127.0.0.1:{port}/health")
        assert health.status_code == 200
        assert await running.stop() == 0


def test_what_the_container_files_set_are_settings_that_exist_and_are_valid() -> None:
    known = {setting.variable for setting in known_settings()}
    for name in ("Containerfile", "compose.yaml", "deploy/mooring.service"):
        named = set(re.findall(r"MOORING_[A-Z_]*[A-Z]", (ROOT / name).read_text()))
        assert named <= known, name


def test_compose_starts_the_engine_once_postgresql_is_healthy() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    engine, database = services["mooring"], services["db"]
    assert engine["build"]["dockerfile"] == "Containerfile"
    assert engine["depends_on"]["db"]["condition"] == "service_healthy"
    assert "test" in database["healthcheck"]
    given = {
        "POSTGRES_PASSWORD": "secret",
        "MOORING_KEY": "A" * 43 + "=",
        "MOORING_OPERATOR_TOKENS": "token",
        "MOORING_PUBLIC_URL": "https://mooring.example",
    }
    environ = {
        name: re.sub(r"\$\{(\w+):\?\}", lambda match: given[match[1]], value)
        for name, value in engine["environment"].items()
    }
    environ |= {"MOORING_BIND": "0.0.0.0:5010"}
    settings = load(flags={}, environ=environ).settings
    assert settings.store == "postgresql://mooring@db/mooring"
    grace_s = float(engine["stop_grace_period"].removesuffix("s"))
    assert grace_s >= settings.drain_s + 15


def test_no_secret_and_no_registry_stands_in_the_container_files() -> None:
    for name in ("Containerfile", "compose.yaml"):
        text = (ROOT / name).read_text()
        images = re.findall(r"(?:^FROM|image:) (\S+)$", text, re.MULTILINE)
        assert set(images) <= {"debian:bookworm-slim", "postgres:15", "mooring"}
        assert not re.search(r"(?i)(password|token|key)s?: [\"']?[A-Za-z0-9+/=]{8,}", text)


def test_the_unit_gives_a_drain_the_time_that_it_may_take() -> None:
    unit = (ROOT / "deploy/mooring.service").read_text()
    (drain_s,) = re.findall(r"MOORING_DRAIN_S=(\d+)", unit)
    (stop_s,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert int(stop_s) >= int(drain_s) + 15
