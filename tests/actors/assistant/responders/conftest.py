from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import trio.testing

from actors.assistant import AssistantSettings, Prompt, PromptMessage
from actors.assistant.responders import Finish, Responder, open_responder
from engine.clock import SeededClock
from tests.actors.assistant.responders.fake_model_server import (
    FakeModelServer,
    open_fake_model_server,
)

PROMPT = Prompt(
    messages=(
        PromptMessage(role="system", content="Be kind."),
        PromptMessage(role="user", content="Grüße"),
    )
)
KEY = "sk-test-1234567890"


class Listener:
    """Hears a reply, and what it ended with."""

    def __init__(self, responder: Responder) -> None:
        self.responder = responder
        self.pieces: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    async def hear(self) -> Finish:
        return await self.responder.respond(PROMPT, self._emit)

    async def _emit(self, text: str) -> None:
        await trio.lowlevel.checkpoint()
        self.pieces.append(text)


@pytest.fixture
def virtual_time() -> trio.testing.MockClock:
    """Time that jumps when nothing goes on, yet not past what a loopback socket has to deliver."""
    return trio.testing.MockClock(autojump_threshold=0.02)


@pytest.fixture
async def server() -> AsyncIterator[FakeModelServer]:
    async with open_fake_model_server() as opened:
        yield opened


Listen = Callable[..., AbstractAsyncContextManager[Listener]]


@pytest.fixture
def listen(
    server: FakeModelServer,
    monkeypatch: pytest.MonkeyPatch,
) -> Listen:
    """Opens the openai responder at the fake server; takes settings."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)

    @asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[Listener]:
        given = {
            "responder": "openai",
            "openai_url": server.url,
            "openai_model": "test-model",
            "openai_key": KEY,
        }
        async with open_responder(AssistantSettings(**given | settings), SeededClock()) as it:
            yield Listener(it)

    return opened
