from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.assistant.responders import ReplyGarbled
from actors.assistant.responders.sse import MAX_EVENT_BYTES, EventStream, ServerSentEvent


def events_of(*chunks: bytes) -> list[ServerSentEvent]:
    stream = EventStream()
    return [event for chunk in chunks for event in stream.feed(chunk)]


def message(data: str) -> ServerSentEvent:
    return ServerSentEvent("message", data)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_ends_with_an_empty_line_whatever_ends_lines(end: bytes) -> None:
    lines = [b"data: one", b"", b"event: x", b"data:two", b"data:  three", b"", b"data", b"", b""]
    assert events_of(end.join(lines)) == [
        message("one"),
        ServerSentEvent("x", "two\n three"),
        message(""),
    ]


def test_comments_and_what_matters_only_to_reconnecting_are_passed_over() -> None:
    assert events_of(b"\xef\xbb\xbf: hello\n\nid: 7\nretry: 10\ndata: a:b\n\n") == [message("a:b")]


def test_an_event_that_has_not_ended_is_none() -> None:
    assert events_of(b"data: one\n\ndata: two\n") == [message("one")]


@given(st.lists(st.text(st.characters(exclude_characters="\r\n")), max_size=5), st.data())
def test_however_the_bytes_are_cut_the_events_are_the_same(
    texts: list[str], data: st.DataObject
) -> None:
    try:
        body = "".join(f"data: {text}\r\n\r\n" for text in texts).encode()
    except UnicodeEncodeError:
        return
    places = st.lists(st.integers(0, len(body)), max_size=20)
    cuts = sorted({0, len(body), *data.draw(places)})
    chunks = [body[begin:end] for begin, end in pairwise(cuts)]
    assert events_of(*chunks) == [message(text) for text in texts]


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_whatever_comes_is_an_event_or_an_error(chunks: list[bytes]) -> None:
    with suppress(ReplyGarbled):
        events_of(*chunks)


@pytest.mark.parametrize("chunk", [b"hello\n", b"<html>: x\n", b"data: \xff\n", b" data: x\n"])
def test_what_is_not_the_format_is_an_error(chunk: bytes) -> None:
    with pytest.raises(ReplyGarbled):
        events_of(chunk)


def test_a_line_is_bounded_though_it_never_ends() -> None:
    with pytest.raises(ReplyGarbled):
        events_of(*[b"x"] * (MAX_EVENT_BYTES + 1))


def test_an_event_is_bounded_though_its_lines_are_short() -> None:
    with pytest.raises(ReplyGarbled):
        events_of(*[b"data: xxxxxx\n"] * (MAX_EVENT_BYTES // 10))


def test_a_server_may_send_comments_for_ever() -> None:
    stream = EventStream()
    for _ in range(MAX_EVENT_BYTES // 1_000):
        assert list(stream.feed(b":" + b" still alive" * 1_000 + b"\n")) == []
    assert list(stream.feed(b"data: x\n\n")) == [message("x")]
