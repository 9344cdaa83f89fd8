"""API keys: shown once, told apart by how they begin and end, revoked after a question."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.dashboard.house import Dash, dashing, problems_in


@pytest.fixture(name="dash")
async def a_dashboard(tmp_path: Path) -> AsyncIterator[Dash]:
    async with dashing(tmp_path) as dash:
        await dash.sign_up()
        yield dash


async def generate(dash: Dash, **fields: str) -> str:
    answer = await dash.post("/dashboard/keys/new", **fields)
    assert answer.status_code == 201, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    (key,) = re.findall(r'id="secret"[^>]*><bdi>([^<]*)</bdi>', answer.text)
    assert isinstance(key, str)
    assert f"Authorization: Bearer {key}" in answer.text
    return key


async def test_a_key_is_shown_once_and_then_told_by_its_ends(dash: Dash) -> None:
    assert "No keys yet" in (await dash.get("/dashboard/keys")).text
    key = await generate(dash, name="Checkout server", environment="sandbox")
    live = await generate(dash, environment="production")
    assert key.startswith("vp_sandbox_")
    assert live.startswith("vp_production_")
    page = await dash.get("/dashboard/keys")
    assert "Checkout server" in page.text
    assert "Unnamed" in page.text
    assert "never" in page.text
    for secret in (key, live):
        assert secret not in page.text
        assert secret not in (await dash.get("/dashboard/audit")).text


@pytest.mark.parametrize(
    ("fields", "says"),
    [({"name": "n" * 101}, "name"), ({"environment": "moon"}, "environment")],
)
async def test_what_is_wrong_makes_no_key(dash: Dash, fields: dict[str, str], says: str) -> None:
    answer = await dash.post("/dashboard/keys/new", **fields)
    assert answer.status_code == 400
    assert problems_in(answer).keys() == {says}
    assert "No keys yet" in (await dash.get("/dashboard/keys")).text


async def test_revoking_asks_first_and_then_the_key_is_gone(dash: Dash) -> None:
    await generate(dash, name="Old server")
    page = await dash.get("/dashboard/keys")
    (path,) = re.findall(r'href="(/dashboard/keys/[^"]+/revoke)"', page.text)
    asked = await dash.get(path)
    assert "Old server" in asked.text
    assert "Old server" in (await dash.get("/dashboard/keys")).text
    done = await dash.post(path)
    assert (done.status_code, done.headers["Location"]) == (303, "/dashboard/keys?said=revoked")
    after = await dash.get(done.headers["Location"])
    assert "The key is revoked" in after.text
    assert "Old server" not in after.text
    assert (await dash.get(path)).status_code == 404


async def test_another_tenants_key_cannot_be_revoked(dash: Dash) -> None:
    await generate(dash, name="Ours")
    page = await dash.get("/dashboard/keys")
    (path,) = re.findall(r'href="(/dashboard/keys/[^"]+/revoke)"', page.text)
    mine = dict(dash.client.cookies)
    dash.client.cookies.clear()
    await dash.sign_up("eve@other.example")
    assert (await dash.get(path)).status_code == 404
    assert (await dash.post(path)).status_code == 404
    dash.client.cookies.clear()
    dash.client.cookies.update(mine)
    assert "Ours" in (await dash.get("/dashboard/keys")).text
