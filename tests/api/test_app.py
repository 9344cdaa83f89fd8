"""The guard as a caller meets it, over HTTP."""

from __future__ import annotations

import pytest

from api.address import parse_origin
from tests.api.harness import CREDENTIALS, opened

APP = parse_origin("https://app.example")
assert APP is not None
ORIGIN = {"Origin": "https://app.example"}
PREFLIGHT = ORIGIN | {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type, authorization",
}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"X-Forwarded-For": "1.2.3.4"},
    ],
)
@pytest.mark.parametrize("path", ["/get_session", "/no/such/route"])
async def test_a_caller_that_is_refused_gets_a_403_that_says_what_to_do(
    headers: dict[str, str], path: str
) -> None:
    async with opened() as door:
        answer = await door.client.post(path, json=CREDENTIALS, headers=headers)
        assert door.desk.registry.asked == []
    assert answer.status_code == 403
    assert answer.json()["success"] is False
    assert answer.json()["error"] == "Refused"
    assert "MOORING_" in answer.json()["details"] or "open the address" in answer.json()["details"]
    assert "access-control-allow-origin" not in answer.headers


async def test_without_its_token_a_caller_gets_a_401_that_says_how() -> None:
    async with opened(tokens=("good",)) as door:
        bare = await door.client.get("/sessions")
        wrong = await door.client.get("/sessions", headers={"Authorization": "Bearer bad"})
        good = await door.client.get("/sessions", headers={"Authorization": "Bearer good"})
        probes = [await door.client.get(path) for path in ("/health", "/ready")]
    for answer in (bare, wrong):
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="mooring"'
        assert answer.json()["error"] == "Operator token required"
    assert good.status_code == 200
    assert [probe.status_code for probe in probes] == [200, 200]


async def test_a_body_is_not_even_read_for_a_caller_that_is_refused() -> None:
    async with opened(tokens=("good",)) as door:
        answer = await door.say(
            b"POST /get_session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
        )
    assert answer.startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("tokens", [(), ("good",)])
async def test_an_allowed_page_gets_leave_to_call_before_it_calls(tokens: tuple[str, ...]) -> None:
    async with opened(origins=frozenset({APP}), tokens=tokens) as door:
        answer = await door.client.options("/get_session", headers=PREFLIGHT)
    assert answer.status_code == 204
    assert answer.content == b""
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "Authorization" in answer.headers["access-control-allow-headers"]
    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in answer.headers


async def test_an_allowed_page_may_read_answers_and_errors() -> None:
    async with opened(origins=frozenset({APP}), tokens=("good",)) as door:
        token = {"Authorization": "Bearer good"}
        answers = [
            await door.client.get("/sessions", headers=ORIGIN | token),
            await door.client.post("/get_session", json={}, headers=ORIGIN | token),
            await door.client.get("/sessions", headers=ORIGIN),
        ]
    assert [answer.status_code for answer in answers] == [200, 400, 401]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["vary"] == "Origin"


async def test_no_other_page_gets_leave() -> None:
    async with opened() as door:
        answer = await door.client.options("/get_session", headers=PREFLIGHT)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_options_without_a_page_names_the_methods() -> None:
    async with opened() as door:
        answer = await door.client.options("/get_session")
    assert answer.status_code == 200
    assert set(answer.headers["allow"].split(", ")) == {"OPTIONS", "POST"}
