from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.partner import FieldInvalid
from actors.partner.tenants.emails import Emails, normalise
from engine import SeededClock
from engine.seal import MasterKey, SealBroken, Sealer

OLD, NEW = MasterKey(b"o" * 32), MasterKey(b"n" * 32)


def emails(*keys: MasterKey) -> Emails:
    return Emails(Sealer(keys, SeededClock()))


@pytest.mark.parametrize(
    ("text", "email"),
    [
        ("ada@example.com", "ada@example.com"),
        (" ADA@Example.COM\n", "ada@example.com"),
        ("ada+tag@mail.example.co.uk", "ada+tag@mail.example.co.uk"),
        ("ａｄａ@example.com", "ada@example.com"),
        ("straße@bücher.example", "strasse@bücher.example"),
        ("o'brien@localhost", "o'brien@localhost"),
    ],
)
def test_an_address_has_one_spelling(text: str, email: str) -> None:
    assert normalise(text) == email
    assert normalise(email) == email


@pytest.mark.parametrize(
    "text",
    [
        *("", "@", "a@", "@b", "a b@c.d", "a@b c.d", "a@b@c.d", "a@-b.c", "a@b..c", "a@.b"),
        *("a\0@b.c", "a@b.c\0", "a@b.c\u202e", "a\u200b@b.c", "<a@b.c>", "a,b@c.d", "a@[::1]"),
        *("a@b.c/x", "x" * 65 + "@b.c", "a@" + "b." * 200 + "c", "\ud800@b.c", "a@\ud800.c"),
    ],
)
def test_what_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(FieldInvalid, match=r"^email: "):
        normalise(text)


@given(st.text(max_size=80))
def test_normalising_is_done_once(text: str) -> None:
    try:
        email = normalise(text)
    except FieldInvalid:
        return
    assert normalise(email) == email


def test_an_address_is_found_after_the_master_key_was_replaced() -> None:
    before = emails(OLD).digests("ada@example.com")[0]
    after = emails(NEW, OLD).digests("ada@example.com")
    assert before in after
    assert after[0] != before


def test_a_sealed_address_opens_for_its_own_account_only() -> None:
    sealed = emails(NEW).seal("ada@example.com", tenant_id="t1", user_id="u1")
    assert b"ada" not in sealed
    assert emails(NEW).open(sealed, tenant_id="t1", user_id="u1") == "ada@example.com"
    with pytest.raises(SealBroken):
        emails(NEW).open(sealed, tenant_id="t1", user_id="u2")
