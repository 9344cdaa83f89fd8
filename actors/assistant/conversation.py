"""The state of one conversation, and how each event changes it.

Laws of this file: it awaits nothing, reads no clock and knows neither store nor HTTP. The same
events give the same state, whether or not the deltas of ended replies are still among them. The
state is bounded however long the conversation is: old messages are in the log only.

- One reply for each user's message: `message.created` is what puts it in line, under an id of its
  own, and nothing else does.
- At most one reply runs. Replies run in the order of their messages.
- What has ended never changes, and a closed conversation never changes at all.
"""

from __future__ import annotations

from typing import assert_never

import msgspec
from msgspec.structs import replace

from actors.assistant.bounds import MAX_RECENT, MAX_RECENT_WEIGHT, weight_of
from actors.assistant.events import (
    ConversationEvent,
    Delta,
    MessageCreated,
    ReplyCancelled,
    ReplyCompleted,
    ReplyDelta,
    ReplyFailed,
    ReplyStarted,
    SessionClosed,
    SessionCreated,
    SessionUpdated,
)
from actors.assistant.keys import KeyMemory
from actors.assistant.records import Message, Session


class QueuedReply(msgspec.Struct, frozen=True, kw_only=True):
    """A reply that has its place in line and has not begun."""

    reply_id: str
    reply_to: str
    weight: int  # of the message that it answers


class RunningReply(msgspec.Struct, frozen=True, kw_only=True):
    """The reply that is being written; `message.content` is its text so far.

    `attempt` counts from 1. With the message's id it tells who may still add to it: whatever an
    earlier attempt has left in an inbox comes to nothing.
    """

    message: Message
    attempt: int


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that deciding needs, and what the next prompts are made of.

    Attributes:
        seq: the sequence of the newest event.
        queue: what is in line, in the order of the messages.
        recent: the newest messages in the order in which they were finished, for prompts. Those
            that wait for a reply are always among them.
    """

    session: Session
    seq: int
    queue: tuple[QueuedReply, ...] = ()
    running: RunningReply | None = None
    recent: tuple[Message, ...] = ()
    keys: KeyMemory = KeyMemory()

    @property
    def active(self) -> bool:
        return self.session.status == "active"

    @property
    def next_reply(self) -> QueuedReply | None:
        """The reply that should be begun now; None when one runs or nothing is in line."""
        return self.queue[0] if self.queue and self.running is None else None

    @property
    def unfinished(self) -> tuple[str, ...]:
        """The ids of the replies that have not ended, the running one first."""
        running = () if self.running is None else (self.running.message.message_id,)
        return running + tuple(queued.reply_id for queued in self.queue)


def evolve(state: Conversation | None, event: ConversationEvent) -> Conversation:
    """Return the state after `event`; the first event is `session.created`.

    Raises:
        ValueError: the event is not one that can come next: the log is not this conversation's.
    """
    if isinstance(event, SessionCreated) and state is None:
        return Conversation(session=event.data, seq=event.seq)
    if state is None or event.seq <= state.seq:
        raise ValueError(f"event {event.seq} cannot come next")
    match event:
        case SessionCreated():
            raise ValueError(f"event {event.seq} opens what is open")
        case SessionUpdated() | SessionClosed():
            return replace(state, seq=event.seq, session=event.data)
        case MessageCreated():
            return _posted(state, event.data)
        case ReplyStarted():
            return _started(state, event.data, event.seq, event.at)
        case ReplyDelta():
            return _grown(state, event.data, event.seq)
        case ReplyCompleted() | ReplyCancelled() | ReplyFailed():
            return _ended(state, event.data, event.seq, event.at)
        case _:
            assert_never(event)


def _posted(state: Conversation, message: Message) -> Conversation:
    queue = state.queue
    if message.reply_id is not None:
        waiting = QueuedReply(
            reply_id=message.reply_id, reply_to=message.message_id, weight=_weight(message)
        )
        queue = (*queue, waiting)
    return replace(
        state,
        seq=message.seq,
        session=_touched(state.session, message.created_at, more=1),
        queue=queue,
        recent=_newest((*state.recent, message), keep=_awaited(queue, state.running)),
        keys=state.keys.with_message(message),
    )


def _started(state: Conversation, message: Message, seq: int, at: str) -> Conversation:
    attempt = 1 if state.running is None else state.running.attempt + 1
    return replace(
        state,
        seq=seq,
        session=_touched(state.session, at, more=message.seq == seq),
        queue=_without(state.queue, message.message_id),
        running=RunningReply(message=message, attempt=attempt),
    )


def _grown(state: Conversation, delta: Delta, seq: int) -> Conversation:
    running = state.running
    if running is None or running.message.message_id != delta.message_id:
        raise ValueError(f"event {seq} adds to a reply that does not run")
    message = replace(
        running.message, content=running.message.content + delta.text, updated_seq=seq
    )
    return replace(state, seq=seq, running=replace(running, message=message))


def _ended(state: Conversation, message: Message, seq: int, at: str) -> Conversation:
    running = state.running
    if running is not None and running.message.message_id == message.message_id:
        running = None
    queue = _without(state.queue, message.message_id)
    return replace(
        state,
        seq=seq,
        session=_touched(state.session, at, more=message.seq == seq),
        queue=queue,
        running=running,
        recent=_newest((*state.recent, message), keep=_awaited(queue, running)),
    )


def _touched(session: Session, at: str, *, more: int) -> Session:
    return replace(session, message_count=session.message_count + more, last_activity_at=at)


def _without(queue: tuple[QueuedReply, ...], reply_id: str) -> tuple[QueuedReply, ...]:
    return tuple(queued for queued in queue if queued.reply_id != reply_id)


def _awaited(queue: tuple[QueuedReply, ...], running: RunningReply | None) -> set[str | None]:
    answered = None if running is None else running.message.reply_to
    return {answered, *(queued.reply_to for queued in queue)}


def _weight(message: Message) -> int:
    return weight_of(message.content, message.metadata)


def _newest(messages: tuple[Message, ...], keep: set[str | None]) -> tuple[Message, ...]:
    """Drop the oldest messages that exceed the bounds, but none whose id is in `keep`."""
    weights = [_weight(message) for message in messages]
    count, weight = len(messages), sum(weights)
    kept = []
    for message, its_weight in zip(messages, weights, strict=True):
        fits = count <= MAX_RECENT and weight <= MAX_RECENT_WEIGHT
        if fits or message.message_id in keep:
            kept.append(message)
        else:
            count, weight = count - 1, weight - its_weight
    return tuple(kept)
