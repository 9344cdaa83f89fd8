"""What a conversation does when it is asked: events, or no.

Laws of this file: it awaits nothing, reads no clock, makes no ids and changes nothing; time comes
in as `now`. A refusal has no events. The events of one decision belong into one commit.

- A retry of a post under its key has no events and no other refusal, whatever has happened since.
- A command about a reply that is not the one running (or, for a cancel, not in line) has no events:
  late news of a reply that is over changes nothing.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET

from actors.assistant.bounds import (
    MAX_QUEUED,
    MAX_QUEUED_WEIGHT,
    check_content,
    check_id,
    check_metadata,
    weight_of,
)
from actors.assistant.commands import (
    Close,
    Command,
    Create,
    PostMessage,
    Update,
)
from actors.assistant.conversation import Conversation
from actors.assistant.errors import Busy, ConversationNotFound, IdempotencyMismatch, NotActive
from actors.assistant.events import ConversationEvent, MessageCreated
from actors.assistant.keys import KeyRecord, digest_of
from actors.assistant.lifecycle import close, create, update
from actors.assistant.records import Message
from actors.assistant.reply import cancel, decide_reply
from engine.clock import timestamp


def decide(state: Conversation | None, command: Command, now: datetime) -> list[ConversationEvent]:
    """Return the events that `command` causes, in order; none when it changes nothing.

    Raises:
        ConversationError: what the command asks is refused; its class and fields say why.
        RuntimeError: a post should have brought what the store recalls of its key.
    """
    at = timestamp(now)
    if isinstance(command, Create):
        return create(state, command, at)
    if state is None:
        raise ConversationNotFound
    match command:
        case Update():
            return update(state, command, at)
        case Close():
            return close(state, command.reason, at)
        case PostMessage():
            return _post(state, command, at)
        case _:
            return decide_reply(state, command, at)


def find_posted(state: Conversation, command: PostMessage, now: datetime) -> KeyRecord | None:
    """Return the record of the message that this post repeats; None when it is a new one.

    The answer to a retry is that message: it is in `state.recent`, or else the event with its
    sequence in the log.

    Raises:
        IdempotencyMismatch: the key was used for a message with another body.
        RuntimeError: only the store knows, and the command does not say what it knows.
    """
    return _find_posted(state, command, timestamp(now))


def _post(state: Conversation, command: PostMessage, at: str) -> list[ConversationEvent]:
    if command.key is not None:
        check_id("Idempotency-Key", command.key)
    check_content(command.content)
    check_metadata(command.metadata)
    if _find_posted(state, command, at) is not None:
        return []
    _check_room(state, command)
    interrupted: list[ConversationEvent] = []
    if command.on_busy == "interrupt" and state.running is not None:
        interrupted.append(cancel(state, state.running.message.message_id, at))
    message = _message(state, command, state.seq + len(interrupted) + 1, at)
    return [*interrupted, MessageCreated(seq=message.seq, at=at, data=message)]


def _check_room(state: Conversation, command: PostMessage) -> None:
    session_id, unfinished = state.session.session_id, len(state.unfinished)
    if not state.active:
        raise NotActive(session_id)
    if command.on_busy == "reject" and unfinished:
        raise Busy(session_id, unfinished=unfinished, line_full=False)
    weight = sum(queued.weight for queued in state.queue)
    weight += weight_of(command.content, command.metadata)
    if len(state.queue) >= MAX_QUEUED or weight > MAX_QUEUED_WEIGHT:
        raise Busy(session_id, unfinished=unfinished, line_full=True)


def _message(state: Conversation, command: PostMessage, seq: int, at: str) -> Message:
    return Message(
        message_id=command.message_id,
        session_id=state.session.session_id,
        seq=seq,
        role="user",
        content=command.content,
        status="complete",
        metadata=command.metadata,
        created_at=at,
        updated_seq=seq,
        reply_id=command.reply_id,
        idempotency_key=command.key,
    )


def _find_posted(state: Conversation, command: PostMessage, at: str) -> KeyRecord | None:
    if command.key is None:
        return None
    record = state.keys.find(command.key, at)
    if record is None and state.keys.must_ask(command.key, at):
        if command.recalled is UNSET:
            raise RuntimeError("the store was not asked about the key")
        record = command.recalled
    if record is None or record.expires_at <= at:
        return None
    if record.digest != digest_of(command.content, command.metadata):
        raise IdempotencyMismatch(command.key, message_id=record.message_id)
    return record
