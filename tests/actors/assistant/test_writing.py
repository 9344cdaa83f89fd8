"""Writing a reply: its pieces in order, gathered, and nothing waited for that is all there."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
import trio.testing

from actors.assistant.prompt import Prompt
from actors.assistant.responders.responder import Emit, Finish, ResponderError
from actors.assistant.writing import write_reply

PROMPT = Prompt(messages=())


class Paced:
    """Emits words with a pause before each, and then ends, perhaps with an error."""

    def __init__(self, words: int, pause_s: float, error: ResponderError | None = None) -> None:
        self.words = words
        self.pause_s = pause_s
        self.error = error

    async def respond(self, prompt: Prompt, emit: Emit) -> Finish:
        for number in range(self.words):
            await trio.sleep(self.pause_s)
            await emit(f"{number} ")
        if self.error is not None:
            raise self.error
        return Finish(finish_reason="stop")


async def additions(responder: Paced, add_s: float = 0.0) -> list[tuple[float, str]]:
    """Write a reply, and return when each addition was made, and of what."""
    began, added = trio.current_time(), list[tuple[float, str]]()

    async def add(text: str) -> None:
        added.append((trio.current_time() - began, text))
        await trio.sleep(add_s)

    await write_reply(responder, PROMPT, add)
    return added


def text_of(added: Sequence[tuple[float, str]]) -> list[int]:
    return [int(word) for _, text in added for word in text.split()]


def most_in_a_second(added: Sequence[tuple[float, str]]) -> int:
    times = [at for at, _ in added]
    return max(sum(at <= other < at + 1 for other in times) for at in times)


@pytest.mark.parametrize("pause_s", [0.0, 0.001, 0.02, 0.05, 0.0527, 0.3])
async def test_never_more_than_twenty_additions_fall_into_a_second(
    pause_s: float, autojump_clock: trio.testing.MockClock
) -> None:
    for words in (1, 19, 20, 21, 400):
        added = await additions(Paced(words, pause_s))
        assert text_of(added) == list(range(words))
        assert most_in_a_second(added) <= 20


async def test_a_reply_that_is_over_waits_for_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    began = trio.current_time()
    added = await additions(Paced(30, 0.0), add_s=0.01)
    assert text_of(added) == list(range(30))
    # The first word, and then all the others, which were there when it had been added.
    assert [at for at, _ in added] == pytest.approx([0.0, 0.01])
    assert trio.current_time() - began == pytest.approx(0.02)


async def test_what_was_emitted_before_an_error_is_added_first(
    autojump_clock: trio.testing.MockClock,
) -> None:
    added = list[str]()

    async def add(text: str) -> None:
        added.append(text)

    with pytest.raises(ResponderError, match="out of order"):
        await write_reply(Paced(3, 0.01, ResponderError("out of order")), PROMPT, add)
    assert "".join(added) == "0 1 2 "
