"""What is installed, what the set-up says when it cannot go on, and the command line itself."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from importlib import metadata

from tests.api.harness import MOORING, ROOT

# Comes with the virtual environment; what it installs does not depend on its version.
_UNPINNED = {"pip", "mooring"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().split()
    return {normal(name): version for name, _, version in (line.partition("==") for line in lines)}


def test_everything_that_is_installed_is_pinned_at_that_version() -> None:
    installed = {
        normal(found.metadata["Name"]): found.version
        for found in metadata.distributions()
        if normal(found.metadata["Name"]) not in _UNPINNED
    }
    known = pins()
    assert {
        name: version for name, version in installed.items() if known.get(name) != version
    } == {}


def test_everything_that_is_asked_for_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = project["dependencies"] + project["optional-dependencies"]["test"]
    names = {normal(re.split(r"[<>=]", line)[0]) for line in asked}
    assert names <= pins().keys()


def test_the_version_is_the_packages() -> None:
    said = subprocess.run([*MOORING, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"mooring {metadata.version('mooring')}\n"


def test_a_wrong_flag_is_exit_code_2() -> None:
    said = subprocess.run([*MOORING, "serve", "--prot", "5"], check=False, capture_output=True)
    assert said.returncode == 2
    assert b"--prot" in said.stderr
    assert b"Traceback" not in said.stderr


def in_setup(script: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"set -euo pipefail; . scripts/system.sh; {script}"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | env,
    )


def test_a_python_that_is_too_old_or_absent_is_one_line() -> None:
    for python in ("/nowhere/python", "/bin/false"):
        said = in_setup("find_python", PYTHON=python)
        assert said.returncode == 1
        (line,) = said.stderr.splitlines()
        assert line.startswith(f"mooring: {python} is no Python 3.11")


def test_elsewhere_than_on_debian_a_missing_chromium_is_one_line_that_says_so() -> None:
    said = in_setup("is_debian() { false; }; command() { false; }; find_chromium")
    assert said.returncode == 1
    (line,) = said.stderr.splitlines()
    assert line.startswith("mooring: Chromium or Chrome is missing; install it")


def test_without_root_and_sudo_a_missing_package_is_one_line() -> None:
    said = in_setup(
        "is_debian() { true; }; id() { echo 1000; }; command() { false; }; find_chromium"
    )
    assert said.returncode == 1
    assert (
        said.stderr == "mooring: Chromium or Chrome is missing; as root: apt-get install chromium\n"
    )


def test_the_scripts_name_no_registry() -> None:
    for file in [ROOT / "Makefile", *(ROOT / "scripts").iterdir(), ROOT / ".ci/run"]:
        assert not re.search(r"https?://(?!127\.0\.0\.1)", file.read_text())
