from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.partner.tenants.opaque_token import make_token, parse_token
from engine import SeededClock

TENANT = str(uuid.UUID(int=7))


def test_a_token_leads_to_its_tenant_and_shows_nothing_else() -> None:
    token = make_token("api", TENANT, SeededClock(1))
    assert parse_token(token.text, "api") == token
    assert token.text not in repr(token)
    assert token.secret.hex() not in repr(token)


def test_an_exchanged_token_keeps_its_locator_and_has_another_secret() -> None:
    clock = SeededClock(1)
    first = make_token("api", TENANT, clock)
    second = first.exchanged(clock)
    assert second.locator_digest == first.locator_digest
    assert second.secret_digest != first.secret_digest


@given(at=st.integers(0, 90), letter=st.sampled_from("AZaz09-_=é +/"))
def test_one_token_has_one_text(at: int, letter: str) -> None:
    token = make_token("web", TENANT, SeededClock(1))
    changed = token.text[:at] + letter + token.text[at + 1 :]
    found = parse_token(changed, "web")
    assert found is None or (found.text == changed and (found == token) == (changed == token.text))


@pytest.mark.parametrize("text", ["", "vprt_", "vpws_", "vprt_" + "A" * 85, "vprt_" + "A" * 87])
def test_what_no_token_can_be_is_none(text: str) -> None:
    assert parse_token(text, "api") is None


def test_a_token_of_one_kind_is_none_of_the_other() -> None:
    assert parse_token(make_token("api", TENANT, SeededClock(1)).text, "web") is None
