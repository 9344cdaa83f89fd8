"""A member looks at everything, makes sessions, and changes neither keys, webhooks nor profile."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.partner.tenants import ListKeys
from tests.api.dashboard.house import ADA, Dash, dashing

BOB = "bob@harbour.example"


@pytest.fixture(name="dash")
async def as_a_member(tmp_path: Path) -> AsyncIterator[Dash]:
    """A dashboard with a key and a webhook, at which a member is logged in."""
    async with dashing(tmp_path) as dash:
        await dash.sign_up()
        await dash.post("/dashboard/keys/new", name="Checkout")
        await dash.post(
            "/dashboard/webhooks/new", url="https://x.example/hook", events=["session.failed"]
        )
        tenant_id = (await dash.whose()).tenant_id
        await dash.partner.accounts.add(BOB, ADA["password"], tenant_id=tenant_id, role="member")
        await dash.post("/dashboard/logout")
        answer = await dash.post("/dashboard/login", email=BOB, password=ADA["password"])
        assert answer.status_code == 303
        yield dash


@pytest.mark.parametrize("page", ["keys", "webhooks", "profile"])
async def test_the_pages_show_everything_and_offer_no_change(dash: Dash, page: str) -> None:
    text = (await dash.get(f"/dashboard/{page}")).text
    assert "Only an owner of the account may change this" in text
    main = text.partition("<main")[2]
    assert "<form" not in main
    assert not re.search(r"/(new|revoke|rotate|delete)\b", main)


async def test_every_change_is_refused_with_a_page_that_says_so(dash: Dash) -> None:
    who = await dash.whose()
    (key,) = await dash.partner.tenants.ask(who.tenant_id, ListKeys())
    (webhook,) = await dash.partner.webhooks.endpoints(who.tenant_id)
    paths = [
        "/dashboard/keys/new",
        f"/dashboard/keys/{key.key_id}/revoke",
        "/dashboard/webhooks/new",
        *(f"/dashboard/webhooks/{webhook.id}/{act}" for act in ("rotate", "enable", "delete")),
    ]
    fields = {"name": "Bob's", "url": "https://bob.example", "events": ["session.failed"]}
    for path in paths:
        for answer in (await dash.get(path), await dash.post(path, **fields)):
            assert answer.status_code == 403, path
            assert "Not for you" in answer.text
    for path in ("/dashboard/profile", f"/dashboard/attempts/{webhook.id}.1/resend"):
        assert (await dash.post(path, **fields)).status_code == 403
    assert (await dash.partner.tenants.ask(who.tenant_id, ListKeys())) == (key,)
    assert list(await dash.partner.webhooks.endpoints(who.tenant_id)) == [webhook]


async def test_a_member_makes_sessions_and_cancels_them(dash: Dash) -> None:
    made = await dash.post("/dashboard/sessions/new", return_url="https://x.example/back")
    assert made.status_code == 201
    (session_id,) = set(re.findall(r"/dashboard/sessions/([0-9a-f-]{36})", made.text))
    cancelled = await dash.post(f"/dashboard/sessions/{session_id}/cancel")
    assert cancelled.status_code == 303
