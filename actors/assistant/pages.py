"""Pages of messages, read from a conversation's log.

Laws of this file: pure; whoever holds the log reads what lies after `position`, feeds it, and goes
on until `done`. Nothing else is kept anywhere for lists: the log has every message, and pruned
deltas are not missed.

    reader = CreatedAfter(after=after, limit=limit)
    while not reader.done:
        log = await store.read(stream, after=reader.position)
        reader.feed(map(decode, log.events), through=log.through, newest=log.newest_seq)
    page = reader.page()
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import replace

from actors.assistant.bounds import weight_of
from actors.assistant.events import (
    ConversationEvent,
    MessageEvent,
    ReplyDelta,
    SessionClosed,
    SessionCreated,
    SessionUpdated,
)
from actors.assistant.records import Message

# A page is full at this weight too (see `weight_of`). It must exceed MAX_REPLY_CHARS, so that a
# page always gets further than the reply that it had to go back for.
MAX_PAGE_WEIGHT: Final = 1024 * 1024


class MessagePage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of messages, by `seq`.

    Attributes:
        seq: the messages are as of this sequence: ask for what changed after it to miss nothing.
        next_after: where the next page of the same list begins; None on the last one.
    """

    messages: tuple[Message, ...]
    seq: int
    next_after: int | None


class CreatedAfter:
    """Reads the messages that were created after a sequence, each as it is now.

    At most one reply runs at a time, so it reads on behind a full page only to the end of that one.

    Args:
        after: only messages with a greater `seq`.
        limit: at most so many messages, at least 1.
    """

    def __init__(self, *, after: int, limit: int) -> None:
        self.position = after
        self.done = False
        self._after = after
        self._limit = limit
        self._more = False
        self._messages = _Messages()

    def feed(self, events: Iterable[ConversationEvent], *, through: int, newest: int) -> None:
        """Take in the log's next stretch; `through` and `newest` as `Store.read` gives them."""
        for event in events:
            self._take(event)
            self.position = event.seq
            if self._more and not self._messages.streaming:
                self.done = True
                return
        # Whoever asks from beyond the newest is told where that is.
        self.position = min(max(self.position, through), newest)
        self.done = self.position >= newest

    def page(self) -> MessagePage:
        """Return the page, once `done`."""
        messages = self._messages.by_seq()
        next_after = messages[-1].seq if self._more else None
        return MessagePage(messages=messages, seq=self.position, next_after=next_after)

    def _take(self, event: ConversationEvent) -> None:
        if isinstance(event, SessionCreated | SessionUpdated | SessionClosed):
            return
        seq = _message_seq(event)
        if seq <= self._after:
            return
        if seq in self._messages or not (self._more or self._messages.is_full(self._limit)):
            self._messages.take(event)
        else:
            self._more = True


class ChangedAfter:
    """Reads the messages that changed after a sequence, new and growing ones among them.

    When text was added to a reply that began before, it goes back once, to where that reply began.

    Args:
        after: only messages with an event of a greater sequence.
        limit: at most so many messages, at least 1.
    """

    def __init__(self, *, after: int, limit: int) -> None:
        self.position = after
        self.done = False
        self._after = after
        self._limit = limit
        self._more = False
        self._growing: int | None = None  # the `seq` of the message it has gone back for
        self._messages = _Messages()

    def feed(self, events: Iterable[ConversationEvent], *, through: int, newest: int) -> None:
        """Take in the log's next stretch; `through` and `newest` as `Store.read` gives them."""
        for event in events:
            if not self._take(event):
                return
            self.position = event.seq
        # Whoever asks from beyond the newest is told where that is.
        self.position = min(max(self.position, through), newest)
        self.done = self.position >= newest

    def page(self) -> MessagePage:
        """Return the page, once `done`."""
        next_after = self.position if self._more else None
        messages = self._messages.by_seq()
        return MessagePage(messages=messages, seq=self.position, next_after=next_after)

    def _take(self, event: ConversationEvent) -> bool:
        """Take an event in; False when what follows it is not wanted now."""
        if isinstance(event, SessionCreated | SessionUpdated | SessionClosed):
            return True
        seq = _message_seq(event)
        if event.seq <= self._after and seq != self._growing:
            return True
        if seq not in self._messages:
            if self._messages.is_full(self._limit):
                self._more = self.done = True
                return False
            if isinstance(event, ReplyDelta):
                self._go_back(seq)
                return False
        self._messages.take(event)
        return True

    def _go_back(self, seq: int) -> None:
        if self._growing is not None:
            raise ValueError(f"the log lacks the beginning of message {seq}")
        self._growing = seq
        self.position = seq - 1
        self._messages = _Messages()


class _Messages:
    """Messages by their `seq`, as the events that were taken in made them."""

    def __init__(self) -> None:
        self.streaming: set[int] = set()
        self._found: dict[int, Message] = {}
        self._grown: dict[int, list[str]] = {}  # joined at the end only: a reply has many deltas
        self._weight = 0

    def __contains__(self, seq: int) -> bool:
        return seq in self._found

    def is_full(self, limit: int) -> bool:
        return len(self._found) >= limit or self._weight >= MAX_PAGE_WEIGHT

    def by_seq(self) -> tuple[Message, ...]:
        return tuple(self._whole(seq) for seq in sorted(self._found))

    def take(self, event: MessageEvent | ReplyDelta) -> None:
        """Apply an event of a message; its first may not be a delta."""
        seq = _message_seq(event)
        if isinstance(event, ReplyDelta):
            self._grown[seq].append(event.data.text)
            self._weight += len(event.data.text)
            self._found[seq] = replace(self._found[seq], updated_seq=event.seq)
            return
        if seq in self._found:
            self._weight -= _weight(self._found[seq]) + sum(map(len, self._grown[seq]))
        self._found[seq] = event.data
        self._grown[seq] = []
        self._weight += _weight(event.data)
        if event.data.status == "streaming":
            self.streaming.add(seq)
        else:
            self.streaming.discard(seq)

    def _whole(self, seq: int) -> Message:
        message = self._found[seq]
        return replace(message, content=message.content + "".join(self._grown[seq]))


def _weight(message: Message) -> int:
    return weight_of(message.content, message.metadata)


def _message_seq(event: MessageEvent | ReplyDelta) -> int:
    return event.data.message_seq if isinstance(event, ReplyDelta) else event.data.seq
