from __future__ import annotations

import pytest
from msgspec.structs import replace

from actors.assistant import PostMessage, alias_of, find_posted, left_early
from actors.assistant.keys import MAX_KEYS
from tests.actors.assistant.dialogue import Dialogue


def crowded() -> Dialogue:
    """A conversation in which one key more was used than it remembers."""
    talk = Dialogue()
    for number in range(MAX_KEYS + 1):
        talk.post("hi", key=f"k{number}")
        talk.answer("yes")
    return talk


def test_an_ordinary_conversation_never_asks_the_store() -> None:
    talk = Dialogue()
    talk.post("hi", key="k")
    assert not talk.it.keys.must_ask("other", "2026-01-01T00:00:00.000Z")


def test_a_key_that_leaves_early_is_handed_out_once_and_asked_for_since() -> None:
    talk = Dialogue()
    for number in range(MAX_KEYS):
        talk.post("hi", key=f"k{number}")
        talk.answer("yes")
    before = talk.it.keys
    talk.post("hi", key="one more")
    at = "2026-01-01T00:00:00.000Z"
    left = left_early(before, talk.it.keys, at)
    assert list(left) == ["k0"]
    assert left["k0"].message_id == "m1"
    assert len(talk.it.keys.records) == MAX_KEYS
    assert talk.it.keys.must_ask("k0", at)
    assert talk.it.keys.must_ask("never seen", at)
    assert not talk.it.keys.must_ask("k1", at)


def test_a_post_under_a_forgotten_key_is_not_decided_without_the_store() -> None:
    talk = crowded()
    with pytest.raises(RuntimeError):
        talk.post("hi", key="k0")


def test_a_post_under_a_forgotten_key_repeats_what_the_store_recalls() -> None:
    before = Dialogue()
    before.post("hi", key="k0")
    record = before.it.keys.records["k0"]
    talk = crowded()
    assert talk.post("hi", key="k0", recalled=record) == []
    command = PostMessage(message_id="x", reply_id="y", content="hi", key="k0", recalled=record)
    assert find_posted(talk.it, command, talk.now) == record
    assert talk.post("hi", key="fresh", recalled=None)


def test_nothing_is_asked_once_what_was_forgotten_has_expired() -> None:
    talk = crowded()
    talk.wait(days=1)
    assert talk.post("hi", key="k0")
    assert list(talk.it.keys.records) == ["k0"]


def test_what_the_store_recalls_of_an_expired_key_counts_for_nothing() -> None:
    talk = crowded()
    record = replace(talk.it.keys.records["k1"], expires_at="2026-01-01T00:00:00.000Z")
    assert talk.post("hi", key="k0", recalled=record)


def test_an_alias_keeps_conversations_and_keys_apart_and_holds_no_odd_character() -> None:
    aliases = {alias_of(session, key) for session in ("s1", "s2") for key in ("k/1", "k 1", "ü")}
    assert len(aliases) == 6
    assert all(alias.isascii() and alias.isprintable() for alias in aliases)
