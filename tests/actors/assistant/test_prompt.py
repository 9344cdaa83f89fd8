from __future__ import annotations

import pytest

from actors.assistant import AssistantSettings, CancelReply, Recover, build_prompt
from actors.assistant.prompt import MAX_PROMPT_BYTES
from tests.actors.assistant.dialogue import Dialogue


def prompt(talk: Dialogue, reply_to: str, **fields: object) -> list[tuple[str, str]]:
    built = build_prompt(
        talk.it.recent,
        reply_to=reply_to,
        session_type="general",
        settings=AssistantSettings(**fields),  # type: ignore[arg-type]
    )
    return [(message.role, message.content) for message in built.messages]


def test_each_message_is_followed_by_its_reply_though_it_came_while_others_were_written() -> None:
    talk = Dialogue()
    talk.post("q1")
    talk.start()
    talk.post("q2")
    talk.post("q3")
    talk.add("a1")
    talk.complete()
    talk.start()
    assert prompt(talk, "m2") == [("user", "q1"), ("assistant", "a1"), ("user", "q2")]
    talk.add("a2")
    talk.complete()
    talk.start()
    assert prompt(talk, "m3")[-3:] == [("user", "q2"), ("assistant", "a2"), ("user", "q3")]


def test_failed_and_empty_replies_are_left_out_and_partial_ones_that_were_seen_are_not() -> None:
    talk = Dialogue()
    for end in ("fail", "empty", "cancel", "crash"):
        talk.post(end)
        talk.start()
        talk.add("" if end == "empty" else f"text before {end}")
        if end == "fail":
            talk.fail()
        elif end == "empty":
            talk.complete()
        else:
            talk.ask(CancelReply() if end == "cancel" else Recover())
    talk.post("now")
    assert prompt(talk, "m5") == [
        ("user", "fail"),
        ("user", "empty"),
        ("user", "cancel"),
        ("assistant", "text before cancel"),
        ("user", "crash"),
        ("assistant", "text before crash"),
        ("user", "now"),
    ]


def test_the_oldest_messages_are_left_out_and_a_prompt_never_begins_with_a_reply() -> None:
    talk = Dialogue()
    for number in range(4):
        talk.post(f"q{number}")
        talk.answer(f"a{number}")
    talk.post("now")
    whole = prompt(talk, "m5", context_messages=5)
    assert [content for _, content in whole] == ["q2", "a2", "q3", "a3", "now"]
    assert prompt(talk, "m5", context_messages=4) == whole[2:]
    assert prompt(talk, "m5", context_messages=1) == [("user", "now")]


def test_a_prompt_is_bounded_in_bytes_and_always_holds_the_message_to_be_answered() -> None:
    talk = Dialogue()
    for _ in range(3):
        talk.post("ü" * 32_768)
        talk.answer("ä" * 32_768)
    talk.post("ö" * 32_768)
    contents = [content for _, content in prompt(talk, "m4")]
    assert contents[-1][0] == "ö"
    assert sum(len(content.encode()) for content in contents) <= MAX_PROMPT_BYTES
    assert len(contents) == 3


def test_the_system_prompt_is_that_of_the_session_type_and_costs_no_message() -> None:
    talk = Dialogue()
    talk.post("q")
    prompts = {"general": "Be kind.", "billing": "Be exact."}
    assert prompt(talk, "m1", system_prompts=prompts, context_messages=1) == [
        ("system", "Be kind."),
        ("user", "q"),
    ]
    assert prompt(talk, "m1", system_prompts={"billing": "Be exact."}) == [("user", "q")]


def test_a_prompt_for_a_message_that_is_not_there_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="not in its history"):
        prompt(Dialogue(), "m1")
