"""A conversation driven without an actor: decide, evolve, keep the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from actors.assistant import (
    AddText,
    Command,
    CompleteReply,
    Conversation,
    ConversationEvent,
    Create,
    FailReply,
    Message,
    PostMessage,
    StartReply,
    decide,
    evolve,
    type_of,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


class Dialogue:
    """One conversation, opened; ids count up, and time passes only when told."""

    def __init__(self, **fields: Any) -> None:
        self.now = START
        self.state: Conversation | None = None
        self.log: list[ConversationEvent] = []
        self._ids = 0
        self.ask(Create(session_id="s1", business_id="B1", user_id="u1", **fields))

    @property
    def it(self) -> Conversation:
        assert self.state is not None
        return self.state

    @property
    def types(self) -> list[str]:
        return [type_of(event) for event in self.log]

    def ask(self, command: Command) -> list[ConversationEvent]:
        events = decide(self.state, command, self.now)
        for event in events:
            self.state = evolve(self.state, event)
        self.log += events
        return events

    def wait(self, **time: float) -> None:
        self.now += timedelta(**time)

    def post(self, content: str = "hello", **fields: Any) -> list[ConversationEvent]:
        self._ids += 1
        return self.ask(
            PostMessage(
                message_id=f"m{self._ids}", reply_id=f"r{self._ids}", content=content, **fields
            )
        )

    def start(self) -> Message:
        """Begin the next reply in line, and return it."""
        assert self.it.next_reply is not None
        self.ask(StartReply(reply_id=self.it.next_reply.reply_id))
        return self.running

    @property
    def running(self) -> Message:
        assert self.it.running is not None
        return self.it.running.message

    @property
    def attempt(self) -> int:
        assert self.it.running is not None
        return self.it.running.attempt

    def add(self, text: str) -> list[ConversationEvent]:
        reply_id = self.running.message_id
        return self.ask(AddText(reply_id=reply_id, attempt=self.attempt, text=text))

    def complete(self, **fields: Any) -> list[ConversationEvent]:
        reply_id = self.running.message_id
        return self.ask(CompleteReply(reply_id=reply_id, attempt=self.attempt, **fields))

    def fail(self, error: str = "no") -> list[ConversationEvent]:
        reply_id = self.running.message_id
        return self.ask(FailReply(reply_id=reply_id, attempt=self.attempt, error=error))

    def answer(self, text: str) -> Message:
        """Write the next reply in line whole, and return it."""
        self.start()
        self.add(text)
        self.complete()
        return self.it.recent[-1]

    def said(self) -> list[tuple[str, str, str]]:
        """Return role, content and status of the recent messages, by `seq`."""
        recent = sorted(self.it.recent, key=lambda message: message.seq)
        return [(it.role, it.content, it.status) for it in recent]


def replayed(log: list[ConversationEvent]) -> Conversation:
    state: Conversation | None = None
    for event in log:
        state = evolve(state, event)
    assert state is not None
    return state
