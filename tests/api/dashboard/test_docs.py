"""`docs/dashboard.md` and the dashboard say the same, and the pictures are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.api.dashboard.house import dashing

ROOT = Path(__file__).parents[3]
DOC = (ROOT / "docs/dashboard.md").read_text()
PICTURES = {path.name for path in (ROOT / "docs/screenshots").glob("*.png")}


async def test_every_page_that_can_be_opened_is_in_the_docs(tmp_path: Path) -> None:
    async with dashing(tmp_path) as dash:
        rules = [rule for rule in dash.app.url_map.iter_rules() if "GET" in (rule.methods or ())]
    pages = {
        re.sub(r"<(?:\w+:)?\w+>", "<id>", rule.rule)
        for rule in rules
        if rule.rule.startswith("/dashboard") and not rule.websocket
    }
    # What is reached from the page above it, and asks before it does something.
    asked = {page for page in pages if re.search(r"<id>/|<id>$|/new$", page)}
    listed = set(re.findall(r"`(/dashboard[^`]*)`", DOC))
    assert pages - asked <= listed
    assert {page for page in listed - {"/dashboard/live"} if "<" not in page} <= pages


@pytest.mark.parametrize("document", ["README.md", "docs/dashboard.md"])
def test_every_picture_that_a_document_shows_is_there(document: str) -> None:
    shown = set(re.findall(r"screenshots/([\w-]+\.png)", (ROOT / document).read_text()))
    assert shown
    assert shown <= PICTURES


def test_every_picture_is_shown_and_small() -> None:
    assert set(re.findall(r"screenshots/([\w-]+\.png)", DOC)) == PICTURES
    for name in PICTURES:
        assert (ROOT / "docs/screenshots" / name).stat().st_size < 150_000


def test_every_element_is_in_the_docs() -> None:
    scripts = [
        *(ROOT / "api/pages/static").glob("*.js"),
        *(ROOT / "api/dashboard/static").glob("*.js"),
    ]
    for script in scripts:
        assert f"`<{script.stem}" in DOC
        assert f'customElements.define("{script.stem}"' in script.read_text()
