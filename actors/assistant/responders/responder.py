"""What writes replies: the interface, and how writing one can fail.

Laws of this file: a responder knows prompts and text, and neither conversations nor logs. It keeps
nothing between two replies, writes any number at once, and leaves nothing behind when it is
cancelled. No error's message holds a secret: it is shown to whoever reads the conversation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias

import msgspec

from actors.assistant.prompt import Prompt
from actors.assistant.records import Usage
from engine.errors import MooringError

Emit: TypeAlias = Callable[[str], Awaitable[None]]


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """How a reply ended: why, in the model's own word, and what it cost, if that is known."""

    finish_reason: str | None = None
    usage: Usage | None = None


class ResponderUnusable(MooringError):
    """The settings name a responder that they do not let work.

    Attributes:
        setting: the field of `AssistantSettings` that is wrong, as `openai_url`.
    """

    def __init__(self, setting: str, problem: str) -> None:
        super().__init__(f"{setting} {problem}")
        self.setting = setting
        self.problem = problem


class Responder(Protocol):
    """Something that writes replies."""

    async def respond(self, prompt: Prompt, emit: Emit) -> Finish:
        """Write the reply to the prompt's last message.

        Args:
            emit: called with each piece of text, in order, none of them empty; the next piece is
                not read before it returns. What it raises ends the reply and comes out of here.

        Returns:
            once the reply is whole. Until then what was emitted is a part of it.

        Raises:
            ResponderError: there will be no more text; its message says why.
        """
        ...


class ResponderError(MooringError):
    """A reply could not be written, or not to its end."""


class ProviderUnreachable(ResponderError):
    """The model server could not be asked: no connection, or none that held until it answered."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"The model server could not be reached: {cause}")
        self.cause = cause


class ProviderRefused(ResponderError):
    """The model server said no.

    Attributes:
        status: the HTTP status; None when it said so in the middle of a reply.
        reason: its own words, shortened; None when it gave none.
        retry_after_s: when it wants to be asked again, if it said so.
        retryable: asking again may help.
    """

    def __init__(
        self,
        status: int | None,
        reason: str | None,
        *,
        retry_after_s: float | None = None,
        retryable: bool = False,
    ) -> None:
        said = "failed" if status is None else f"answered {status}"
        super().__init__(
            f"The model server {said}: {reason}" if reason else f"The model server {said}"
        )
        self.status = status
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.retryable = retryable


class ProviderTooSlow(ResponderError):
    """The model server did not do `what` within its time."""

    def __init__(self, what: str, timeout_s: float) -> None:
        super().__init__(f"The model server did not {what} within {timeout_s:g} s")
        self.what = what
        self.timeout_s = timeout_s


class ReplyCut(ResponderError):
    """The model server's answer ended before the reply did."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"The model server's answer was cut off: {cause}")
        self.cause = cause


class ReplyGarbled(ResponderError):
    """The model server answered with something that is no stream of a reply."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"The model server's answer cannot be read: {reason}")
        self.reason = reason


class ReplyWithheld(ResponderError):
    """The model ended the reply without finishing it; `finish_reason` is its word for why."""

    def __init__(self, finish_reason: str) -> None:
        super().__init__(f"The model did not finish its reply: {finish_reason}")
        self.finish_reason = finish_reason
