from __future__ import annotations

import pytest

from actors.browser.settings import BrowserSettings
from api.address import parse_origin
from api.settings import SettingError, Settings, check


def test_the_defaults_may_start() -> None:
    door = check(Settings())
    assert [str(address) for address in door.addresses] == ["127.0.0.1:5010"]
    assert door.public_url is None


@pytest.mark.parametrize("bind", ["192.168.1.5:5010", "[2001:db8::1]:5010"])
def test_listening_beyond_loopback_without_a_token_does_not_start(bind: str) -> None:
    with pytest.raises(SettingError, match=r"not loopback.*MOORING_OPERATOR_TOKENS") as caught:
        check(Settings(bind=("127.0.0.1:5010", bind)))
    assert caught.value.name == "MOORING_BIND"


def test_listening_beyond_loopback_with_a_token_starts() -> None:
    assert check(Settings(bind=("192.168.1.5:5010",), operator_tokens=("token",)))


def test_a_wildcard_needs_a_public_url_since_nobody_can_call_it_by_that_name() -> None:
    with pytest.raises(SettingError, match=r"MOORING_PUBLIC_URL: must be set.*0\.0\.0\.0:5010"):
        check(Settings(bind=("0.0.0.0:5010",), operator_tokens=("token",)))


def test_a_wildcard_with_a_public_url_still_needs_a_token() -> None:
    with pytest.raises(SettingError, match="MOORING_OPERATOR_TOKENS"):
        check(Settings(bind=("[::]:5010",), public_url="http://localhost:5010"))


@pytest.mark.parametrize("url", ["https://mooring.example", "http://10.0.0.1:5010/x"])
def test_a_public_url_beyond_loopback_without_a_token_does_not_start(url: str) -> None:
    with pytest.raises(SettingError, match=r"MOORING_PUBLIC_URL.*MOORING_OPERATOR_TOKENS"):
        check(Settings(public_url=url))


def test_a_public_url_may_have_a_path_and_loses_its_closing_slash() -> None:
    door = check(Settings(public_url="https://a.example/mooring/", operator_tokens=("t",)))
    assert door.public_url == "https://a.example/mooring"


@pytest.mark.parametrize(
    "url",
    ["mooring.example", "ftp://a.example", "https://u:p@a.example", "https://a/?q", "http://"],
)
def test_a_public_url_that_is_none_does_not_start(url: str) -> None:
    with pytest.raises(SettingError, match="MOORING_PUBLIC_URL: is not an http"):
        check(Settings(public_url=url, operator_tokens=("t",)))


@pytest.mark.parametrize("name", ["portal_url", "captcha_url"])
def test_the_browsers_urls_are_checked_too_and_not_repeated(name: str) -> None:
    browser = BrowserSettings(**{name: "https://user:hunter2@portal.example"})
    with pytest.raises(SettingError, match=f"MOORING_BROWSER__{name.upper()}") as caught:
        check(Settings(browser=browser))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("bind", ["5010", "127.0.0.1:70000", "example.com:80"])
def test_an_address_that_is_none_is_named(bind: str) -> None:
    with pytest.raises(SettingError, match=f"MOORING_BIND: '{bind}' is not") as caught:
        check(Settings(bind=(bind,)))
    assert caught.value.exit_code == 2


def test_an_address_given_twice_is_one() -> None:
    assert len(check(Settings(bind=("127.0.0.1:1", "localhost:1"))).addresses) == 1


def test_half_of_a_certificate_does_not_start() -> None:
    with pytest.raises(SettingError, match="MOORING_TLS_KEY: is missing"):
        check(Settings(tls_cert="cert.pem"))
    with pytest.raises(SettingError, match="MOORING_TLS_CERT: is missing"):
        check(Settings(tls_key="key.pem"))


def test_origins_and_networks_are_parsed() -> None:
    door = check(
        Settings(allowed_origins=("https://App.example",), trusted_proxies=("10.0.0.0/8", "::1"))
    )
    assert door.allowed_origins == {parse_origin("https://app.example")}
    assert [str(network) for network in door.trusted_proxies] == ["10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize("origin", ["*", "null", "app.example", "https://app.example/path"])
def test_an_origin_that_is_none_does_not_start(origin: str) -> None:
    with pytest.raises(SettingError, match="MOORING_ALLOWED_ORIGINS"):
        check(Settings(allowed_origins=(origin,)))


def test_a_proxy_that_is_no_address_does_not_start() -> None:
    with pytest.raises(SettingError, match="MOORING_TRUSTED_PROXIES: 'proxy'"):
        check(Settings(trusted_proxies=("proxy",)))


@pytest.mark.parametrize("token", ["two words", "ünicode", "a,b", "new\nline"])
def test_a_token_that_no_header_can_carry_does_not_start_and_is_not_repeated(token: str) -> None:
    with pytest.raises(SettingError, match="MOORING_OPERATOR_TOKENS") as caught:
        check(Settings(operator_tokens=(token,)))
    assert token not in str(caught.value)


def test_no_repr_of_the_settings_shows_a_token() -> None:
    settings = Settings(operator_tokens=("hunter2",))
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in f"{settings}"
    assert "hunter2" not in repr(settings.__rich_repr__())


def test_a_key_that_is_none_stops_the_start_and_is_not_repeated() -> None:
    with pytest.raises(SettingError, match="MOORING_KEY: is not base64 of 32 bytes") as caught:
        check(Settings(key=("harbor-1",)))
    assert "harbor-1" not in str(caught.value)


KEY = "A" * 43 + "="
STORE = "postgresql://mooring:hunter2@db.example:5432/mooring"


def test_a_store_in_postgresql_needs_a_key_that_all_servers_share() -> None:
    with pytest.raises(SettingError, match=r"MOORING_KEY: must be set with MOORING_STORE"):
        check(Settings(store=STORE))
    assert check(Settings(store=STORE, key=(KEY,)))


@pytest.mark.parametrize(
    "store", ["mooring.db", "mysql://a:hunter2@b/c", "postgresql://a:hunter2/2@b/c", "hunter2"]
)
def test_a_store_that_is_no_url_does_not_start_and_is_not_repeated(store: str) -> None:
    with pytest.raises(SettingError, match=r"MOORING_STORE.*postgresql://user:password@") as caught:
        check(Settings(store=store, key=(KEY,)))
    assert "hunter2" not in str(caught.value)


def test_no_repr_of_the_settings_shows_the_stores_password() -> None:
    settings = Settings(store=STORE, key=(KEY,))
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.__rich_repr__())
