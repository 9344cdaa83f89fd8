"""What a conversation does about its replies.

Laws of this file: those of `decision.py`. A reply moves from the line to running to one end:

    in line --StartReply--> running --CompleteReply--> complete
       |                     |  ^ \\--FailReply, too long--> failed
       |                     |  \\--Recover(resume)--/ \\--Recover--> interrupted
       \\------CancelReply----+--> cancelled

Every other pair of state and command changes nothing.
"""

from __future__ import annotations

from typing import Final, assert_never

from msgspec.structs import replace

from actors.assistant.bounds import (
    MAX_ATTEMPTS,
    MAX_ERROR_CHARS,
    MAX_LABEL_CHARS,
    MAX_REPLY_CHARS,
    clean,
)
from actors.assistant.commands import (
    AddText,
    CancelReply,
    CompleteReply,
    FailReply,
    Recover,
    ReplyCommand,
    StartReply,
)
from actors.assistant.conversation import Conversation, QueuedReply, RunningReply
from actors.assistant.events import (
    ConversationEvent,
    Delta,
    ReplyCancelled,
    ReplyCompleted,
    ReplyDelta,
    ReplyFailed,
    ReplyStarted,
)
from actors.assistant.records import Message, MessageStatus, Usage

INTERRUPTED: Final = "The server stopped while this reply was being written"
TOO_LONG: Final = f"The reply is longer than {MAX_REPLY_CHARS} characters"


def decide_reply(state: Conversation, command: ReplyCommand, at: str) -> list[ConversationEvent]:
    """Return the events that a command about a reply causes."""
    match command:
        case StartReply():
            return _start(state, command.reply_id, at)
        case CancelReply():
            meant = state.unfinished[:1] if command.reply_id is None else (command.reply_id,)
            return [cancel(state, it, at) for it in meant if it in state.unfinished]
        case Recover():
            return [] if state.running is None else [_recover(state, state.running, command, at)]
        case AddText() | CompleteReply() | FailReply():
            running = state.running
            if running is None or _place(running) != (command.reply_id, command.attempt):
                return []
            return _go_on(state, running.message, command, at)
        case _:
            assert_never(command)


def cancel(state: Conversation, reply_id: str, at: str) -> ReplyCancelled:
    """Return the end of a reply that runs or is in line; its text so far is kept."""
    seq = state.seq + 1
    if state.running is not None and state.running.message.message_id == reply_id:
        message = replace(state.running.message, status="cancelled", updated_seq=seq)
    else:
        queued = next(queued for queued in state.queue if queued.reply_id == reply_id)
        message = _new(state, queued, at, status="cancelled")
    return ReplyCancelled(seq=seq, at=at, data=message)


def _start(state: Conversation, reply_id: str, at: str) -> list[ConversationEvent]:
    queued = state.next_reply
    if queued is None or queued.reply_id != reply_id:
        return []
    message = _new(state, queued, at, status="streaming")
    return [ReplyStarted(seq=message.seq, at=at, data=message)]


def _go_on(
    state: Conversation, message: Message, command: AddText | CompleteReply | FailReply, at: str
) -> list[ConversationEvent]:
    seq = state.seq + 1
    match command:
        case AddText():
            return _add(message, command.text, seq, at)
        case CompleteReply():
            return [_complete(message, command, seq, at)]
        case FailReply():
            return [_fail(message, "failed", command.error, seq, at)]
        case _:
            assert_never(command)


def _add(message: Message, text: str, seq: int, at: str) -> list[ConversationEvent]:
    if not text:
        return []
    if len(message.content) + len(text) > MAX_REPLY_CHARS:
        return [_fail(message, "failed", TOO_LONG, seq, at)]
    delta = Delta(
        message_id=message.message_id,
        message_seq=message.seq,
        text=clean(text, MAX_REPLY_CHARS),
    )
    return [ReplyDelta(seq=seq, at=at, data=delta)]


def _complete(message: Message, command: CompleteReply, seq: int, at: str) -> ReplyCompleted:
    completed = replace(
        message,
        status="complete",
        updated_seq=seq,
        finish_reason=_label(command.finish_reason),
        usage=_usage(command.usage),
    )
    return ReplyCompleted(seq=seq, at=at, data=completed)


def _fail(message: Message, status: MessageStatus, error: str, seq: int, at: str) -> ReplyFailed:
    failed = replace(message, status=status, updated_seq=seq, error=clean(error, MAX_ERROR_CHARS))
    return ReplyFailed(seq=seq, at=at, data=failed)


def _recover(
    state: Conversation, running: RunningReply, command: Recover, at: str
) -> ConversationEvent:
    seq = state.seq + 1
    if not command.resume or running.attempt >= MAX_ATTEMPTS:
        return _fail(running.message, "interrupted", INTERRUPTED, seq, at)
    anew = replace(running.message, content="", updated_seq=seq)
    return ReplyStarted(seq=seq, at=at, data=anew)


def _place(running: RunningReply) -> tuple[str, int]:
    return running.message.message_id, running.attempt


def _new(state: Conversation, queued: QueuedReply, at: str, *, status: MessageStatus) -> Message:
    return Message(
        message_id=queued.reply_id,
        session_id=state.session.session_id,
        seq=state.seq + 1,
        role="assistant",
        content="",
        status=status,
        metadata={},
        created_at=at,
        updated_seq=state.seq + 1,
        reply_to=queued.reply_to,
    )


def _label(text: str | None) -> str | None:
    return None if text is None else clean(text, MAX_LABEL_CHARS)


def _usage(usage: Usage | None) -> Usage | None:
    return None if usage is None else replace(usage, model=_label(usage.model))
