"""The document of guarantees and the tests that prove them name each other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "docs" / "runtime-semantics.md"


def guarantees() -> list[str]:
    """The names that stand in bold at the head of an item."""
    return re.findall(r"^- \*\*([a-z0-9-]+)\*\*:", DOCUMENT.read_text(), flags=re.MULTILINE)


def names_of_tests() -> Iterator[str]:
    for path in HERE.parent.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name


def test_every_item_of_the_document_has_a_name_of_its_own() -> None:
    items = re.findall(r"^- ", DOCUMENT.read_text(), flags=re.MULTILINE)
    names = guarantees()
    assert len(names) == len(items)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("guarantee", guarantees())
def test_a_test_bears_the_name_of_each_guarantee(guarantee: str) -> None:
    name = "test_" + guarantee.replace("-", "_")
    assert any(test == name or test.startswith(f"{name}_") for test in names_of_tests()), (
        f"docs/runtime-semantics.md guarantees {guarantee}, and no test is called {name}…"
    )
