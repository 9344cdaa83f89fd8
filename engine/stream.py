"""Live streams: a subscriber is a cursor over the log, and nothing more.

There is no queue for a subscriber. The newest events of a stream that somebody watches stay in
memory, encoded once and shared; a cursor that has fallen behind them reads pages from the store
until it has caught up. So a slow reader costs nothing and loses nothing, and history and live
events have no seam.

Laws of this file: a cursor gives every event after its start, in order, once. Publishing never
waits. What is in memory for a stream is bounded, and gone with its last subscriber.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from trio.lowlevel import ParkingLot, checkpoint

from engine.errors import BeyondNewest, StreamEnded, TooManySubscribers
from engine.store import Event, Store

_PAGE: Final = 200


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and bytes: of a watched stream's newest events in memory, and of subscribers."""

    window_events: int = 512
    window_bytes: int = 256 * 1024
    subscribers_per_stream: int = 2_000
    subscribers: int = 20_000


class StreamStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How many streams are watched, by how many, and what that keeps in memory."""

    streams: int
    subscribers: int
    window_events: int
    window_bytes: int


class _Channel:
    """One watched stream."""

    __slots__ = ("ended", "floor", "newest", "room", "subscribers", "waiting", "window")

    def __init__(self, room: int) -> None:
        self.window: deque[Event] = deque()
        self.room = room  # bytes that the window may still take
        self.floor: int | None = None  # the window has every event after it; None: not known yet
        self.newest = 0
        self.ended: str | None = None
        self.subscribers = 0
        self.waiting = ParkingLot()

    def settle(self, newest: int) -> None:
        """Take over what the store said, while events may have been published meanwhile."""
        if self.floor is None:
            self.floor = self.window[0].seq - 1 if self.window else newest
        self.newest = max(self.newest, newest)

    def publish(self, events: Sequence[Event], limits: StreamLimits) -> None:
        for event in events:
            if event.seq > self.newest:
                self.window.append(event)
                self.room -= len(event.body)
                self.newest = event.seq
        while len(self.window) > limits.window_events or self.room < 0:
            oldest = self.window.popleft()
            self.room += len(oldest.body)
            self.floor = oldest.seq
        self.waiting.unpark_all()

    def after(self, seq: int) -> list[Event] | None:
        """Return the events after `seq`; None when not all of them are in the window."""
        if self.floor is None or seq < self.floor:
            return None
        found: list[Event] = []
        for event in reversed(self.window):
            if event.seq <= seq:
                break
            found.append(event)
        found.reverse()
        return found


class Cursor:
    """One subscriber's place in a stream; only one task may use it.

    Attributes:
        seq: of the last event that was given, or passed over because it has been pruned.
        newest: the stream's newest sequence when the subscription began.
    """

    __slots__ = ("_channel", "_final", "_store", "_stream", "newest", "seq")

    def __init__(
        self, stream: str, store: Store, channel: _Channel, *, after: int, final: frozenset[str]
    ) -> None:
        self.seq = after
        self.newest = channel.newest
        self._stream = stream
        self._store = store
        self._channel = channel
        self._final = final

    async def next_batch(self, *, limit: int = 100) -> Sequence[Event]:
        """Return what comes next, in order, waiting for it: at least one event, at most `limit`.

        A cancelled call loses nothing. Always a checkpoint.

        Raises:
            StreamEnded: everything has been given, and nothing will follow.
            StoreUnavailable: the log cannot be read now; the cursor stays where it is.
        """
        await checkpoint()
        while True:
            events: Sequence[Event] | None = self._channel.after(self.seq)
            if events is None or (self._channel.newest > self.seq and not events):
                events = await self._read(limit)
            if events:
                return self._give(events[:limit])
            if self._channel.ended is not None:
                raise StreamEnded(self._stream, reason=self._channel.ended)
            if self.seq >= self._channel.newest:
                await self._channel.waiting.park()

    async def _read(self, limit: int) -> Sequence[Event]:
        page = await self._store.read(self._stream, after=self.seq, limit=min(limit, _PAGE))
        if not page.events:
            # Pruned up to there, or erased: then the log has nothing that is newer.
            self.seq = max(self.seq, page.through, 0 if page.newest_seq else self._channel.newest)
        return page.events

    def _give(self, events: Sequence[Event]) -> Sequence[Event]:
        last = events[-1]
        self.seq = last.seq
        if last.type in self._final:
            self._channel.ended = self._channel.ended or last.type
        return events


class StreamHub:
    """All live streams of one store.

    Args:
        store: where history is read.
        final: types of events after which nothing can follow.
    """

    def __init__(
        self, store: Store, *, final: frozenset[str], limits: StreamLimits | None = None
    ) -> None:
        self._store = store
        self._final = final
        self._limits = limits or StreamLimits()
        self._channels: dict[str, _Channel] = {}
        self._subscribers = 0

    def publish(self, stream: str, events: Sequence[Event]) -> None:
        """Hand on events that are durable; in order for each stream, without waiting."""
        channel = self._channels.get(stream)
        if channel is not None:
            channel.publish(events, self._limits)

    def end(self, stream: str, reason: str) -> None:
        """Let the stream's subscribers end once they have had everything."""
        channel = self._channels.get(stream)
        if channel is not None:
            channel.ended = reason
            channel.waiting.unpark_all()

    @asynccontextmanager
    async def subscribe(self, stream: str, *, after: int | None = None) -> AsyncIterator[Cursor]:
        """Subscribe for the length of a block.

        Args:
            after: the sequence to go on from, 0 for everything; None for from now on.

        Raises:
            BeyondNewest: there is no event with the sequence `after`, nor any later one.
            TooManySubscribers: the stream or the hub has no room for one more.
        """
        channel = self._enter(stream)
        try:
            channel.settle(await self._store.newest(stream))
            start = channel.newest if after is None else after
            if start > channel.newest:
                raise BeyondNewest(stream, after=start, newest_seq=channel.newest)
            if start == channel.newest and start > 0:
                await self._look_for_the_end(stream, channel)
            yield Cursor(stream, self._store, channel, after=start, final=self._final)
        finally:
            self._leave(stream, channel)

    def statistics(self) -> StreamStatistics:
        channels = self._channels.values()
        return StreamStatistics(
            streams=len(self._channels),
            subscribers=self._subscribers,
            window_events=sum(len(channel.window) for channel in channels),
            window_bytes=sum(self._limits.window_bytes - channel.room for channel in channels),
        )

    def _enter(self, stream: str) -> _Channel:
        limits = self._limits
        if self._subscribers >= limits.subscribers:
            raise TooManySubscribers("the server", limit=limits.subscribers)
        channel = self._channels.get(stream)
        if channel is None:
            channel = self._channels[stream] = _Channel(limits.window_bytes)
        if channel.subscribers >= limits.subscribers_per_stream:
            raise TooManySubscribers(stream, limit=limits.subscribers_per_stream)
        channel.subscribers += 1
        self._subscribers += 1
        return channel

    def _leave(self, stream: str, channel: _Channel) -> None:
        channel.subscribers -= 1
        self._subscribers -= 1
        if not channel.subscribers and self._channels.get(stream) is channel:
            del self._channels[stream]

    async def _look_for_the_end(self, stream: str, channel: _Channel) -> None:
        """A subscriber of a stream that is over waits for nothing."""
        newest = channel.newest
        page = await self._store.read(stream, after=newest - 1, limit=1)
        if channel.newest == newest and page.events and page.events[-1].type in self._final:
            channel.ended = channel.ended or page.events[-1].type
