"""Point 12: where a visitor may be sent, and what is added to it."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.partner import FieldInvalid
from actors.partner.hosted.return_url import check_return_url, host_of, origin_of, with_outcome
from actors.partner.tenants import Environment

GOOD = (
    "https://yourapp.com/callback",
    "https://yourapp.com",
    "https://yourapp.com?a=1&b=%20",
    "HTTPS://YourApp.com:8443/callback?next=https://yourapp.com/x//y#done",
    "https://xn--bcher-kva.example/",
    "https://xn--e1afmkfd.xn--p1ai/cb",
    "https://203.0.113.7/cb",
    "https://[2001:db8::7]:8443/cb",
    "https://a.very-long.sub.domain.example.museum/cb",
)
LOOPBACK = (
    "http://localhost:4200/callback",
    "http://127.0.0.1/cb",
    "http://127.8.9.1:3000/cb",
    "http://[::1]:8000/cb",
)
BAD = (
    "",
    "yourapp.com/callback",
    "/callback",
    "//evil.example/cb",
    "https:evil.example",
    "https:/evil.example",
    "https:///evil.example",
    "https://",
    "https://?x",
    "javascript:alert(1)",
    "JaVaScRiPt://yourapp.com/%0aalert(1)",
    "java\tscript:alert(1)",
    "data:text/html,x",
    "ftp://yourapp.com/cb",
    "ws://yourapp.com/cb",
    "https+x://yourapp.com/cb",
    " https://yourapp.com/cb",
    "https://yourapp.com/cb ",
    "https://yourapp.com/c b",
    "https://yourapp.com/cb\n",
    "https://yourapp.com/cb\r\nSet-Cookie: a=b",
    "https://yourapp.com/\x00",
    "https://yourapp.com/\x7f",
    "https://user@yourapp.com/",
    "https://user:pass@yourapp.com/",
    "https://@yourapp.com/",
    "https://yourapp.com@evil.example/",
    "https://yourapp.com%40evil.example/",
    "https://yourapp.com\\@evil.example/",
    "https:\\\\evil.example",
    "https://yourapp.com\\.evil.example/",
    "https://yourapp.com/\\evil.example",
    "https://yourapp.com/cb?next=\\evil.example",
    "https://yourapp.com/<script>",
    'https://yourapp.com/"onclick="x',
    "https://yourapp.com/`{x}|^",
    "https://yourapp.com//evil.example",
    "https://yourapp.com/a//b",
    "https://yourapp.com:0/",
    "https://yourapp.com:65536/",
    "https://yourapp.com:/x",
    "https://yourapp.com:80:80/",
    "https://yourapp.com:http/",
    "https://yourapp..com/",
    "https://.yourapp.com/",
    "https://-yourapp.com/",
    f"https://{'a.' * 126}com/",
    "https://your_app.com/",
    "https://yourapp.com%2eevil.example/",
    "https://%79ourapp.com/",
    # Other scripts, and what browsers would turn into a dot, a slash or an a.
    "https://yoürapp.com/",
    "https://yourapp.com/ü",
    "https://\u0430pple.com/",
    "https://\uff59ourapp.com/",
    "https://yourapp\u3002com/",
    "https://yourapp.com\u2044evil.example/",
    "https://yourapp.com/\u202egpj.exe",
    "https://xn--/",
    "https://xn--a/",
    "https://xn--yourapp-.com/",
    "https://xn--99999999999.com/",
    "https://xn---u1d.com/",  # the same name as xn--u1d, spelt in another way
    # Addresses in clothes.
    "https://2130706433/",
    "https://0x7f000001/",
    "https://127.1/",
    "https://0177.0.0.1/",
    "https://127.0.0.1.5/",
    "https://256.0.0.1/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::1%25eth0]/",
    "https://[yourapp.com]/",
    "https://[::1/",
    "https://::1/",
    # What is ours to add.
    "https://yourapp.com/cb?state=completed",
    "https://yourapp.com/cb?a=1&receipt=x",
    "https://yourapp.com/cb?session%5Fid=x",
    "https://yourapp.com/cb?a=1;state=completed",
    "https://yourapp.com/" + "a" * 2048,
)


@pytest.mark.parametrize("url", GOOD)
@pytest.mark.parametrize("environment", ["sandbox", "production"])
def test_https_to_a_plain_host_is_fine(url: str, environment: Environment) -> None:
    check_return_url(url, environment)


@pytest.mark.parametrize("url", LOOPBACK)
def test_http_is_for_this_machine_in_the_sandbox_only(url: str) -> None:
    check_return_url(url, "sandbox")
    with pytest.raises(FieldInvalid):
        check_return_url(url, "production")


@pytest.mark.parametrize(
    "url",
    [
        "http://yourapp.com/cb",
        "http://localhost.evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://evil-localhost/cb",
        "http://10.0.0.1/cb",
        "http://[::2]/cb",
        "http://[::ffff:7f00:1]/cb",
        "http://0.0.0.0/cb",
    ],
)
def test_http_to_anywhere_else_is_refused(url: str) -> None:
    with pytest.raises(FieldInvalid):
        check_return_url(url, "sandbox")


@pytest.mark.parametrize("url", BAD)
@pytest.mark.parametrize("environment", ["sandbox", "production"])
def test_what_could_lead_elsewhere_is_refused_and_named(url: str, environment: Environment) -> None:
    with pytest.raises(FieldInvalid) as refused:
        check_return_url(url, environment)
    assert refused.value.field == "return_url"


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("", "must not be empty"),
        ("javascript:alert(1)", "must begin with https://"),
        ("javascript://yourapp.com/", "must begin with https://"),
        ("http://yourapp.com/", "http is for localhost only"),
        ("https://user@yourapp.com/", "must not hold a user name"),
        ("https://yourapp.com//x", "must not have // in its path"),
        ("https://yourapp.com\\@evil.example/", "must not hold backslashes"),
        ("https://yourapp.com/ü", "must be visible ASCII"),
        ("https://127.1/", "must name a host"),
        ("https://xn--yourapp-.com/", "must name a host"),
        ("https://yourapp.com:0/", "must have a port"),
        ("https://yourapp.com/?receipt=x", "must not have a receipt in its query"),
        ("https://yourapp.com/" + "a" * 2_048, "must not be longer than 2048 characters"),
    ],
)
def test_a_refusal_says_which_rule_is_broken(url: str, rule: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        check_return_url(url, "sandbox")
    assert rule in refused.value.problem


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://a.example", "https://a.example?session_id=1&receipt=x.y"),
        ("https://a.example/cb?k=v%20w", "https://a.example/cb?k=v%20w&session_id=1&receipt=x.y"),
        ("https://a.example/?", "https://a.example/?session_id=1&receipt=x.y"),
        ("https://a.example/?k&", "https://a.example/?k&session_id=1&receipt=x.y"),
        ("https://a.example/#/cb?x=1", "https://a.example/?session_id=1&receipt=x.y#/cb?x=1"),
    ],
)
def test_the_outcome_is_added_to_the_query_that_is_there(url: str, expected: str) -> None:
    assert with_outcome(url, session_id="1", receipt="x.y") == expected


def test_what_is_shown_of_an_address_is_its_host() -> None:
    assert host_of("https://YourApp.com:8443/cb?x") == "yourapp.com:8443"
    assert origin_of("https://YourApp.com:8443/cb?x") == "https://yourapp.com:8443"


@given(st.text(alphabet=st.characters(max_codepoint=0x2FF), max_size=60))
def test_whatever_is_accepted_is_read_the_same_by_pythons_parser(text: str) -> None:
    for url in (text, f"https://{text}", f"https://a.example/{text}"):
        try:
            check_return_url(url, "production")
        except FieldInvalid:
            continue
        parts = urlsplit(with_outcome(url, state="a&b=c d"))
        assert parts.scheme == "https"
        assert parts.username is None
        assert parts.netloc.lower() == host_of(url)
        assert parse_qsl(parts.query, keep_blank_values=True)[-1] == ("state", "a&b=c d")
