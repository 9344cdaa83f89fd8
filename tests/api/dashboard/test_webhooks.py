"""The pages about webhooks: the secret once, every attempt, and what can be done about it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from tests.api.dashboard.house import Dash, dashing, problems_in
from tests.api.dashboard.receiver import receiver

EVENTS = ["session.completed", "session.cancelled"]


@pytest.fixture(name="dash")
async def a_dashboard(tmp_path: Path) -> AsyncIterator[Dash]:
    async with dashing(tmp_path) as dash:
        await dash.sign_up()
        yield dash


async def add(dash: Dash, url: str) -> tuple[str, str]:
    """Add a webhook as the page does; return its page's path and its secret."""
    answer = await dash.post("/dashboard/webhooks/new", url=url, events=EVENTS)
    assert answer.status_code == 201, answer.text
    (secret,) = re.findall(r'id="secret"[^>]*><bdi>([^<]*)</bdi>', answer.text)
    (path,) = re.findall(r'href="(/dashboard/webhooks/[0-9a-f-]{36})"', answer.text)
    return str(path), str(secret)


async def page_with(dash: Dash, path: str, *texts: str) -> str:
    """Return the page once it shows all of the texts."""
    with trio.fail_after(40):
        while True:
            page = (await dash.get(path)).text
            if all(text in page for text in texts):
                return page
            await trio.sleep(0.02)


async def test_a_webhook_is_added_and_its_secret_shown_once(dash: Dash) -> None:
    assert "No webhooks yet" in (await dash.get("/dashboard/webhooks")).text
    path, secret = await add(dash, "https://yourapp.example/hook")
    assert secret.startswith("whsec_")
    for where in (path, "/dashboard/webhooks", "/dashboard/audit"):
        page = await dash.get(where)
        assert page.status_code == 200
        assert secret not in page.text
    assert "https://yourapp.example/hook" in (await dash.get("/dashboard/webhooks")).text
    assert "2 of 6 events" in (await dash.get("/dashboard/webhooks")).text


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"url": "", "events": EVENTS}, "url"),
        ({"url": "javascript:alert(1)", "events": EVENTS}, "url"),
        ({"url": "https://yourapp.example/hook"}, "events"),
        ({"url": "https://yourapp.example/hook", "events": ["session.eaten"]}, "events"),
    ],
)
async def test_what_is_wrong_is_said_beside_its_field_and_kept(
    dash: Dash, fields: dict[str, str], wrong: str
) -> None:
    answer = await dash.post("/dashboard/webhooks/new", **fields)
    assert answer.status_code == 400
    assert problems_in(answer).keys() == {wrong}
    assert f'value="{fields["url"]}"' in answer.text
    assert len(re.findall(r"checkbox[^>]* checked", answer.text)) == (
        2 if fields.get("events") == EVENTS else 0
    )
    assert "No webhooks yet" in (await dash.get("/dashboard/webhooks")).text


async def test_an_attempt_shows_what_was_answered_and_can_be_made_again(dash: Dash) -> None:
    async with receiver(200, "<b>thanks</b>") as url:
        path, _ = await add(dash, url)
        await dash.cancel(await dash.create())
        shown = ("Delivered", "attempt 1", "HTTP 200", "&lt;b&gt;thanks&lt;/b&gt;")
        page = await page_with(dash, path, "session.cancelled</strong>", *shown)
        (resend,) = re.findall(r'action="(/dashboard/attempts/[^"]+/resend)"', page)
        for made_up in ("x\r\nX-Evil: 1", "../keys", ""):
            assert (await dash.post(resend, webhook=made_up)).status_code == 404
        done = await dash.post(resend, webhook=path.rpartition("/")[2])
        assert (done.status_code, done.headers["Location"]) == (303, f"{path}?said=resent")
        await page_with(dash, path, "attempt 2", "asked for")


async def test_a_failed_attempt_says_why_and_when_it_is_tried_again(dash: Dash) -> None:
    async with receiver(500, "broken") as url:
        path, _ = await add(dash, url)
        await dash.cancel(await dash.create())
        shown = ("Failed", "HTTP 500", "broken", "Next attempt", "Deliveries are failing")
        await page_with(dash, path, "session.cancelled</strong>", *shown)
        await page_with(dash, "/dashboard/webhooks", "Failing")


async def test_rotating_and_deleting_ask_first(dash: Dash) -> None:
    path, secret = await add(dash, "https://yourapp.example/hook")
    assert "Rotate the secret?" in (await dash.get(f"{path}/rotate")).text
    rotated = await dash.post(f"{path}/rotate")
    assert rotated.status_code == 201
    (fresh,) = re.findall(r'id="secret"[^>]*><bdi>([^<]*)</bdi>', rotated.text)
    assert fresh.startswith("whsec_")
    assert fresh != secret
    assert "Delete this webhook?" in (await dash.get(f"{path}/delete")).text
    assert (await dash.get(path)).status_code == 200
    gone = await dash.post(f"{path}/delete")
    assert gone.headers["Location"] == "/dashboard/webhooks?said=deleted"
    assert (await dash.get(path)).status_code == 404
    assert "No webhooks yet" in (await dash.get("/dashboard/webhooks")).text


async def test_what_cannot_be_done_to_a_webhook_is_not_there(dash: Dash) -> None:
    path, _ = await add(dash, "https://yourapp.example/hook")
    for answer in (await dash.get(f"{path}/explode"), await dash.post(f"{path}/explode")):
        assert answer.status_code == 404
    assert (await dash.get(path)).status_code == 200


async def test_another_tenants_webhook_is_not_there(dash: Dash) -> None:
    path, _ = await add(dash, "https://yourapp.example/hook")
    dash.client.cookies.clear()
    await dash.sign_up("eve@other.example")
    assert (await dash.get(path)).status_code == 404
    for act in ("rotate", "delete", "enable"):
        assert (await dash.post(f"{path}/{act}")).status_code == 404
    id_ = path.rpartition("/")[2]
    for attempt in (f"{id_}.1", "nonsense"):
        answer = await dash.post(f"/dashboard/attempts/{attempt}/resend", webhook=id_)
        assert answer.status_code == 404
