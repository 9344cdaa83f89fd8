from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.assistant import (
    Close,
    FieldInvalid,
    Update,
    decode_event,
    decode_snapshot,
    encode_event,
    encode_snapshot,
)
from actors.assistant.bounds import (
    MAX_CONTENT_BYTES,
    MAX_METADATA_BYTES,
    MAX_METADATA_DEPTH,
    MAX_QUEUED,
    MAX_RECENT,
    MAX_RECENT_WEIGHT,
    MAX_REPLY_CHARS,
)
from actors.assistant.keys import MAX_KEYS
from tests.actors.assistant.dialogue import Dialogue, replayed

COMMIT_BYTES = 8 * 1024 * 1024  # what a store takes at once
COMMIT_EVENTS = 1_000
WIDE = "\U0001f6a2"  # four bytes in UTF-8


def nested(depth: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(depth - 1):
        value = [value]
    return {"a": value}


@pytest.mark.parametrize("content", ["", " \n", "a\0b", "a\ud800b", WIDE * 16_385])
def test_content_that_breaks_its_bounds_is_refused(content: str) -> None:
    talk = Dialogue()
    with pytest.raises(FieldInvalid) as caught:
        talk.post(content)
    assert caught.value.field == "content"
    assert talk.types == ["session.created"]


def test_content_is_measured_in_bytes_of_utf_8() -> None:
    assert Dialogue().post(WIDE * (MAX_CONTENT_BYTES // 4))


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": "x" * MAX_METADATA_BYTES},
        {"a\0": 1},
        {"a": ["\ud800"]},
        nested(MAX_METADATA_DEPTH + 1),
    ],
)
def test_metadata_that_breaks_its_bounds_is_refused(metadata: dict[str, Any]) -> None:
    talk = Dialogue()
    for ask in (
        lambda: talk.post(metadata=metadata),
        lambda: talk.ask(Update(metadata=metadata)),
        lambda: Dialogue(metadata=metadata),
    ):
        with pytest.raises(FieldInvalid) as caught:
            ask()
        assert caught.value.field == "metadata"


def test_metadata_within_its_bounds_comes_back_as_it_was() -> None:
    metadata = nested(MAX_METADATA_DEPTH - 1) | {"s": "x" * 16_000, "n": None, "f": 1.5, "u": "ü"}
    talk = Dialogue(metadata=metadata)
    assert talk.it.session.metadata == metadata


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=9), _JSON, max_size=4))
@example({"n": 2**64})
@example({"n": [-(2**63) - 1]})
def test_whatever_metadata_says_it_is_refused_or_kept_as_it_was(metadata: dict[str, Any]) -> None:
    talk = Dialogue()
    with suppress(FieldInvalid):
        talk.post(metadata=metadata, key="k")
        assert decode_snapshot(encode_snapshot(talk.it)) == talk.it
        assert decode_event(encode_event(talk.log[-1])) == talk.log[-1]
        assert talk.post(metadata=metadata, key="k") == []


@pytest.mark.parametrize("bad", ["", "x" * 129, "a\0", "a\nb", "a\x7f", "\ud800"])
@pytest.mark.parametrize("name", ["location_id", "session_type"])
def test_ids_that_break_their_bounds_are_refused(name: str, bad: str) -> None:
    fields: dict[str, Any] = {name: bad}
    for ask in (lambda: Dialogue(**fields), lambda: Dialogue().ask(Update(**fields))):
        with pytest.raises(FieldInvalid) as caught:
            ask()
        assert caught.value.field == {"location_id": "locationId"}.get(name, "sessionType")


@pytest.mark.parametrize("key", ["", "x" * 129, "a\nb"])
def test_keys_that_break_their_bounds_are_refused(key: str) -> None:
    with pytest.raises(FieldInvalid) as caught:
        Dialogue().post(key=key)
    assert caught.value.field == "Idempotency-Key"


@pytest.mark.parametrize("title", ["x" * 513, "a\0", "\udfff"])
def test_titles_that_break_their_bounds_are_refused(title: str) -> None:
    with pytest.raises(FieldInvalid) as caught:
        Dialogue().ask(Update(title=title))
    assert caught.value.field == "title"


def test_the_recent_messages_are_bounded_in_number_and_weight() -> None:
    talk = Dialogue()
    for _ in range(MAX_RECENT):
        talk.post("q")
        talk.answer("a")
    assert len(talk.it.recent) == MAX_RECENT
    for _ in range(8):
        talk.post("x" * 60_000, metadata={"a": "x" * 16_000})
        talk.answer("a")
    assert sum(len(it.content) for it in talk.it.recent) <= MAX_RECENT_WEIGHT
    assert talk.it.recent[-1].content == "a"
    assert replayed(talk.log) == talk.it


def test_messages_that_wait_for_a_reply_are_kept_whatever_they_weigh() -> None:
    talk = Dialogue()
    for _ in range(8):
        talk.post("x" * 65_536)
    talk.start()
    talk.post("last")
    waiting = {"m1", *(queued.reply_to for queued in talk.it.queue)}
    assert waiting <= {message.message_id for message in talk.it.recent}


def test_the_fullest_conversation_there_can_be_fits_into_one_commit() -> None:
    talk = Dialogue(title=WIDE * 512, metadata={"a": WIDE * 4_000})
    for number in range(MAX_KEYS):
        talk.post(key=f"{number:0128}")
        talk.answer("a")
    for _ in range(4):
        talk.post("q")
        talk.answer(WIDE * 65_536)
    talk.post("q")
    talk.start()
    talk.add(WIDE * MAX_REPLY_CHARS)
    for _ in range(25):
        talk.post(WIDE * 16_384, metadata={"a": WIDE * 1_000})
    for _ in range(MAX_QUEUED - 25):
        talk.post("q")
    snapshot = encode_snapshot(talk.it)
    assert len(snapshot) < COMMIT_BYTES // 2
    assert decode_snapshot(snapshot) == talk.it
    events = talk.ask(Close())
    assert len(events) <= COMMIT_EVENTS


def test_a_snapshot_that_cannot_be_read_is_no_snapshot() -> None:
    talk = Dialogue()
    whole = encode_snapshot(talk.it)
    other_form = msgspec.msgpack.encode([2, msgspec.msgpack.decode(whole)[1]])
    for body in (b"", b"\xc1", whole[:-1], other_form, b"[1]"):
        assert decode_snapshot(body) is None
    assert decode_snapshot(whole) == talk.it
