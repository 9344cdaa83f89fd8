"""What the URL of an endpoint may look like, before anything is looked up."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.partner.errors import FieldInvalid
from actors.partner.webhooks.url import MAX_URL_CHARS, check_url

GOOD = [
    "https://example.com",
    "https://example.com/hooks?x=1&y=%2f",
    "https://hooks.example.com:8443/a/b",
    "https://8.8.8.8/x",
    "https://[2606:4700::1111]/x",
    "https://bücher.example/x",
    "HTTPS://EXAMPLE.COM/",
]
LOCAL = [
    "https://localhost/x",
    "https://LOCALHOST/x",
    "https://localhost./x",
    "https://a.localhost:8443/",
    "https://printer.local/",
    "https://metadata.google.internal/",
    "https://127.0.0.1/",
    "https://127.0.0.1:8443/",
    "https://127.1/",
    "https://0x7f.1/",
    "https://0x7f000001/",
    "https://2130706433/",
    "https://0177.0.0.1/",
    "https://017700000001/",
    "https://0/",
    "https://0.0.0.0/",
    "https://10.1.2.3/",
    "https://169.254.169.254/latest/meta-data",
    "https://192.168.0.1/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::ffff:8.8.8.8]/",
    "https://[2002:7f00:1::]/",
    "https://[64:ff9b::127.0.0.1]/",
    "https://[fe80::1%25lo]/",
    "https://[fd00::1]/",
    "https://１２７.０.０.１/",
    "https://①②⑦.⓪.⓪.①/",
]
BAD = [
    "",
    "example.com/hooks",
    "//example.com/hooks",
    "/hooks",
    "http://example.com/",
    "ftp://example.com/",
    "javascript:alert(1)",
    "file:///etc/passwd",
    "https://",
    "https:///x",
    "https://user@example.com/",
    "https://user:secret@example.com/",
    "https://@example.com/",
    "https://example.com/#part",
    "https://example.com\\@evil.example/",
    "https://example.com/a b",
    "https://example.com/\r\nHost: evil",
    "https://example.com:0/",
    "https://example.com:99999/",
    "https://[::1/",
    "https://exa\0mple.com/",
]


@pytest.mark.parametrize("url", GOOD)
def test_https_urls_of_the_internet_are_taken(url: str) -> None:
    check_url(url, allow_private=False)


@pytest.mark.parametrize("url", LOCAL + BAD)
def test_all_others_are_refused_naming_the_field(url: str) -> None:
    with pytest.raises(FieldInvalid) as refused:
        check_url(url, allow_private=False)
    assert refused.value.field == "url"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000/x", "http://localhost/", "https://[::1]/"])
def test_where_private_is_allowed_so_is_loopback_and_plain_http(url: str) -> None:
    check_url(url, allow_private=True)


@pytest.mark.parametrize("url", [url for url in BAD if not url.startswith("http://")])
def test_what_is_no_url_is_refused_there_too(url: str) -> None:
    with pytest.raises(FieldInvalid):
        check_url(url, allow_private=True)


def test_a_long_url_is_refused() -> None:
    with pytest.raises(FieldInvalid):
        check_url("https://example.com/" + "x" * MAX_URL_CHARS, allow_private=False)


@given(st.text(max_size=60))
def test_any_text_is_taken_or_refused(text: str) -> None:
    for url in (text, "https://" + text, "https://example.com/" + text):
        with suppress(FieldInvalid):
            check_url(url, allow_private=False)
