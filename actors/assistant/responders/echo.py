"""The responder that needs no key: it says back what it was told, word by word."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from actors.assistant.prompt import Prompt
from actors.assistant.responders.responder import Emit, Finish, Responder
from actors.assistant.settings import AssistantSettings
from engine.clock import Clock

# A message of 64 KiB has up to 32,000 words; in pieces of more than one it still ends soon.
_MAX_PIECES: Final = 400
_WORD: Final = re.compile(r"\S+\s*|\s+")


class EchoResponder:
    """Streams the prompt's last message.

    Args:
        pause_s: how long it waits before each word.
    """

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s

    async def respond(self, prompt: Prompt, emit: Emit) -> Finish:
        """Emit the message, word by word; see `Responder.respond`."""
        words = _WORD.findall(prompt.messages[-1].content)
        step = -(-len(words) // _MAX_PIECES) or 1
        for begin in range(0, len(words), step):
            await trio.sleep(self._pause_s)
            await emit("".join(words[begin : begin + step]))
        return Finish(finish_reason="stop")


@asynccontextmanager
async def open_echo(settings: AssistantSettings, clock: Clock) -> AsyncIterator[Responder]:
    """Open the responder; it holds nothing."""
    yield EchoResponder(settings.echo_pause_s)
