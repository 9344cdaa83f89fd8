"""Signing up, logging in, refreshing, logging out."""

from __future__ import annotations

import base64
import json
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import UUID

import argon2
import pytest
import trio

from actors.partner.tenants.throttle import PAIR_GUESSES
from tests.api.partner.partnering import PASSWORD, bearer, partnering, person


async def test_whoever_signs_up_is_logged_in_with_an_account_and_a_tenant(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        answer = await it.post("/auth/signup", {"email": "Ada@Example.com", "password": PASSWORD})
        assert answer.status_code == 201
        body = answer.json()
        assert set(body) >= {"access_token", "refresh_token", "token_type", "user"}
        assert body["token_type"] == "bearer"
        assert set(body["user"]) == {"user_id", "tenant_id", "email", "role"}
        assert (body["user"]["email"], body["user"]["role"]) == ("ada@example.com", "owner")
        again = await it.log_in("ada@example.com")
        assert again.status_code == 200
        assert again.json()["user"] == body["user"]
        assert (await it.get("/profile", person(again).bearer)).status_code == 200


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "Missing required fields: email, password"),
        ({"email": "a@example.com"}, "Missing required fields: password"),
        ({"email": 1, "password": PASSWORD}, "email: "),
        ({"email": "no address", "password": PASSWORD}, "email: "),
        ({"email": "a@b@example.com,c", "password": PASSWORD}, "email: "),
        ({"email": "a@example.com", "password": "elevenchars"}, "password: "),
        ({"email": "a@example.com", "password": "x" * 257}, "password: "),
        ({"email": "a" * 300 + "@example.com", "password": PASSWORD}, "email: "),
    ],
)
async def test_a_sign_up_that_cannot_be_names_the_field(
    tmp_path: Path, body: dict[str, Any], detail: str
) -> None:
    async with partnering(tmp_path) as it:
        answer = await it.post("/auth/signup", body)
        assert answer.status_code == 400
        assert answer.json()["detail"].startswith(detail)


@pytest.mark.parametrize(
    "spelling", ["ada@example.com", " ADA@EXAMPLE.COM ", "ada@ｅxample.com", "Ada@example.com"]
)
async def test_one_address_has_one_account_however_it_is_spelt(
    tmp_path: Path, spelling: str
) -> None:
    async with partnering(tmp_path) as it:
        await it.sign_up("ada@example.com")
        answer = await it.post("/auth/signup", {"email": spelling, "password": PASSWORD})
        assert (answer.status_code, answer.json()["detail"][:6]) == (409, "email:")
        assert (await it.log_in(spelling)).status_code == 200


async def test_where_sign_up_is_closed_nobody_signs_up(tmp_path: Path) -> None:
    async with partnering(tmp_path, signup="closed") as it:
        answer = await it.post("/auth/signup", {"email": "a@example.com", "password": PASSWORD})
        assert answer.status_code == 403


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(
    tmp_path: Path,
) -> None:
    async with partnering(tmp_path) as it:
        await it.sign_up()
        wrong = await it.log_in(password="not the password")
        unknown = await it.log_in("nobody@example.com")
        assert wrong.status_code == unknown.status_code == 401
        assert wrong.json() == unknown.json()


