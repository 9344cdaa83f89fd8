from __future__ import annotations

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.assistant import AssistantSettings, Prompt, PromptMessage
from actors.assistant.responders import Finish, open_responder
from engine.clock import SeededClock


async def hear(content: str, pause_s: float) -> list[str]:
    pieces: list[str] = []

    async def emit(text: str) -> None:
        pieces.append(text)

    prompt = Prompt(messages=(PromptMessage(role="user", content=content),))
    settings = AssistantSettings(echo_pause_s=pause_s)
    async with open_responder(settings, SeededClock()) as responder:
        assert await responder.respond(prompt, emit) == Finish(finish_reason="stop")
    return pieces


async def test_it_says_word_by_word_what_it_was_told(autojump_clock: MockClock) -> None:
    assert await hear(" two  words\n", 0.5) == [" ", "two  ", "words\n"]
    assert trio.current_time() == 1.5


@given(st.text())
def test_no_letter_is_lost_and_no_piece_is_empty(content: str) -> None:
    pieces = trio.run(hear, content, 0)
    assert "".join(pieces) == content
    assert all(pieces)


async def test_a_long_message_ends_in_bounded_time(autojump_clock: MockClock) -> None:
    content = "a " * 32_768
    pieces = await hear(content, 0.05)
    assert "".join(pieces) == content
    assert trio.current_time() < 21
