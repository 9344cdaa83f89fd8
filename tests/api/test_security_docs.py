"""`docs/security.md` names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.engine.test_semantics_are_proved import names_of_tests

DOC = (Path(__file__).parents[2] / "docs/security.md").read_text()
ROWS = [row.strip("|").split(" | ") for row in DOC.splitlines() if re.match(r"\| \d", row)]
TESTS = sorted(set(names_of_tests()))


def test_each_of_the_twenty_things_is_there_once() -> None:
    assert [int(row[0]) for row in ROWS] == list(range(1, 21))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip())
def test_what_stops_it_is_proved_by_tests_that_there_are(row: list[str]) -> None:
    _, _, _, proved_by = row
    named = re.findall(r"`(test_\w+)`", proved_by)
    assert named
    assert [name for name in named if name not in TESTS] == []
