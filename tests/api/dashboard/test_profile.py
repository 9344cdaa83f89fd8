"""The profile's page, and the figures' page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.dashboard.house import Dash, dashing, problems_in


@pytest.fixture(name="dash")
async def a_dashboard(tmp_path: Path) -> AsyncIterator[Dash]:
    async with dashing(tmp_path) as dash:
        await dash.sign_up()
        yield dash


async def test_a_profile_is_saved_and_shown_again(dash: Dash) -> None:
    done = await dash.post(
        "/dashboard/profile", name="Harbour Bank", logo_url="https://x.example/logo.png"
    )
    assert (done.status_code, done.headers["Location"]) == (303, "/dashboard/profile?said=saved")
    page = await dash.get(done.headers["Location"])
    assert "Saved." in page.text
    assert 'value="Harbour Bank"' in page.text
    assert 'value="https://x.example/logo.png"' in page.text
    await dash.post("/dashboard/profile", name="Harbour Bank", logo_url="")
    assert "x.example" not in (await dash.get("/dashboard/profile")).text


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"name": ""}, "name"),
        ({"name": "n" * 5000}, "name"),
        ({"name": "A", "logo_url": "javascript:alert(1)"}, "logo_url"),
        ({"name": "A", "logo_url": "http://x.example/logo.png"}, "logo_url"),
    ],
)
async def test_what_is_wrong_is_said_beside_its_field(
    dash: Dash, fields: dict[str, str], wrong: str
) -> None:
    answer = await dash.post("/dashboard/profile", **fields)
    assert answer.status_code == 400
    assert problems_in(answer).keys() == {wrong}


async def test_what_a_page_is_told_by_its_address_is_in_our_words_only(dash: Dash) -> None:
    page = await dash.get("/dashboard/profile?said=You+have+won")
    assert "won" not in page.text


async def test_usage_says_what_is_used_and_what_is_left(dash: Dash) -> None:
    for _ in range(3):
        await dash.create()
    page = (await dash.get("/dashboard/usage")).text
    assert "3 of 100 sessions used" in page
    assert "97 left until" in page
    assert "3 sessions created" in page
