"""The protocol of `/chat/completions` with `stream: true`: what is asked, what is answered.

Laws of this file: pure. What it needs must be as the protocol says; what it does not know is let
through, since every provider adds something.

Source: OpenAI's API reference, "Chat Completions" and "Streaming".
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from actors.assistant.prompt import Prompt
from actors.assistant.records import Usage
from actors.assistant.responders.responder import (
    Finish,
    ProviderRefused,
    ReplyGarbled,
    ReplyWithheld,
)
from actors.assistant.responders.sse import ServerSentEvent

MAX_REASON_CHARS: Final = 500

# Ends that leave the reply unfinished; "length" is none of them: what came is what was to be had.
_WITHHELD: Final = frozenset({"content_filter", "tool_calls", "function_call", "error"})
_KEY_LIKE: Final = re.compile(r"\bsk-[\w*.-]{4,}")
_MASKED: Final = "***"
_CUT_OUT: Final = "[key]"
_UNPAID: Final = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


def encode_request(model: str, prompt: Prompt) -> bytes:
    """Return the body of the request for a reply."""
    return msgspec.json.encode(
        {
            "model": model,
            "messages": prompt.messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    )


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None  # the model's words too, in place of content


class _Choice(msgspec.Struct, frozen=True):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, frozen=True):
    choices: list[_Choice] | None = None
    model: str | None = None
    usage: Any = None
    error: Any = None


class _Tokens(msgspec.Struct, frozen=True):
    prompt_tokens: Annotated[int, Meta(ge=0, lt=2**53)]
    completion_tokens: Annotated[int, Meta(ge=0, lt=2**53)]


class CompletionReader:
    """Reads the events of one reply.

    Args:
        secret: what must not be in an error's words.

    Attributes:
        done: the reply has been read to its end.
    """

    def __init__(self, secret: str | None) -> None:
        self.done = False
        self._secret = secret
        self._finish_reason: str | None = None
        self._model: str | None = None
        self._tokens: _Tokens | None = None

    @property
    def is_whole(self) -> bool:
        """Tell whether the model has said that it is finished: no text follows."""
        return self.done or self._finish_reason is not None

    def feed(self, event: ServerSentEvent) -> str:
        """Return the text that an event adds; mostly some, often none.

        Raises:
            ProviderRefused: the event says that the provider has failed.
            ReplyGarbled: the event is none of the protocol's.
        """
        if self.done:
            return ""
        if event.data.strip() == "[DONE]":
            self.done = True
            return ""
        chunk = _Chunk(error=True) if event.type == "error" else _decode(event.data)
        if chunk.error is not None:
            raise ProviderRefused(None, reason_in(event.data.encode(), self._secret))
        self._model = chunk.model or self._model
        self._tokens = _tokens(chunk.usage) or self._tokens
        return "".join(self._text(choice) for choice in chunk.choices or () if choice.index == 0)

    def finish(self) -> Finish:
        """Return how the reply ended, once it is whole.

        Raises:
            ReplyWithheld: the model was kept from finishing it.
        """
        if self._finish_reason in _WITHHELD:
            raise ReplyWithheld(self._finish_reason)
        usage = None
        if self._tokens is not None:
            usage = Usage(
                prompt_tokens=self._tokens.prompt_tokens,
                completion_tokens=self._tokens.completion_tokens,
                model=self._model,
            )
        return Finish(finish_reason=self._finish_reason, usage=usage)

    def _text(self, choice: _Choice) -> str:
        self._finish_reason = choice.finish_reason or self._finish_reason
        if choice.delta is None:
            return ""
        return choice.delta.content or choice.delta.refusal or ""


def reason_in(body: bytes, secret: str | None) -> str | None:
    """Return the words for people in the body of an error; None when there are none.

    Understands the shapes in use: `error.message`, `error`, `message`, `detail`, and plain text.

    Args:
        secret: is cut out, as is what looks like a key or like a masked one: providers repeat
            the key that they refuse.
    """
    found = _parsed(body)
    for name in ("error", "message", "detail"):
        if isinstance(found, dict) and name in found:
            found = found[name]
    if not isinstance(found, str) or found.lstrip().startswith("<"):
        return None
    return without_keys(found, secret)[:MAX_REASON_CHARS] or None


def without_keys(text: str, secret: str | None) -> str:
    """Return the words of `text` without the secret and without what looks like a key.

    In linear time: the text is somebody else's, and this runs on the loop.
    """
    if secret is not None:
        text = text.replace(secret, _CUT_OUT)
    words = _KEY_LIKE.sub(_CUT_OUT, text).split()
    return " ".join(_CUT_OUT if _MASKED in word else word for word in words)


def is_unpaid(body: bytes) -> bool:
    """Return whether an error says that there is no credit, which asking again won't bring."""
    found = _parsed(body)
    error = found.get("error") if isinstance(found, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return isinstance(code, str) and code in _UNPAID


def _parsed(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return body.decode(errors="replace")


def _decode(data: str) -> _Chunk:
    try:
        return msgspec.json.decode(data, type=_Chunk)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ReplyGarbled("an event is not a piece of a completion") from None


def _tokens(usage: Any) -> _Tokens | None:
    # A count that makes no sense is not worth a reply.
    try:
        return msgspec.convert(usage, _Tokens)
    except msgspec.ValidationError:
        return None
