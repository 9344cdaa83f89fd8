"""docs/operations.md lists every event that can stand in the log, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click

from api.cli.main import main
from api.config import known_settings
from tests.api.harness import ROOT

DOC = (ROOT / "docs/operations.md").read_text()
LEVELS = {
    "debug": "debug",
    "info": "info",
    "warning": "warning",
    "error": "error",
    "exception": "error",
    "report": "error",  # a cell's
}
# They hand on the name that their caller gave, which is found there.
HANDED_ON = {"engine/cell.py", "engine/supervisor.py"}


def sources() -> Iterator[Path]:
    for part in ("engine", "actors", "api"):
        yield from sorted((ROOT / part).rglob("*.py"))


def calls(file: Path) -> Iterator[tuple[str, ast.expr]]:
    """Yield level and event of each call of a logger."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            owner = node.func.value
            name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
            is_logger = name.lower() in {"_log", "log", "logger"}
            is_cell = node.func.attr == "report" and name in {"self", "cell"}
            if node.func.attr in LEVELS and (is_logger or is_cell):
                yield LEVELS[node.func.attr], node.args[0]


def logged() -> dict[str, set[str]]:
    """Return each event's levels."""
    found: dict[str, set[str]] = {}
    for file in sources():
        for level, event in calls(file):
            if isinstance(event, ast.Constant) and isinstance(event.value, str):
                found.setdefault(event.value, set()).add(level)
            else:
                where = str(file.relative_to(ROOT))
                assert where in HANDED_ON, f"{where} logs an event that is not a literal"
    return found


def documented() -> dict[str, set[str]]:
    rows = re.findall(r"^\| `([^`|]+)` \| ([a-z, ]+) \|", DOC, re.MULTILINE)
    known = set(LEVELS.values())
    return {event: levels for event, text in rows if (levels := set(text.split(", "))) <= known}


def test_every_event_of_the_log_is_documented_with_its_levels_and_no_other_is() -> None:
    assert logged() == documented()


def test_every_setting_and_command_that_is_named_exists() -> None:
    known = {setting.variable for setting in known_settings()}
    assert set(re.findall(r"MOORING_[A-Z_]*[A-Z]", DOC)) <= known
    for name in re.findall(r"(?:bin/|`)mooring ([a-z]+)", DOC):
        assert name in main.commands
    store = main.commands["store"]
    assert isinstance(store, click.Group)
    for name in re.findall(r"mooring store ([a-z]+)", DOC):
        assert name in store.commands


def test_every_file_that_is_linked_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", DOC):
        assert (ROOT / "docs" / target).exists(), target


def test_every_heading_that_is_linked_is_there() -> None:
    headings = re.findall(r"^## (.*)$", DOC, re.MULTILINE)
    names = {heading.lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", DOC)) == names


def makes_logger(value: ast.expr | None) -> bool:
    made = isinstance(value, ast.Call) and ast.unparse(value.func)
    return made in {"structlog.get_logger", "logging.getLogger"}


def test_every_logger_goes_by_a_name_that_this_test_looks_for() -> None:
    known = {"_log", "_LOG", "self.error_logger"}  # the last one is Hypercorn's to use
    for file in sources():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Assign | ast.AnnAssign) and makes_logger(node.value):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = {ast.unparse(target) for target in targets}
                assert names <= known or file.name == "log.py", file
