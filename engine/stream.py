"""Live streams: a subscriber is a cursor over the log, and nothing more.

There is no queue for a subscriber. The newest events of a stream that somebody watches stay in
memory, encoded once and shared; a cursor that has fallen behind them reads pages from the store
until it has caught up. So a slow reader costs nothing and loses nothing, and history and live
events have no seam.

Laws of this file: a cursor gives every event after its start, in order, once. Publishing never
waits. What is in memory is bounded, for each stream and in all, and gone with the last subscriber.
What is published is durable already; what is durable may not be published yet, or never be (its
writer crashed in between): then it is read from the store.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from trio.lowlevel import checkpoint

from engine.errors import BeyondNewest, StreamEnded, TooManySubscribers
from engine.store import Event, Store
from engine.window import Channel

_PAGE: Final = 200
_PAGE_BYTES: Final = 256 * 1024


class StreamLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of what is kept in memory, and of subscribers.

    Args:
        window_events, window_bytes: of the newest events of one watched stream.
        memory_bytes: of all windows; beyond it those that have been quiet longest are emptied.
    """

    window_events: int = 512
    window_bytes: int = 256 * 1024
    memory_bytes: int = 64 * 1024 * 1024
    subscribers_per_stream: int = 2_000
    subscribers: int = 20_000


class StreamStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How many streams are watched, by how many, and what that keeps in memory.

    Attributes:
        lag_events: how far behind the newest events the subscribers are, added up.
        largest_lag: how far the one is that is furthest behind.
    """

    streams: int
    subscribers: int
    window_events: int
    window_bytes: int
    lag_events: int
    largest_lag: int


class Cursor:
    """One subscriber's place in a stream; only one task may use it.

    Attributes:
        seq: of the last event that was given, or passed over because it has been pruned.
        newest: the stream's newest sequence when the subscription began.
    """

    __slots__ = ("_channel", "_hub", "newest", "seq")

    def __init__(self, hub: StreamHub, channel: Channel, *, after: int) -> None:
        self.seq = after
        self.newest = channel.newest
        self._hub = hub
        self._channel = channel

    async def next_batch(self, *, limit: int = 100) -> Sequence[Event]:
        """Return what comes next, in order, waiting for it: at least one event, at most `limit`.

        A cancelled call loses nothing. Always a checkpoint.

        Raises:
            StreamEnded: everything has been given, and nothing will follow.
            StoreUnavailable: the log cannot be read now; the cursor stays where it is.
        """
        channel = self._channel
        if self.seq < channel.newest or channel.ended is not None:
            await checkpoint()
        while True:
            if events := channel.after(self.seq, limit):
                return self._give(events)
            if self.seq < channel.newest:
                if events := await self._read(limit):
                    return self._give(events)
            elif channel.ended is not None:
                raise StreamEnded(channel.stream, reason=channel.ended)
            else:
                await channel.waiting.park()

    async def _read(self, limit: int) -> Sequence[Event]:
        known = self._channel.newest
        page = await self._hub.store.read(
            self._channel.stream, after=self.seq, limit=min(limit, _PAGE), max_bytes=_PAGE_BYTES
        )
        if not page.events:
            # All that was known is in the log, unless it has been pruned or erased meanwhile.
            self.seq = max(known, page.through)
        return page.events

    def _give(self, events: Sequence[Event]) -> Sequence[Event]:
        last = events[-1]
        self.seq = last.seq
        if last.type in self._hub.final:
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
        self.store = store
        self.final = final
        self._limits = limits or StreamLimits()
        self._channels: dict[str, Channel] = {}  # the one that was published to last is last
        self._subscribers = 0
        self._bytes = 0

    def publish(self, stream: str, events: Sequence[Event]) -> None:
        """Hand on events that are durable; in order for each stream, without waiting."""
        channel = self._channels.pop(stream, None)
        if channel is None:
            return
        self._channels[stream] = channel
        limits = self._limits
        self._bytes += channel.append(events, limits.window_events, limits.window_bytes)
        if self._bytes > limits.memory_bytes:
            self._make_room()
        channel.waiting.unpark_all()

    def advance(self, stream: str, newest: int) -> None:
        """Say how far a stream's log goes, when its events are not at hand: they are read there.

        For whoever finds a log further than what was published: an actor that has come back.
        """
        channel = self._channels.get(stream)
        if channel is not None:
            channel.settle(newest)
            channel.waiting.unpark_all()

    def end(self, stream: str, reason: str) -> None:
        """Let the stream's subscribers end once they have had everything.

        Who subscribes from now on watches whatever comes under the same id.
        """
        channel = self._channels.pop(stream, None)
        if channel is not None:
            self._bytes -= channel.size_bytes
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
            channel.settle(await self.store.newest(stream))
            start = channel.newest if after is None else after
            if start > channel.newest:
                raise BeyondNewest(stream, after=start, newest_seq=channel.newest)
            if start == channel.newest and start > 0:
                await self._look_for_the_end(channel)
            cursor = Cursor(self, channel, after=start)
            channel.cursors.add(cursor)
            try:
                yield cursor
            finally:
                channel.cursors.discard(cursor)
        finally:
            self._leave(channel)

    def statistics(self) -> StreamStatistics:
        """Return what is watched; looks at every subscriber."""
        lags = [
            max(0, channel.newest - cursor.seq)
            for channel in self._channels.values()
            for cursor in channel.cursors
        ]
        return StreamStatistics(
            streams=len(self._channels),
            subscribers=self._subscribers,
            window_events=sum(len(channel.window) for channel in self._channels.values()),
            window_bytes=self._bytes,
            lag_events=sum(lags),
            largest_lag=max(lags, default=0),
        )

    def _enter(self, stream: str) -> Channel:
        limits = self._limits
        if self._subscribers >= limits.subscribers:
            raise TooManySubscribers("the server", limit=limits.subscribers)
        channel = self._channels.get(stream)
        if channel is None:
            channel = self._channels[stream] = Channel(stream)
        if channel.subscribers >= limits.subscribers_per_stream:
            raise TooManySubscribers(stream, limit=limits.subscribers_per_stream)
        channel.subscribers += 1
        self._subscribers += 1
        return channel

    def _leave(self, channel: Channel) -> None:
        channel.subscribers -= 1
        self._subscribers -= 1
        if not channel.subscribers and self._channels.get(channel.stream) is channel:
            del self._channels[channel.stream]
            self._bytes -= channel.size_bytes

    def _make_room(self) -> None:
        """Empty windows, of those that have been quiet longest first."""
        for channel in self._channels.values():
            self._bytes -= channel.forget()
            if self._bytes <= self._limits.memory_bytes:
                return

    async def _look_for_the_end(self, channel: Channel) -> None:
        """A subscriber of a stream that is over waits for nothing."""
        newest = channel.newest
        page = await self.store.read(channel.stream, after=newest - 1, limit=1)
        if channel.newest == newest and page.events and page.events[-1].type in self.final:
            channel.ended = channel.ended or page.events[-1].type
