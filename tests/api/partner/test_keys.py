from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.partner.partnering import bearer, partnering


async def test_a_key_is_shown_once_and_masked_ever_after(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        body = {"environment": "production", "name": "shop", "ignored": 1}
        made = await it.post("/api-keys/generate", body, who.bearer)
        assert made.status_code == 201
        key = made.json()
        assert key["api_key"].startswith("vp_production_")
        assert (key["environment"], key["name"]) == ("production", "shop")
        listed = await it.get("/api-keys/list", who.bearer)
        (entry,) = listed.json()["api_keys"]
        assert entry["key_id"] == key["key_id"]
        assert entry["last_used_at"] is None
        assert key["api_key"] not in listed.text
        assert entry["api_key"].startswith("vp_production_")
        assert "…" in entry["api_key"]


async def test_the_list_says_when_a_key_was_used_last(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        first, second = await it.generate_key(who), await it.generate_key(who)
        await it.get("/usage", bearer(second["api_key"]))
        entries = (await it.get("/api-keys/list", who.bearer)).json()["api_keys"]
        used = {entry["key_id"]: entry["last_used_at"] for entry in entries}
        assert used[first["key_id"]] is None
        assert used[second["key_id"]].endswith("Z")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "Missing required fields: environment"),
        ({"environment": "live"}, "environment: must be sandbox or production"),
        ({"environment": 1}, "environment: "),
        ({"environment": "sandbox", "name": 1}, "name: "),
        ({"environment": "sandbox", "name": "x" * 101}, "name: "),
        ({"environment": "sandbox", "name": "a\nb"}, "name: "),
        ([], "Request body must be a JSON object"),
    ],
)
async def test_a_key_that_cannot_be_names_the_field(tmp_path: Path, body: Any, detail: str) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        answer = await it.post("/api-keys/generate", body, who.bearer)
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith(detail)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api-keys/list", {"GET", "HEAD", "OPTIONS"}),
        ("/api-keys/generate", {"POST", "OPTIONS"}),
        ("/api-keys/some-id", {"DELETE", "OPTIONS"}),
        ("/api-keys/listed", {"DELETE", "OPTIONS"}),
        ("/sessions/create", {"POST", "OPTIONS"}),
        ("/sessions/some-id", {"GET", "HEAD", "OPTIONS"}),
        ("/sessions/create/cancel", {"POST", "OPTIONS"}),
        ("/sessions", {"GET", "HEAD", "POST", "OPTIONS"}),
    ],
)
async def test_a_path_allows_its_own_methods_and_not_those_of_an_id_beside_it(
    tmp_path: Path, path: str, allowed: set[str]
) -> None:
    async with partnering(tmp_path) as it:
        asked = await it.client.options(f"/api/v1{path}")
        refused = await it.client.patch(f"/api/v1{path}")
        assert refused.status_code == 405
        for answer in (asked, refused):
            assert set(answer.headers["Allow"].split(", ")) == allowed
