"""The pages about sessions, over HTTP."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.partner import PartnerSettings
from tests.api.dashboard.house import PARTNER, Dash, dashing, problems_in

GOOD = {"return_url": "https://yourapp.example/callback", "user_id": "user-123"}


@pytest.fixture(name="dash")
async def a_dashboard(tmp_path: Path) -> AsyncIterator[Dash]:
    async with dashing(tmp_path) as dash:
        await dash.sign_up()
        yield dash


async def create(dash: Dash, **fields: str) -> tuple[str, str]:
    """Create a session as the page does; return its id and its URL."""
    answer = await dash.post("/dashboard/sessions/new", **(GOOD | fields))
    assert answer.status_code == 201, answer.text
    return shown(answer.text, "session-id"), shown(answer.text, "session-url")


def shown(html: str, id_: str) -> str:
    (value,) = re.findall(rf'id="{id_}"[^>]*><bdi>([^<]*)</bdi>', html)
    assert isinstance(value, str)
    return value


async def test_a_created_session_is_shown_with_id_url_expiry_and_qr_code(dash: Dash) -> None:
    answer = await dash.post("/dashboard/sessions/new", **GOOD, purpose="Share your address")
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    session_id, url = shown(answer.text, "session-id"), shown(answer.text, "session-url")
    assert url.startswith(f"{dash.url}/s/")
    assert session_id not in url
    assert 'aria-label="QR code of the session URL"' in answer.text
    assert "<count-down" in answer.text

    overview = await dash.get("/dashboard")
    assert f'href="/dashboard/sessions/{session_id}"' in overview.text
    assert "user-123" in overview.text
    page = await dash.get(f"/dashboard/sessions/{session_id}")
    assert "Share your address" in page.text
    assert "&#34;user_id&#34;: &#34;user-123&#34;" in page.text
    assert url not in page.text  # the link is shown once, to whoever made it


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"return_url": ""}, "return_url"),
        ({"return_url": "javascript:alert(1)"}, "return_url"),
        ({"return_url": "http://yourapp.example/"}, "return_url"),
        ({"return_url": "https://a:b@yourapp.example/"}, "return_url"),
        ({"return_url": "https://x.example/" + "a" * 3000}, "return_url"),
        ({"user_id": "u" * 300}, "user_id"),
        ({"environment": "moon"}, "environment"),
        ({"environment": "production", "return_url": "http://127.0.0.1/x"}, "return_url"),
        ({"flow": "dance"}, "flow"),
        ({"purpose": "p" * 600}, "purpose"),
    ],
)
async def test_a_field_that_is_wrong_says_so_and_everything_typed_is_kept(
    dash: Dash, fields: dict[str, str], wrong: str
) -> None:
    typed = GOOD | {"purpose": "Because"} | fields
    answer = await dash.post("/dashboard/sessions/new", **typed)
    assert answer.status_code == 400
    assert problems_in(answer).keys() == {wrong}
    for name in ("return_url", "user_id", "purpose"):
        assert f'value="{typed[name]}"' in answer.text
    assert "Make your first session" in (await dash.get("/dashboard")).text


async def test_a_form_that_is_sent_twice_makes_one_session(dash: Dash) -> None:
    page = await dash.get("/dashboard/sessions/new")
    (key,) = re.findall(r'name="idempotency_key" value="([0-9a-f]{32})"', page.text)
    first = await create(dash, idempotency_key=key)
    assert await create(dash, idempotency_key=key) == first
    again = await dash.post(
        "/dashboard/sessions/new", **(GOOD | {"user_id": "other"}), idempotency_key=key
    )
    assert again.status_code == 422
    assert "was sent already" in again.text
    assert (await dash.get("/dashboard/sessions")).text.count('<tr role="row">') == 2


@pytest.mark.parametrize(
    ("settings", "says", "advice"),
    [
        ({"monthly_quota": 1}, "Usage quota exceeded", "A new month begins"),
        ({"max_active": 1}, "Too many active sessions", "Cancel one"),
    ],
)
async def test_a_limit_says_what_to_do_and_keeps_what_was_typed(
    tmp_path: Path, settings: dict[str, int], says: str, advice: str
) -> None:
    async with dashing(tmp_path, PartnerSettings(**settings)) as dash:  # type: ignore[arg-type]
        await dash.sign_up()
        await create(dash)
        answer = await dash.post("/dashboard/sessions/new", **GOOD)
        assert answer.status_code == 429
        assert says in answer.text
        assert advice in answer.text
        assert 'value="user-123"' in answer.text


async def test_the_list_is_filtered_and_turned_page_by_page(dash: Dash) -> None:
    made = [await create(dash, user_id=f"user-{number}") for number in range(27)]
    await create(dash, environment="production", user_id="live-one")
    first = await dash.get("/dashboard/sessions")
    rows = re.findall(r'id="row-([0-9a-f-]+)"', first.text)
    assert len(rows) == 25
    (following,) = re.findall(r'rel="next" href="([^"]*)"', first.text)
    second = await dash.get(following.replace("&amp;", "&"))
    rest = re.findall(r'id="row-([0-9a-f-]+)"', second.text)
    assert len(rest) == 3
    assert set(rows) & set(rest) == set()
    assert {session_id for session_id, _ in made} < set(rows) | set(rest)

    only = await dash.get("/dashboard/sessions?environment=production")
    assert re.findall(r'id="row-', only.text) == ['id="row-']
    assert "live-one" in only.text
    none = await dash.get("/dashboard/sessions?state=completed")
    assert "No session matches" in none.text
    pending = await dash.get("/dashboard/sessions?state=pending&environment=sandbox")
    (more,) = re.findall(r'rel="next" href="([^"]*)"', pending.text)
    assert "state=pending&amp;environment=sandbox&amp;cursor=" in more


@pytest.mark.parametrize("query", ["?cursor=nonsense", "?state=moon", "?environment=<script>"])
async def test_an_address_that_makes_no_sense_shows_the_list(dash: Dash, query: str) -> None:
    answer = await dash.get(f"/dashboard/sessions{query}")
    if answer.status_code == 303:
        assert answer.headers["Location"] == "/dashboard/sessions"
    else:
        assert answer.status_code == 200
        assert "<script>" not in answer.text


async def test_cancelling_asks_first_and_shows_on_the_timeline(dash: Dash) -> None:
    session_id, _ = await create(dash)
    path = f"/dashboard/sessions/{session_id}"
    asked = await dash.get(f"{path}/cancel")
    assert "Cancel this session?" in asked.text
    assert "Pending" in (await dash.get(path)).text  # asking changes nothing
    done = await dash.post(f"{path}/cancel")
    assert (done.status_code, done.headers["Location"]) == (303, f"{path}?said=cancelled")
    page = await dash.get(done.headers["Location"])
    assert "The session is cancelled." in page.text
    names = re.findall(r"<li class=\"(\w+)\"><p><strong>(\w+)</strong>", page.text)
    assert names == [("pending", "Created"), ("cancelled", "Cancelled")]
    assert "/cancel" not in page.text
    assert "live-stream src" not in page.text


async def test_another_tenants_session_is_not_there_like_an_unknown_one(dash: Dash) -> None:
    session_id, _ = await create(dash)
    await dash.post("/dashboard/logout")
    await dash.sign_up("eve@other.example")
    unknown = "2f7c2c57-4bb8-4be4-8b1d-0d5c8f1668a1"
    for what in ("", "/cancel"):
        theirs = await dash.get(f"/dashboard/sessions/{session_id}{what}")
        nobodys = await dash.get(f"/dashboard/sessions/{unknown}{what}")
        assert theirs.status_code == nobodys.status_code == 404
        assert theirs.text == nobodys.text
    cancel = await dash.post(f"/dashboard/sessions/{session_id}/cancel")
    assert cancel.status_code == 404
    assert session_id not in (await dash.get("/dashboard/sessions")).text


async def test_an_unknown_page_is_a_page_that_says_so(dash: Dash) -> None:
    for path in ("/dashboard/nowhere", "/dashboard/a/b/c", "/dashboard/sessions/x/y"):
        answer = await dash.get(path)
        assert answer.status_code == 404
        assert "Nothing here" in answer.text
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_the_settings_of_the_tests_leave_room_for_them() -> None:
    assert PARTNER.max_active >= 28
