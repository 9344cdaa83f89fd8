"""The audit log's page: in words, by people's addresses, without any secret."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.partner.tenants.audit import _SHOWN as SHOWN_EVENTS
from actors.partner.tenants.audit import AuditEntry
from api.dashboard import audit
from api.dashboard.audit import line_of
from tests.api.dashboard.house import ADA, Dash, dashing


@pytest.fixture(name="dash")
async def a_dashboard(tmp_path: Path) -> AsyncIterator[Dash]:
    async with dashing(tmp_path) as dash:
        await dash.sign_up()
        yield dash


async def test_what_was_done_is_told_newest_first_with_who_did_it(dash: Dash) -> None:
    made = await dash.post("/dashboard/keys/new", name="Checkout")
    (key,) = re.findall(r'id="secret"[^>]*><bdi>([^<]*)</bdi>', made.text)
    await dash.post("/dashboard/profile", name="Harbour Bank")
    await dash.post("/dashboard/logout")
    await dash.post("/dashboard/login", **ADA)
    page = (await dash.get("/dashboard/audit")).text
    assert re.findall(r'class="main"><strong>([^<]*)</strong>', page) == [
        "Logged in",
        "Logged out",
        "Profile changed",
        "API key generated",
        "Logged in",
        "Account created",
    ]
    assert "Checkout · sandbox" in page
    assert "Harbour Bank" in page
    assert page.count(f"<bdi>{ADA['email']}</bdi>") == 7  # six entries and the menu
    for secret in (key, ADA["password"], "argon2"):
        assert secret not in page


async def test_a_long_log_is_turned_page_by_page(dash: Dash) -> None:
    for number in range(60):
        await dash.post("/dashboard/profile", name=f"Name {number}")
    first = (await dash.get("/dashboard/audit")).text
    (following,) = re.findall(r'rel="next" href="([^"]*)"', first)
    second = (await dash.get(following)).text
    names = re.findall(r"Name (\d+)<", first + second)
    assert [int(name) for name in names] == list(reversed(range(60)))


async def test_a_cursor_that_is_none_shows_the_newest(dash: Dash) -> None:
    answer = await dash.get("/dashboard/audit?cursor=x")
    assert answer.headers["Location"] == "/dashboard/audit"


def test_every_kind_of_entry_has_a_name() -> None:
    kinds = {str(kind.__struct_config__.tag) for kind in SHOWN_EVENTS}  # type: ignore[attr-defined]
    assert kinds == audit._NAMES.keys()


def test_nobodys_doing_and_the_operators_are_told_apart() -> None:
    entry = AuditEntry(id="1", at="", type="quota.reached", actor=None, details={})
    assert line_of(entry, {}).who == "Mooring"
    entry = AuditEntry(id="2", at="", type="user.added", actor="operator", details={})
    assert line_of(entry, {"operator": "whoever runs this server"}).who.startswith("whoever")
