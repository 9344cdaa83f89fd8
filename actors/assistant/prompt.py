"""What a model is asked: a conversation's history, made to fit.

Laws of this file: pure. A prompt ends with the message to be answered. It has turns in the order of
the users' messages, each followed by its reply, whatever was posted while another reply was being
written. What does not fit is left out from the oldest on, and never the message to be answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from actors.assistant.records import Message, Role
from actors.assistant.settings import AssistantSettings

MAX_PROMPT_BYTES: Final = 256 * 1024  # of the history, as UTF-8


class PromptMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One message as models take it."""

    role: Role
    content: str


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """What a responder gets; the last message is the one to be answered."""

    messages: tuple[PromptMessage, ...]


def build_prompt(
    history: Iterable[Message],
    *,
    reply_to: str,
    session_type: str,
    settings: AssistantSettings,
) -> Prompt:
    """Return the prompt for the reply to a message.

    Replies that failed or have no text are left out; the part that somebody saw of one that was
    cancelled or interrupted is not.

    Args:
        history: messages in any order; `reply_to` is among them.
        session_type: what chooses the system prompt, which comes first and counts for nothing.

    Raises:
        ValueError: the message to be answered is not in the history.
    """
    turns = _turns(tuple(history), reply_to)
    messages = _newest(turns, settings.context_messages)
    system = settings.system_prompts.get(session_type)
    if system:
        messages.insert(0, PromptMessage(role="system", content=system))
    return Prompt(messages=tuple(messages))


def _turns(history: tuple[Message, ...], reply_to: str) -> list[Message]:
    replies = {message.reply_to: message for message in history if message.role == "assistant"}
    turns = []
    for message in sorted(history, key=lambda message: message.seq):
        if message.role == "assistant":
            continue
        turns.append(message)
        if message.message_id == reply_to:
            return turns
        reply = replies.get(message.message_id)
        if reply is not None and _is_said(reply):
            turns.append(reply)
    raise ValueError(f"message {reply_to} is not in its history")


def _is_said(reply: Message) -> bool:
    return reply.status in ("complete", "cancelled", "interrupted") and not (
        reply.content == "" or reply.content.isspace()
    )


def _newest(turns: list[Message], limit: int) -> list[PromptMessage]:
    """Return the newest turns that fit, not beginning with a reply."""
    kept: list[Message] = []
    size = 0
    for message in reversed(turns[-limit:]):
        size += len(message.content.encode())
        if kept and size > MAX_PROMPT_BYTES:
            break
        kept.append(message)
    while kept[-1].role == "assistant":
        kept.pop()
    return [PromptMessage(role=it.role, content=it.content) for it in reversed(kept)]
