"""Two kinds of credential, strictly apart; and what an attacker shows in their place."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey

from actors.partner.tenants.access_token import ALGORITHM, AUDIENCE, ISSUER, LIFE_S, PURPOSE, TYPE
from actors.partner.tenants.api_key import _base62
from engine.clock import SystemClock
from tests.api.partner.partnering import MASTER, PASSWORD, Counter, Person, bearer, partnering

BY_JWT = [
    ("POST", "/api-keys/generate"),
    ("GET", "/api-keys/list"),
    ("DELETE", "/api-keys/x"),
    ("GET", "/audit"),
    ("GET", "/profile"),
    ("PUT", "/profile"),
    ("POST", "/auth/logout"),
]


@pytest.mark.parametrize(("method", "path"), BY_JWT)
async def test_a_route_for_people_refuses_a_key_and_everything_else(
    tmp_path: Path, method: str, path: str
) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        key = (await it.generate_key(who))["api_key"]
        for headers in (
            bearer(key),
            {},
            {"Authorization": "Bearer"},
            {"Authorization": who.access_token},
            {"Authorization": f"Basic {who.access_token}"},
            {"Cookie": f"mooring-partner={who.access_token}"},
        ):
            answer = await it.client.request(method, f"/api/v1{path}", headers=headers, json={})
            assert answer.status_code == 401, headers
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            needs = "An access token is needed here, not an API key"
            assert (answer.json()["detail"] == needs) == (headers == bearer(key))
        good = await it.client.request(method, f"/api/v1{path}", headers=who.bearer, json={})
        assert good.status_code != 401


async def test_two_credentials_at_once_are_none(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        pairs = [("Authorization", f"Bearer {who.access_token}")] * 2
        assert (await it.client.get("/api/v1/profile", headers=pairs)).status_code == 401


async def test_answers_are_kept_by_nobody_and_taken_for_nothing_but_json(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        answers = [
            await it.get("/profile", who.bearer),
            await it.get("/profile"),
            await it.get("/nothing", who.bearer),
            await it.post("/sessions", {"return_url": "https://yourapp.com/"}, who.bearer),
            await it.post("/sessions", {}, who.bearer),
            await it.get("/sessions", who.bearer),
            await it.client.get("/.well-known/jwks.json"),
        ]
        assert [answer.status_code for answer in answers] == [200, 401, 404, 201, 400, 200, 200]
        for answer in answers:
            assert answer.headers["Content-Type"] == "application/json"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert {answer.headers["Cache-Control"] for answer in answers[:-1]} == {"no-store"}


async def test_usage_takes_either_credential(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        key = await it.generate_key(who, "production")
        by_key = await it.get("/usage", bearer(key["api_key"]))
        assert (by_key.status_code, by_key.json()["environment"]) == (200, "production")
        assert set(by_key.json()["environments"]) == {"production"}
        by_jwt = await it.get("/usage", who.bearer)
        assert (by_jwt.status_code, by_jwt.json()["environment"]) == (200, "sandbox")
        assert set(by_jwt.json()["environments"]) == {"sandbox", "production"}
        asked = await it.get("/usage?environment=sandbox", bearer(key["api_key"]))
        assert asked.status_code == 400


# -- access tokens -------------------------------------------------------------------------------


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    header, body, signature = token.split(".")
    read = [json.loads(base64.urlsafe_b64decode(it + "===")) for it in (header, body)]
    return read[0], read[1], signature


def signed(header: dict[str, Any], body: dict[str, Any], key: bytes) -> str:
    """Sign as HS256 does, whatever the header says."""
    text = f"{part(header)}.{part(body)}"
    mac = hmac.new(key, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"


def own_key() -> bytes:
    return MASTER.derive(PURPOSE)


Forge = Callable[[dict[str, Any], dict[str, Any], str], str]
_NOW = int(SystemClock().now().timestamp())


FORGERIES: dict[str, Forge] = {
    "alg none": lambda h, b, s: f"{part(h | {'alg': 'none'})}.{part(b)}.",
    "alg None": lambda h, b, s: f"{part(h | {'alg': 'None'})}.{part(b)}.",
    "alg none, signature kept": lambda h, b, s: f"{part(h | {'alg': 'none'})}.{part(b)}.{s}",
    "signature cut": lambda h, b, s: f"{part(h)}.{part(b)}.",
    "signature of other claims": lambda h, b, s: f"{part(h)}.{part(b | {'sub': 'x'})}.{s}",
    "another HMAC": lambda h, b, s: signed(h | {"alg": "HS512"}, b, own_key()),
    "signed with the algorithm's name": lambda h, b, s: signed(h, b, b"HS256"),
    "signed with nothing": lambda h, b, s: signed(h, b, b""),
    "signed with the key's own id": lambda h, b, s: signed(h, b, MASTER.key_id.encode()),
    "signed with the master key": lambda h, b, s: signed(h, b, MASTER.secret),
    "Ed25519": lambda h, b, s: ed25519(h, b),
    "jwk in the header": lambda h, b, s: signed(
        h | {"jwk": {"kty": "oct", "k": "eHh4"}}, b, b"xxx"
    ),
    "jwk beside a good signature": lambda h, b, s: signed(
        h | {"jwk": {"kty": "oct", "k": "eHh4"}}, b, own_key()
    ),
    "jku": lambda h, b, s: signed(h | {"jku": "https://evil.example/keys"}, b, own_key()),
    "x5u": lambda h, b, s: signed(h | {"x5u": "https://evil.example/cert"}, b, own_key()),
    "crit": lambda h, b, s: signed(h | {"crit": ["exp"]}, b, own_key()),
    "unknown kid": lambda h, b, s: signed(h | {"kid": "../../dev/null"}, b, b""),
    "unknown kid, good signature": lambda h, b, s: signed(h | {"kid": "x"}, b, own_key()),
    "no kid": lambda h, b, s: signed({"alg": ALGORITHM, "typ": TYPE}, b, own_key()),
    "typ JWT": lambda h, b, s: signed(h | {"typ": "JWT"}, b, own_key()),
    "typ of a receipt": lambda h, b, s: signed(h | {"typ": "receipt+jwt"}, b, own_key()),
    "no typ": lambda h, b, s: signed({"alg": ALGORITHM, "kid": MASTER.key_id}, b, own_key()),
    "wrong aud": lambda h, b, s: signed(h, b | {"aud": "https://evil.example"}, own_key()),
    "no aud": lambda h, b, s: signed(h, {k: v for k, v in b.items() if k != "aud"}, own_key()),
    "wrong iss": lambda h, b, s: signed(h, b | {"iss": "evil"}, own_key()),
    "expired": lambda h, b, s: signed(h, b | {"exp": _NOW - 1}, own_key()),
    "no exp": lambda h, b, s: signed(h, {k: v for k, v in b.items() if k != "exp"}, own_key()),
    "exp is text": lambda h, b, s: signed(h, b | {"exp": "never"}, own_key()),
    "issued in an hour": lambda h, b, s: signed(h, b | {"iat": _NOW + 3600}, own_key()),
    "another user": lambda h, b, s: signed(h, b | {"sub": "x"}, own_key()),
    "another login": lambda h, b, s: signed(h, b | {"sid": "x"}, own_key()),
    "another tenant": lambda h, b, s: signed(h, b | {"tenant": "../x"}, own_key()),
    "claims are a list": lambda h, b, s: signed(h, [], own_key()),  # type: ignore[arg-type]
    "five parts": lambda h, b, s: f"{part(h)}.{part(b)}.{s}.x.y",
    "nothing but dots": lambda h, b, s: "..",
    "good, and very long": lambda h, b, s: signed(h, b | {"more": "A" * 2_000}, own_key()),
    "very long": lambda h, b, s: f"{part(h)}.{'A' * 10_000}.{s}",
}


def ed25519(header: dict[str, Any], body: dict[str, Any]) -> str:
    key = OKPKey.generate_key("Ed25519")
    return jwt.encode(header | {"alg": "Ed25519"}, body, key, algorithms=["Ed25519"])


async def test_a_good_token_is_short_lived_and_says_what_it_is_for(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        header, body, _ = parts((await it.sign_up()).access_token)
        assert header == {"alg": "HS256", "typ": "at+jwt", "kid": MASTER.key_id}
        assert (body["iss"], body["aud"]) == (ISSUER, AUDIENCE)
        assert body["exp"] - body["iat"] == LIFE_S == 900
        again = signed(header, body, own_key())
        assert (await it.get("/profile", bearer(again))).status_code == 200


async def test_no_forged_token_is_taken(tmp_path: Path) -> None:
    async with partnering(tmp_path, rate_limit_per_minute=10_000) as it:
        who = await it.sign_up()
        for name, forge in FORGERIES.items():
            answer = await it.get("/profile", bearer(forge(*parts(who.access_token))))
            assert answer.status_code == 401, name
        assert (await it.get("/profile", who.bearer)).status_code == 200


async def test_a_token_of_one_tenant_opens_nothing_of_another(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        ada, bob = await it.sign_up("ada@example.com"), await it.sign_up("bob@example.com")
        header, body, _ = parts(ada.access_token)
        mixed = signed(header, body | {"tenant": bob.user["tenant_id"]}, own_key())
        assert (await it.get("/profile", bearer(mixed))).status_code == 401


async def test_a_token_for_the_login_of_a_cookie_is_none(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        email = who.user["email"]
        visit = await it.partner.accounts.log_in(email, PASSWORD, client="x", kind="web")
        header, body, _ = parts(who.access_token)
        for login_id, status in ((body["sid"], 200), (visit.login_id, 401)):
            token = signed(header, body | {"sid": login_id}, own_key())
            assert (await it.get("/profile", bearer(token))).status_code == status


# -- keys ----------------------------------------------------------------------------------------


async def test_a_key_whose_checksum_is_wrong_is_refused_before_the_store_is_asked(
    tmp_path: Path,
) -> None:
    async with partnering(tmp_path) as it:
        key = (await it.generate_key(await it.sign_up()))["api_key"]
        reads = it.house.store.statistics().reads
        for text in (key[:-1] + ("A" if key[-1] != "A" else "B"), key[:-1], key + "A", "vp_x_1"):
            assert (await it.get("/usage", bearer(text))).status_code == 401
        assert it.house.store.statistics().reads == reads


async def test_a_made_up_key_with_a_good_checksum_is_refused_and_its_maker_slowed_down(
    tmp_path: Path,
) -> None:
    async with partnering(tmp_path, rate_limit_per_minute=3) as it:
        statuses = []
        for number in range(5):
            head = f"vp_sandbox_{number:033d}"
            text = head + _base62(zlib.crc32(head.encode()), 6)
            statuses.append((await it.get("/usage", bearer(text))).status_code)
        assert statuses == [401, 401, 401, 429, 429]


async def test_a_key_is_looked_up_once_and_revoked_at_the_very_next_request(
    tmp_path: Path,
) -> None:
    async with partnering(tmp_path) as it:
        who = await it.sign_up()
        key = await it.generate_key(who)
        assert (await it.get("/usage", bearer(key["api_key"]))).status_code == 200
        before = it.house.store.statistics()
        for _ in range(20):
            assert (await it.get("/usage", bearer(key["api_key"]))).status_code == 200
        after = it.house.store.statistics()
        assert (after.reads, after.commits) == (before.reads, before.commits)
        revoked = await it.client.delete(f"/api/v1/api-keys/{key['key_id']}", headers=who.bearer)
        assert revoked.status_code == 204
        assert (await it.get("/usage", bearer(key["api_key"]))).status_code == 401


async def test_the_rate_is_one_tenants_whichever_of_its_credentials_are_shown(
    tmp_path: Path,
) -> None:
    async with partnering(tmp_path, rate_limit_per_minute=6) as it:
        ada, bob = await it.sign_up("ada@example.com"), await it.sign_up("bob@example.com")
        keys = [await it.generate_key(ada, where) for where in ("sandbox", "production")]
        left = []
        for headers in [bearer(keys[0]["api_key"]), bearer(keys[1]["api_key"])] * 2:
            forged = headers | {"X-Real-User": "x", "Forwarded-For": "1.2.3.4"}
            left.append((await it.get("/usage", forged)).headers["X-RateLimit-Remaining"])
        assert left == ["3", "2", "1", "0"]
        refused = await it.get("/usage", ada.bearer)
        assert (refused.status_code, refused.json()["detail"]) == (429, "API rate limit exceeded")
        assert int(refused.headers["Retry-After"]) >= 1
        assert int(refused.headers["X-RateLimit-Reset"]) >= _NOW
        assert (await it.get("/usage", bob.bearer)).status_code == 200


async def people(it: Counter) -> tuple[Person, Person]:
    return await it.sign_up("ada@example.com"), await it.sign_up("bob@example.com")


async def test_a_tenant_sees_and_revokes_its_own_keys_only(tmp_path: Path) -> None:
    async with partnering(tmp_path) as it:
        ada, bob = await people(it)
        key = await it.generate_key(ada)
        assert (await it.get("/api-keys/list", bob.bearer)).json() == {"api_keys": []}
        foreign = await it.client.delete(f"/api/v1/api-keys/{key['key_id']}", headers=bob.bearer)
        unknown = await it.client.delete("/api/v1/api-keys/x", headers=bob.bearer)
        assert foreign.status_code == unknown.status_code == 404
        assert foreign.json() == unknown.json()
        assert (await it.get("/usage", bearer(key["api_key"]))).status_code == 200