def verified_with(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the passwords that are hashed to be compared, as that goes on."""
    passwords: list[str] = []
    genuine = argon2.PasswordHasher.verify

    def verify(self: Any, hashed: str, password: str) -> bool:
        passwords.append(password)
        return genuine(self, hashed, password)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", verify)
    return passwords


async def test_an_unknown_address_costs_the_time_of_a_wrong_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = verified_with(monkeypatch)
    async with partnering(tmp_path) as it:
        await it.sign_up()
        assert (await it.log_in(password="wrong guess 1")).status_code == 401
        assert (await it.log_in("nobody@example.com", "wrong guess 2")).status_code == 401
    assert verified == ["wrong guess 1", "wrong guess 2"]


async def test_a_guess_too_many_is_refused_before_it_is_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = verified_with(monkeypatch)
    async with partnering(tmp_path) as it:
        await it.sign_up()
        for number in range(PAIR_GUESSES + 3):
            await it.log_in(password=f"wrong guess {number}")
    assert verified == [f"wrong guess {number}" for number in range(PAIR_GUESSES)]


async def test_a_refresh_token_is_exchanged_once_and_its_reuse_ends_the_login(
    tmp_path: Path,
) -> None:
    async with partnering(tmp_path) as it:
        first = await it.sign_up()
        other = person(await it.log_in())
        second = person(await it.post("/auth/refresh", {"refresh_token": first.refresh_token}))
        assert second.refresh_token != first.refresh_token
        assert (await it.get("/profile", second.bearer)).status_code == 200
        reused = await it.post("/auth/refresh", {"refresh_token": first.refresh_token})
        assert reused.status_code == 401
        newest = await it.post("/auth/refresh", {"refresh_token": second.refresh_token})
        assert newest.status_code == 401
        for of_the_family in (first, second):
            assert (await it.get("/profile", of_the_family.bearer)).status_code == 401
        assert (await it.get("/profile", other.bearer)).status_code == 200


async def test_logging_out_is_real(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        assert (await it.post("/auth/logout", {}, who.bearer)).status_code == 200
        assert (await it.get("/profile", who.bearer)).status_code == 401
        refreshed = await it.post("/auth/refresh", {"refresh_token": who.refresh_token})
        assert refreshed.status_code == 401
        assert (await it.post("/auth/logout", {}, who.bearer)).status_code == 401


async def test_a_refresh_token_alone_can_log_out(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        answer = await it.post("/auth/logout", {"refresh_token": who.refresh_token})
        assert answer.status_code == 200
        assert (await it.get("/profile", who.bearer)).status_code == 401


@pytest.mark.parametrize("token", ["", "x", "vprt_", "vprt_" + "A" * 86, "vpws_" + "A" * 86])
async def test_what_is_no_refresh_token_is_refused(tmp_path: Path, token: str) -> None:
    async with partnering(tmp_path) as it:
        answer = await it.post("/auth/refresh", {"refresh_token": token})
        assert answer.status_code == (401 if token else 400)


async def test_a_made_up_token_with_anothers_locator_needs_one_that_was_issued(
    tmp_path: Path,
) -> None:
    """The tenant's id can be known to others; the locator cannot, so they end nobody's login."""
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        raw = base64.urlsafe_b64decode(who.refresh_token.removeprefix("vprt_") + "==")
        forged = base64.urlsafe_b64encode(raw[:16] + b"\0" * 48).decode().rstrip("=")
        answer = await it.post("/auth/refresh", {"refresh_token": f"vprt_{forged}"})
        assert answer.status_code == 401
        assert (await it.get("/profile", who.bearer)).status_code == 200


async def test_guesses_at_one_account_are_throttled_for_the_guesser_only(tmp_path: Path) -> None:
    proxy = (ip_network("127.0.0.1/32"),)
    async with partnering(tmp_path, tokens=("t",), proxies=proxy) as it:
        await it.sign_up("ada@example.com")
        await it.sign_up("bob@example.com")
        guesser = {"X-Forwarded-For": "203.0.113.7"}
        statuses = [
            (await it.log_in(password="wrong guess 12", **guesser)).status_code
            for _ in range(PAIR_GUESSES + 2)
        ]
        assert statuses == [401] * PAIR_GUESSES + [429, 429]
        right = await it.log_in(**guesser)
        assert (right.status_code, right.json()) == (429, {"detail": "API rate limit exceeded"})
        assert int(right.headers["Retry-After"]) >= 1
        assert (await it.log_in(**{"X-Forwarded-For": "198.51.100.9"})).status_code == 200
        assert (await it.log_in("bob@example.com", **guesser)).status_code == 200


async def test_guesses_are_counted_first_however_many_come_at_once(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        await it.sign_up("ada@example.com")
        statuses: list[int] = []

        async def guess(number: int) -> None:
            answer = await it.log_in(password=f"wrong guess {number}")
            statuses.append(answer.status_code)

        async with trio.open_nursery() as nursery:
            for number in range(4 * PAIR_GUESSES):
                nursery.start_soon(guess, number)
        assert set(statuses) == {401, 429}
        assert statuses.count(401) <= PAIR_GUESSES


async def test_a_forged_forwarded_for_resets_no_limit(tmp_path: Path) -> None:
    async with partnering(tmp_path, tokens=("t",), rate_limit_per_minute=3) as it:
        statuses = []
        for number in range(5):
            headers = {"X-Forwarded-For": f"203.0.113.{number}"}
            statuses.append((await it.log_in(password="wrong guess 12", **headers)).status_code)
        assert statuses == [401, 401, 401, 429, 429]


async def test_a_clients_sign_ups_and_log_ins_are_counted_and_shown(tmp_path: Path) -> None:
    async with partnering(tmp_path, rate_limit_per_minute=2) as it:
        await it.sign_up()
        answer = await it.log_in()
        assert answer.headers["X-RateLimit-Limit"] == "2"
        assert answer.headers["X-RateLimit-Remaining"] == "0"
        answer = await it.log_in()
        assert (answer.status_code, answer.json()["detail"]) == (429, "API rate limit exceeded")
        assert 1 <= int(answer.headers["Retry-After"]) <= 60
        assert answer.headers["X-RateLimit-Remaining"] == "0"


@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
async def test_made_up_refresh_tokens_are_counted_for_each_client(
    tmp_path: Path, path: str
) -> None:
    async with partnering(tmp_path, rate_limit_per_minute=3) as it:
        token = "vprt_" + "A" * 86
        statuses = [(await it.post(path, {"refresh_token": token})).status_code for _ in range(5)]
    assert statuses[2] != 429
    assert statuses[3:] == [429, 429]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
async def test_what_a_form_of_another_site_can_send_is_refused(tmp_path: Path, kind: str) -> None:
    async with partnering(tmp_path) as it:
        await it.sign_up()
        body = json.dumps({"email": "ada@example.com", "password": PASSWORD})
        for headers, status in (
            ({"Content-Type": kind}, 400),
            ({"Content-Type": kind, "Origin": "https://evil.example"}, 403),
        ):
            answer = await it.client.post("/api/v1/auth/login", content=body, headers=headers)
            assert answer.status_code == status


async def test_a_refresh_token_is_no_access_token(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        assert (await it.get("/profile", bearer(who.refresh_token))).status_code == 401


async def test_the_ids_that_are_handed_out_are_random_uuids(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        key = await it.generate_key(who)
        webhook = (await it.post("/webhooks", {"url": "https://a.example/"}, who.bearer)).json()
        ids = [who.user["user_id"], who.user["tenant_id"], key["key_id"], webhook["id"]]
        assert [str(UUID(id_)) for id_ in ids] == ids
        assert [UUID(id_).version for id_ in ids] == [4] * 4
