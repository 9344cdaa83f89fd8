from __future__ import annotations

import json
from typing import Any

import pytest

from actors.assistant import Usage
from actors.assistant.responders import Finish, ProviderRefused
from actors.assistant.responders.completions import CompletionReader, is_unpaid, reason_in
from actors.assistant.responders.sse import ServerSentEvent


def event(payload: Any) -> ServerSentEvent:
    return ServerSentEvent("message", payload if isinstance(payload, str) else json.dumps(payload))


def choice(delta: Any, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta} | fields]}


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (choice({"content": "hi"}), "hi"),
        (choice({"role": "assistant", "content": ""}), ""),
        (choice({"content": None}), ""),
        (choice(None), ""),
        (choice({"refusal": "I will not"}), "I will not"),
        (choice({"content": "other"}, index=1), ""),
        ({"choices": []}, ""),
        ({"choices": None, "usage": None}, ""),
        ({"object": "something.new", "x": [1, 2]}, ""),
    ],
)
def test_the_text_of_an_event_is_what_the_first_choice_adds(payload: Any, text: str) -> None:
    assert CompletionReader(None).feed(event(payload)) == text


def test_nothing_is_read_behind_the_end() -> None:
    reader = CompletionReader(None)
    reader.feed(event(" [DONE] "))
    assert reader.done
    assert reader.feed(event("not even JSON")) == ""


@pytest.mark.parametrize("end", ["stop", "length", "eos", None])
def test_any_end_that_is_not_a_withholding_is_an_end(end: str | None) -> None:
    reader = CompletionReader(None)
    reader.feed(event(choice({}, finish_reason=end)))
    reader.feed(event("[DONE]"))
    assert reader.finish() == Finish(finish_reason=end)


def test_the_newest_usage_counts_and_a_senseless_one_does_not() -> None:
    reader = CompletionReader(None)
    for completion_tokens in (1, 2):
        usage = {"prompt_tokens": 5, "completion_tokens": completion_tokens}
        reader.feed(event({"model": "m", "choices": [], "usage": usage}))
    reader.feed(event({"choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": 3}}))
    reader.feed(event({"choices": [], "usage": "many"}))
    newest = Usage(prompt_tokens=5, completion_tokens=2, model="m")
    assert reader.finish() == Finish(usage=newest)


@pytest.mark.parametrize(
    "failure",
    [
        ServerSentEvent("error", '{"message": "overloaded"}'),
        ServerSentEvent("error", "overloaded"),
        event({"error": {"message": "overloaded"}}),
        event({"error": "overloaded"}),
    ],
)
def test_an_error_among_the_events_is_one_with_the_servers_words(failure: ServerSentEvent) -> None:
    with pytest.raises(ProviderRefused) as caught:
        CompletionReader(None).feed(failure)
    assert (caught.value.status, caught.value.reason) == (None, "overloaded")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"error": {"message": "no such model"}}', "no such model"),
        (b'{"error": "no such model"}', "no such model"),
        (b'{"message": "no such model"}', "no such model"),
        (b'{"detail": "no such model"}', "no such model"),
        (b"no such\n model", "no such model"),
        (b"<html><title>502</title>", None),
        (b'{"error": {"code": 7}}', None),
        (b'{"detail": [{"loc": []}]}', None),
        (b"", None),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[" * 100_000, "[" * 500),
        (b'{"error": {"message": "' + b"x" * 9_000 + b'"}}', "x" * 500),
    ],
)
def test_the_words_of_an_error_are_found_in_every_usual_shape(
    body: bytes, reason: str | None
) -> None:
    assert reason_in(body, None) == reason


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("bad key hunter2!", "bad key [key]!"),
        ("bad key sk-proj-abc_123,", "bad key [key],"),
        ("bad key gsk_1****89ab given", "bad key [key] given"),
        ("x" * 495 + "hunter2", "x" * 495 + "[key]"),
    ],
)
def test_no_key_is_left_in_the_words_of_an_error(words: str, shown: str) -> None:
    assert reason_in(words.encode(), "hunter2") == shown


def test_a_lack_of_credit_is_told_apart_from_a_lack_of_room() -> None:
    assert is_unpaid(b'{"error": {"code": "insufficient_quota"}}')
    assert not is_unpaid(b'{"error": {"code": "rate_limit_exceeded"}}')
    assert not is_unpaid(b'{"error": {"code": ["insufficient_quota"]}}')
    assert not is_unpaid(b"slow down")
