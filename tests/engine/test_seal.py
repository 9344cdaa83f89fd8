"""Sealed secrets: what opens them, and what does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import SeededClock
from engine.seal import KeyInvalid, KeyUnknown, MasterKey, SealBroken, Sealer

OLD, NEW = MasterKey(b"o" * 32), MasterKey(b"n" * 32)
PLACE = "browser/session_1/state"


def sealer(*keys: MasterKey) -> Sealer:
    return Sealer(keys, SeededClock())


@given(plain=st.binary(max_size=200))
def test_what_is_sealed_opens_in_its_place_and_does_not_show(plain: bytes) -> None:
    sealed = sealer(NEW).seal(plain, place=PLACE)
    assert sealer(NEW).open(sealed, place=PLACE) == plain
    assert len(plain) < 4 or plain not in sealed


def test_the_same_secret_is_never_sealed_twice_alike() -> None:
    one = sealer(NEW)
    assert one.seal(b"harbor-1", place=PLACE) != one.seal(b"harbor-1", place=PLACE)


@given(place=st.text(max_size=40).filter(lambda text: text != PLACE))
def test_a_secret_does_not_open_in_another_place(place: str) -> None:
    sealed = sealer(NEW).seal(b"harbor-1", place=PLACE)
    with pytest.raises(SealBroken):
        sealer(NEW).open(sealed, place=place)


@given(st.data())
def test_what_was_altered_or_cut_anywhere_does_not_open(data: st.DataObject) -> None:
    sealed = sealer(NEW).seal(b"harbor-1", place=PLACE)
    at = data.draw(st.integers(0, len(sealed) - 1))
    altered = sealed[:at] + bytes((sealed[at] ^ data.draw(st.integers(1, 255)),)) + sealed[at + 1 :]
    for broken in (altered, sealed[:at]):
        with pytest.raises((SealBroken, KeyUnknown)):
            sealer(NEW).open(broken, place=PLACE)


def test_after_a_rotation_the_old_key_still_opens_and_the_new_one_seals() -> None:
    before = sealer(OLD).seal(b"harbor-1", place=PLACE)
    rotated = sealer(NEW, OLD)
    assert rotated.open(before, place=PLACE) == b"harbor-1"
    assert not rotated.is_current(before)
    after = rotated.seal(b"harbor-1", place=PLACE)
    assert rotated.is_current(after)
    assert sealer(NEW).open(after, place=PLACE) == b"harbor-1"


def test_a_key_that_is_gone_is_named_by_its_id() -> None:
    sealed = sealer(OLD).seal(b"harbor-1", place=PLACE)
    with pytest.raises(KeyUnknown, match=OLD.key_id) as caught:
        sealer(NEW).open(sealed, place=PLACE)
    assert caught.value.key_id == OLD.key_id


def test_digests_need_the_key_and_name_their_purpose() -> None:
    rotated = sealer(NEW, OLD)
    text = "driver-1\0harbor-1"
    assert rotated.digest(text, purpose="login") == sealer(NEW).digest(text, purpose="login")
    assert rotated.digests(text, purpose="login")[1] == sealer(OLD).digest(text, purpose="login")
    assert rotated.digest(text, purpose="login") != rotated.digest(text, purpose="mail")


def test_a_key_is_base64_of_32_bytes_and_nothing_else() -> None:
    assert MasterKey.parse(NEW.text + "\n") == NEW
    for wrong in ("", "harbor", NEW.text[:-4], NEW.text + "AAAA", "ä" * 44):
        with pytest.raises(KeyInvalid):
            MasterKey.parse(wrong)


def test_a_keys_repr_does_not_show_it() -> None:
    shown = repr(NEW)
    assert NEW.text not in shown
    assert "nnnn" not in shown
    assert NEW.key_id in shown
