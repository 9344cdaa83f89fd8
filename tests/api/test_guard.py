from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.address import parse_origin
from api.errors import CallRefused, TokenRequired
from api.guard import Admitted, Facts, Policy, Preflight, Refused, Verdict, decide, policy_for

APP = parse_origin("https://app.example")
assert APP is not None
OPEN = policy_for((), frozenset())
OPEN_TO_APP = policy_for((), frozenset({APP}))
TOKENS = policy_for(("first-token", "second-token"), frozenset())
TOKENS_AND_APP = policy_for(("first-token",), frozenset({APP}))
LOCAL = {"host": "localhost:5010"}


def facts(
    headers: dict[str, str] | list[tuple[str, str]],
    *,
    method: str = "POST",
    path: str = "/get_session",
    scheme: str = "http",
) -> Facts:
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Facts(method=method, path=path, scheme=scheme, headers=tuple(pairs))


def refused_with(verdict: Verdict) -> type[Exception] | None:
    return type(verdict.error) if isinstance(verdict, Refused) else None


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1:5010"},
        {"host": "LOCALHOST"},
        {"host": "[::1]:5010"},
        {"host": "127.3.2.1:9"},
        {"host": "localhost:9999"},  # through a tunnel of the caller's own
        LOCAL | {"origin": "http://localhost:5010", "sec-fetch-site": "same-origin"},
        LOCAL | {"sec-fetch-site": "none"},
        {"host": "localhost", "origin": "http://localhost:80"},
    ],
)
def test_without_tokens_this_machines_own_programs_are_admitted(headers: dict[str, str]) -> None:
    assert decide(facts(headers), OPEN) == Admitted()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": ""},
        {"host": "evil.example"},
        {"host": "evil.example:5010"},
        {"host": "localhost.evil.example"},
        {"host": "localhost."},
        {"host": "127.0.0.1.nip.io"},
        {"host": "127.0.0.1:80@evil.example"},
        {"host": "user@localhost"},
        {"host": "localhost:5010/x"},
        {"host": "localhost, evil.example"},
        {"host": " localhost"},
        {"host": "127.1"},
        {"host": "2130706433"},
        {"host": "0.0.0.0:5010"},
        {"host": "192.168.0.7:5010"},
        {"host": "[::ffff:127.0.0.1]"},
        {"host": "[::1%25lo]"},
        {"host": "[::1"},
        {"host": "localhost:99999"},
        [("host", "localhost"), ("host", "localhost")],
        [("host", "localhost"), ("host", "evil.example")],
    ],
)
def test_without_tokens_a_host_that_is_not_loopback_is_refused(
    headers: dict[str, str] | list[tuple[str, str]],
) -> None:
    assert refused_with(decide(facts(headers), OPEN)) is CallRefused


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://localhost:3000"},
        {"origin": "http://localhost"},
        {"origin": "https://localhost:5010"},
        {"origin": "http://127.0.0.1:5010"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://localhost:5010@evil.example"},
        {"origin": "http://localhost:5010/"},
        {"origin": "http://localhost:5010 http://evil.example"},
        {"origin": "chrome-extension://abcdef"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": ""},
        {"sec-fetch-site": "whatever"},
        {"origin": "http://localhost:5010", "sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_without_tokens_a_page_of_another_origin_is_refused(
    headers: dict[str, str], method: str
) -> None:
    assert refused_with(decide(facts(LOCAL | headers, method=method), OPEN)) is CallRefused


def test_a_second_origin_header_is_refused_when_one_of_them_is_foreign() -> None:
    own, foreign = ("origin", "http://localhost:5010"), ("origin", "https://evil.example")
    for pair in ([own, foreign], [foreign, own]):
        verdict = decide(facts([("host", "localhost:5010"), *pair]), OPEN)
        assert refused_with(verdict) is CallRefused


@pytest.mark.parametrize(
    "name",
    [
        *("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"),
        *("x-forwarded-anything", "x-real-ip", "via"),
    ],
)
@pytest.mark.parametrize("value", ["", "127.0.0.1"])
def test_without_tokens_what_came_through_a_proxy_is_refused(name: str, value: str) -> None:
    assert refused_with(decide(facts(LOCAL | {name: value}), OPEN)) is CallRefused


def test_a_proxy_is_refused_even_for_an_allowed_page() -> None:
    headers = LOCAL | {"origin": "https://app.example", "x-forwarded-for": "10.0.0.1"}
    assert refused_with(decide(facts(headers), OPEN_TO_APP)) is CallRefused


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/health", "/ready"])
@pytest.mark.parametrize("policy", [OPEN, TOKENS])
def test_probes_are_open_to_everybody(method: str, path: str, policy: Policy) -> None:
    asked = facts({"host": "10.0.0.9", "x-forwarded-for": "1.2.3.4"}, method=method, path=path)
    assert decide(asked, policy) == Admitted()


@pytest.mark.parametrize("path", ["/health/", "/Health", "//health", "/healthz", "/ready/x", "/"])
def test_only_the_very_paths_of_the_probes_are_open(path: str) -> None:
    assert refused_with(decide(facts({}, method="GET", path=path), TOKENS)) is TokenRequired


def test_only_reading_a_probe_is_open() -> None:
    verdict = decide(facts({}, method="POST", path="/health"), TOKENS)
    assert refused_with(verdict) is TokenRequired


@pytest.mark.parametrize(
    "value",
    ["Bearer first-token", "bearer second-token", "BEARER  second-token ", " Bearer first-token"],
)
def test_with_tokens_any_of_them_admits_from_anywhere(value: str) -> None:
    headers = {"host": "public.example", "x-forwarded-for": "1.2.3.4", "authorization": value}
    assert decide(facts(headers), TOKENS) == Admitted()


@pytest.mark.parametrize(
    "value",
    [
        *("", "Bearer", "Bearer ", "first-token", "Basic first-token", "Bearer first-toke"),
        *("Bearer first-token2", "Bearer FIRST-TOKEN", "Bearer first-token,second-token"),
        *("Bearer first-token second-token", "Bearerfirst-token", "Bearer fïrst-token"),
    ],
)
def test_with_tokens_anything_but_a_whole_one_is_refused(value: str) -> None:
    headers = LOCAL | {"authorization": value}
    assert refused_with(decide(facts(headers), TOKENS)) is TokenRequired


def test_with_tokens_loopback_alone_admits_nobody() -> None:
    assert refused_with(decide(facts(LOCAL), TOKENS)) is TokenRequired


def test_two_authorization_headers_are_refused() -> None:
    pair = [("authorization", "Bearer wrong"), ("authorization", "Bearer first-token")]
    assert refused_with(decide(facts(pair), TOKENS)) is TokenRequired


def test_the_policy_holds_no_token() -> None:
    assert "first-token" not in repr(TOKENS)


PREFLIGHT = {"origin": "https://app.example", "access-control-request-method": "POST"}


@pytest.mark.parametrize("policy", [OPEN_TO_APP, TOKENS_AND_APP])
def test_an_allowed_page_may_ask_before_it_calls(policy: Policy) -> None:
    verdict = decide(facts(LOCAL | PREFLIGHT, method="OPTIONS"), policy)
    assert verdict == Preflight(APP)


@pytest.mark.parametrize(("policy", "expected"), [(OPEN, CallRefused), (TOKENS, TokenRequired)])
def test_any_other_page_may_not_even_ask(policy: Policy, expected: type[Exception]) -> None:
    verdict = decide(facts(LOCAL | PREFLIGHT, method="OPTIONS"), policy)
    assert refused_with(verdict) is expected


def test_an_allowed_page_may_call_and_read() -> None:
    headers = LOCAL | {"origin": "https://app.example", "sec-fetch-site": "cross-site"}
    assert decide(facts(headers), OPEN_TO_APP) == Admitted(APP)


def test_an_allowed_page_still_needs_a_token_where_there_are_tokens() -> None:
    verdict = decide(facts({"origin": "https://app.example"}), TOKENS_AND_APP)
    assert isinstance(verdict, Refused)
    assert isinstance(verdict.error, TokenRequired)
    assert verdict.cors_origin == APP  # so that the page can tell its user why


def test_a_rebound_name_is_refused_even_when_it_says_to_be_an_allowed_page() -> None:
    headers = {"host": "rebound.example:5010", "origin": "https://app.example"}
    assert refused_with(decide(facts(headers), OPEN_TO_APP)) is CallRefused


_HOSTS = st.sampled_from(
    ["localhost", "127.0.0.1:5010", "[::1]:1", "evil.example", "localhost.", "0.0.0.0", ""]
) | st.text(max_size=20)
_ORIGINS = st.sampled_from(
    ["http://localhost", "http://127.0.0.1:5010", "https://evil.example", "null", ""]
) | st.text(max_size=20)
_SITES = st.sampled_from(["same-origin", "none", "cross-site"])
_HEADERS = st.lists(
    st.one_of(
        st.tuples(st.just("host"), _HOSTS),
        st.tuples(st.just("origin"), _ORIGINS),
        st.tuples(st.just("sec-fetch-site"), _SITES),
        st.tuples(st.sampled_from(["forwarded", "x-forwarded-for", "accept"]), st.just("x")),
        st.tuples(
            st.just("authorization"), st.sampled_from(["Bearer first-token", "Bearer x", "x"])
        ),
    ),
    max_size=6,
)
_METHODS = st.sampled_from(["GET", "POST", "DELETE", "OPTIONS"])


@given(headers=_HEADERS, method=_METHODS)
def test_whoever_is_admitted_without_tokens_shows_one_loopback_host_and_nothing_foreign(
    headers: list[tuple[str, str]], method: str
) -> None:
    if isinstance(decide(facts(headers, method=method), OPEN), Refused):
        return
    said = dict(headers)
    hosts = [value for name, value in headers if name == "host"]
    assert len(hosts) == 1
    assert hosts[0].lower() in {"localhost", "127.0.0.1:5010", "[::1]:1"}
    assert not {"forwarded", "x-forwarded-for"} & said.keys()
    assert said.get("sec-fetch-site") != "cross-site"
    assert all(
        value.lower() == f"http://{hosts[0].lower()}" for name, value in headers if name == "origin"
    )


@given(headers=_HEADERS, method=_METHODS)
def test_whoever_is_admitted_with_tokens_shows_exactly_one_that_is_known(
    headers: list[tuple[str, str]], method: str
) -> None:
    shown = [value for name, value in headers if name == "authorization"]
    admitted = isinstance(decide(facts(headers, method=method), TOKENS), Admitted)
    assert admitted == (shown == ["Bearer first-token"])


PARTNERS = ["/api/v1/sessions/create", "/dashboard", "/dashboard/keys", "/s/abc", "/openapi.json"]
PUBLIC = policy_for(("first-token",), frozenset(), parse_origin("https://mooring.example"))


@pytest.mark.parametrize("path", PARTNERS)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_partners_path_needs_no_operator_token(path: str, method: str) -> None:
    assert decide(facts(LOCAL, method=method, path=path), OPEN) == Admitted()
    asked = facts({"host": "mooring.example", "via": "proxy"}, method=method, path=path)
    assert decide(asked, TOKENS) == Admitted()


@pytest.mark.parametrize("path", PARTNERS)
@pytest.mark.parametrize("headers", [{"host": "rebound.example"}, LOCAL | {"via": "1.1 proxy"}])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_partners_path_without_tokens_is_still_for_this_machine_only(
    path: str, headers: dict[str, str], method: str
) -> None:
    assert refused_with(decide(facts(headers, method=method, path=path), OPEN)) is CallRefused


@pytest.mark.parametrize(
    "path", ["/api/v1", "/api/v2/x", "/dashboards", "/sessions", "/s", "/API/v1/x", "//api/v1/x"]
)
def test_only_the_partners_own_paths_are_open(path: str) -> None:
    assert refused_with(decide(facts(LOCAL, path=path), TOKENS)) is TokenRequired


@pytest.mark.parametrize("policy", [OPEN, PUBLIC])
def test_a_link_from_anywhere_leads_to_a_partners_page(policy: Policy) -> None:
    headers = LOCAL | {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert decide(facts(headers, method="GET", path="/s/abc"), policy) == Admitted()


@pytest.mark.parametrize("policy", [OPEN, PUBLIC])
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:3000"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "http://localhost:5010", "sec-fetch-site": "same-site"},
    ],
)
@pytest.mark.parametrize("upgrade", [False, True])
def test_another_sites_page_may_change_nothing_on_a_partners_path(
    policy: Policy, headers: dict[str, str], upgrade: bool
) -> None:
    asked = LOCAL | headers | ({"upgrade": "websocket"} if upgrade else {})
    method = "GET" if upgrade else "POST"
    verdict = decide(facts(asked, method=method, path="/api/v1/auth/login"), policy)
    assert refused_with(verdict) is CallRefused


def test_our_own_page_behind_a_proxy_is_known_by_the_public_url() -> None:
    headers = {"host": "mooring.example", "origin": "https://mooring.example"}
    assert decide(facts(headers, path="/s/abc"), PUBLIC) == Admitted()
