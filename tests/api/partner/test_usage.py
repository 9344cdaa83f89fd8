"""Usage, audit and profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.partner.partnering import PASSWORD, partnering


async def test_usage_says_what_is_used_of_what(tmp_path: Path) -> None:
    async with partnering(tmp_path, monthly_quota=7, max_active=3) as it:
        usage = (await it.get("/usage", (await it.sign_up()).bearer)).json()
        assert {key: usage[key] for key in ("used", "limit", "remaining")} == {
            "used": 0,
            "limit": 7,
            "remaining": 7,
        }
        assert usage["environments"]["production"]["limit"] == 10_000
        assert (usage["active"], usage["max_active"], usage["days"]) == (0, 3, [])
        assert usage["resets_at"].endswith("-01T00:00:00.000Z")


async def test_the_audit_tells_what_people_did_newest_first_and_no_secret(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        key = await it.generate_key(who)
        await it.client.delete(f"/api/v1/api-keys/{key['key_id']}", headers=who.bearer)
        await it.client.put("/api/v1/profile", headers=who.bearer, json={"name": "Ada Ltd"})
        answer = await it.get("/audit", who.bearer)
        entries = answer.json()["entries"]
        assert [entry["type"] for entry in entries] == [
            "profile.changed",
            "key.revoked",
            "key.created",
            "user.logged_in",
            "tenant.created",
        ]
        assert {entry["actor"] for entry in entries} == {who.user["user_id"]}
        assert entries[2]["details"]["key_id"] == key["key_id"]
        for secret in (key["api_key"], PASSWORD, who.refresh_token, "argon2", "digest", "locator"):
            assert secret not in answer.text


async def test_the_audit_is_read_in_pages_that_miss_and_repeat_nothing(tmp_path: Path) -> None:
    async with partnering(tmp_path, rate_limit_per_minute=1000) as it:
        who = await it.sign_up()
        for number in range(60):
            body = {"name": f"name {number}"}
            await it.client.put("/api/v1/profile", headers=who.bearer, json=body)
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await it.get(f"/audit?limit=7{cursor}", who.bearer)).json()
            assert len(page["entries"]) <= 7
            seen += [entry["id"] for entry in page["entries"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert len(seen) == len(set(seen)) == 62
        assert seen == sorted(seen, key=int, reverse=True)


async def test_a_cursor_beyond_the_newest_entry_is_where_the_newest_are(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        newest = (await it.get("/audit", who.bearer)).json()
        assert (await it.get(f"/audit?cursor={10**15}", who.bearer)).json() == newest
        assert newest["next_cursor"] is None


@pytest.mark.parametrize("query", ["cursor=x", "cursor=-1", "limit=0", "limit=101", "limit=x"])
async def test_a_page_that_cannot_be_names_the_field(tmp_path: Path, query: str) -> None:
    async with partnering(tmp_path) as it:
        answer = await it.get(f"/audit?{query}", (await it.sign_up()).bearer)
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith(query.partition("=")[0])


async def test_the_profile_is_what_was_put_there(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        assert (await it.get("/profile", who.bearer)).json() == {"name": "", "logo_url": None}
        logo = "https://example.com/logo.png"
        body = {"name": "<b>Ada</b> & Söhne", "logo_url": logo}
        put = await it.client.put("/api/v1/profile", headers=who.bearer, json=body)
        assert (put.status_code, put.json()) == (200, body)
        put = await it.client.put("/api/v1/profile", headers=who.bearer, json={"name": "Ada"})
        assert put.json() == {"name": "Ada", "logo_url": logo}
        body = {"name": "Ada", "logo_url": None}
        put = await it.client.put("/api/v1/profile", headers=who.bearer, json=body)
        assert (await it.get("/profile", who.bearer)).json() == body


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "Missing required fields: name"),
        ({"name": "  "}, "name: "),
        ({"name": "x" * 101}, "name: "),
        ({"name": "x", "logo_url": "http://example.com/x.png"}, "logo_url: "),
        ({"name": "x", "logo_url": "javascript:alert(1)"}, "logo_url: "),
        ({"name": "x", "logo_url": "https://user@example.com/x.png"}, "logo_url: "),
        ({"name": "x", "logo_url": "https:\\\\example.com"}, "logo_url: "),
        ({"name": "x", "logo_url": "//example.com/x.png"}, "logo_url: "),
        ({"name": "x", "logo_url": "https://example.com/a b"}, "logo_url: "),
        ({"name": "x", "logo_url": "https://[::1"}, "logo_url: "),
        # Its origin is put into the page's policy: one host, and no more than that.
        ({"name": "x", "logo_url": "https://*/x.png"}, "logo_url: "),
        ({"name": "x", "logo_url": "https://a.example;sandbox/x.png"}, "logo_url: "),
        ({"name": "x", "logo_url": "https://a.example,b.example/x.png"}, "logo_url: "),
        ({"name": "x", "logo_url": "https://'self'/x.png"}, "logo_url: "),
        ({"name": "x", "logo_url": 1}, "logo_url: "),
    ],
)
async def test_a_profile_that_cannot_be_names_the_field(
    tmp_path: Path, body: dict[str, Any], detail: str
) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        answer = await it.client.put("/api/v1/profile", headers=who.bearer, json=body)
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith(detail)
