"""What can be set about conversations, with the defaults of the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from actors.assistant.bounds import MAX_RECENT

_MONTH_S = 31 * 86_400.0

# Bounded above too, so that no deadline overflows and "infinity" and "nan" are refused.
PositiveSeconds: TypeAlias = Annotated[float, Meta(gt=0, le=_MONTH_S)]
# What an HTTP header can carry after "Bearer ": visible ASCII.
HeaderText: TypeAlias = Annotated[str, Meta(pattern=r"^[\x21-\x7e]+\Z", max_length=4096)]


class AssistantSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`MOORING_ASSISTANT__*`. Times are seconds. Its repr shows no key.

    Attributes:
        idle_timeout_s: after it a conversation leaves memory; it comes back on the next message.
        responder: who writes the replies: `echo` or `openai`.
        context_messages: how many messages of a conversation a prompt has at most.
        system_prompts: what a prompt begins with, by session type.
        resume_replies: begin replies anew that the server's end cut off, instead of marking them
            interrupted.
        echo_pause_s: how long `echo` waits before each word.
        openai_url: where `/chat/completions` is, as `https://api.openai.com/v1`.
        openai_key: the bearer token; None for a server that takes none.
        openai_connections: how many replies are written at once; others wait for their turn.
        openai_connect_timeout_s: for one connection, TLS included.
        openai_first_token_timeout_s: from the request to the first text.
        openai_stall_timeout_s: from one piece of a reply to the next.
        openai_reply_timeout_s: for a whole reply, with its retries and its wait for a turn.
        openai_retries: how often a request is made again while nothing of its reply has come.
    """

    idle_timeout_s: PositiveSeconds = 1800.0
    responder: Annotated[str, Meta(min_length=1, max_length=64)] = "echo"
    context_messages: Annotated[int, Meta(ge=1, le=MAX_RECENT)] = 40
    system_prompts: Mapping[str, Annotated[str, Meta(max_length=32 * 1024)]] = {}
    resume_replies: bool = False
    echo_pause_s: Annotated[float, Meta(ge=0, le=60)] = 0.05
    openai_url: Annotated[str, Meta(max_length=2048)] | None = None
    openai_key: HeaderText | None = None
    openai_model: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    openai_connections: Annotated[int, Meta(ge=1, le=1_000)] = 64
    openai_connect_timeout_s: PositiveSeconds = 10.0
    openai_first_token_timeout_s: PositiveSeconds = 60.0
    openai_stall_timeout_s: PositiveSeconds = 30.0
    openai_reply_timeout_s: PositiveSeconds = 600.0
    openai_retries: Annotated[int, Meta(ge=0, le=10)] = 3

    def __repr__(self) -> str:
        return f"AssistantSettings(responder={self.responder!r}, openai_url={self.openai_url!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("responder", self.responder), ("openai_url", self.openai_url)]
