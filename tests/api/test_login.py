"""The cookie of our own pages: who gets it, and whose requests it opens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from api.guard import Admitted, Facts, Refused, decide, digest_of_token, policy_for
from api.login import COOKIE, LIFE_S, is_good_cookie, issue_cookie
from tests.api.conversing import conversing
from tests.api.wire import Refused as Rejected
from tests.api.wire import lined

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = policy_for(("first", "second"), frozenset())
OWN = ("origin", "http://127.0.0.1:5010")
SAME_SITE = ("sec-fetch-site", "same-origin")


def cookie(token: str = "second") -> str:
    digest = digest_of_token(token, POLICY)
    assert digest is not None
    return issue_cookie(digest, NOW)


def asked(*headers: tuple[str, str], method: str = "GET", path: str = "/api/sessions/x") -> Facts:
    held = (("host", "127.0.0.1:5010"), ("cookie", f"a=b; {COOKIE}={cookie()}"), *headers)
    return Facts(method=method, path=path, scheme="http", headers=held, now=NOW)


def test_a_cookie_is_good_for_its_time_and_for_a_known_token_only() -> None:
    good = cookie()
    digests = POLICY.token_digests
    assert is_good_cookie(good, digests, NOW + timedelta(seconds=LIFE_S - 1))
    assert not is_good_cookie(good, digests, NOW + timedelta(seconds=LIFE_S))
    assert not is_good_cookie(good, digests[:1], NOW)
    expires, _, mac = good.partition(".")
    for forged in ("", ".", f"{int(expires) + 1}.{mac}", f"{expires}.", f"{expires}.é", "1" * 999):
        assert not is_good_cookie(forged, digests, NOW)
    assert "second" not in good


@pytest.mark.parametrize(
    ("headers", "method", "is_in"),
    [
        ((OWN,), "POST", True),
        ((OWN,), "GET", True),
        ((SAME_SITE,), "GET", True),
        ((), "GET", False),
        ((SAME_SITE,), "POST", False),
        ((SAME_SITE, ("upgrade", "websocket")), "GET", False),
        ((OWN, ("upgrade", "websocket")), "GET", True),
        ((("sec-fetch-site", "cross-site"),), "GET", False),
        ((("origin", "http://127.0.0.1:9999"),), "GET", False),
        ((("origin", "null"),), "POST", False),
        ((OWN, ("origin", "http://evil.example")), "POST", False),
    ],
)
def test_a_request_by_cookie_needs_our_own_origin(
    headers: tuple[tuple[str, str], ...], method: str, is_in: bool
) -> None:
    verdict = decide(asked(*headers, method=method), POLICY)
    assert isinstance(verdict, Admitted if is_in else Refused)


async def test_a_page_logs_in_once_and_its_websocket_comes_by_cookie(tmp_path: Path) -> None:
    async with conversing(tmp_path, tokens=("token-1",)) as talk:
        own = f"http://127.0.0.1:{talk.port}"
        page = await talk.client.get("/chat")
        assert page.status_code == 200
        policy = page.headers["content-security-policy"]
        assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy.split("; "))
        assert "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert (await talk.client.get("/api/sessions/x")).status_code == 401

        async def login(token: str, origin: str | None = own) -> httpx.Response:
            headers = {} if origin is None else {"Origin": origin}
            return await talk.client.post("/chat/login", json={"token": token}, headers=headers)

        assert (await login("token-1", None)).status_code == 403
        assert (await login("token-1", "http://evil.example")).status_code == 403
        assert (await login("wrong")).status_code == 401
        answer = await login("token-1")
        assert answer.status_code == 204
        given = answer.headers["set-cookie"]
        assert "HttpOnly" in given
        assert "SameSite=Strict" in given
        headers = {"Authorization": "Bearer token-1"}
        body = {"businessId": "b", "userId": "u"}
        made = await talk.client.post("/api/sessions", json=body, headers=headers)
        target = f"/api/sessions/{made.json()['sessionId']}/stream"
        held = (b"cookie", given.partition(";")[0].encode())
        async with lined(talk.port, target, (held, (b"origin", own.encode()))) as line:
            assert (await line.next())["type"] == "ready"
        for origin in (b"http://evil.example", b"http://127.0.0.1:1"):
            with pytest.raises(Rejected) as refused:
                async with lined(talk.port, target, (held, (b"origin", origin))):
                    pass
            assert refused.value.status == 403
        gone = await talk.client.post("/chat/logout", headers={"Origin": own})
        assert "Max-Age=0" in gone.headers["set-cookie"]


@pytest.mark.parametrize("is_https", [True, False])
async def test_the_cookie_stays_with_this_host_and_over_https_on_https(
    tmp_path: Path, is_https: bool
) -> None:
    async with conversing(tmp_path, tokens=("token-1",), is_https=is_https) as talk:
        headers = {"Authorization": "Bearer token-1"}
        for path in ("login", "logout"):
            answer = await talk.client.post(
                f"/chat/{path}", json={"token": "token-1"}, headers=headers
            )
            marks = {mark.strip() for mark in answer.headers["set-cookie"].split(";")[1:]}
            assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= marks
            assert ("Secure" in marks) == is_https
            assert not any(mark.startswith("Domain") for mark in marks)
