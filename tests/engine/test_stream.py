"""Cursors over the log, with the store in memory and in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.clock import SeededClock
from engine.errors import BeyondNewest, StreamEnded, TooManySubscribers
from engine.store import CatalogueRow, Commit, Event, MemoryStore, open_memory
from engine.stream import Cursor, StreamHub, StreamLimits

STREAM = "talk/1"
ROW = CatalogueRow(owner="o", status="s", created_at_ms=0, updated_at_ms=0)


class World:
    """A writer that commits, then publishes."""

    def __init__(self, store: MemoryStore, epoch: int, limits: StreamLimits) -> None:
        self.store = store
        self.epoch = epoch
        self.hub = StreamHub(store, final=frozenset({"closed"}), limits=limits)
        self.newest = 0

    async def write(self, count: int = 1, *, of_type: str = "said") -> None:
        events = [
            Event(seq=self.newest + n, type=of_type, at_ms=0, body=b"%d" % (self.newest + n))
            for n in range(1, count + 1)
        ]
        commit = Commit(
            stream=STREAM, epoch=self.epoch, expected_seq=self.newest, events=events, row=ROW
        )
        await self.store.commit(commit)
        self.newest += count
        await trio.lowlevel.checkpoint()  # what is durable may be read before it is published
        self.hub.publish(STREAM, events)


@asynccontextmanager
async def world(limits: StreamLimits | None = None) -> AsyncIterator[World]:
    clock = SeededClock()
    async with open_memory(clock=clock) as store:
        yield World(store, await store.begin_epoch(), limits or StreamLimits())


async def read(cursor: Cursor, count: int) -> list[int]:
    """Return the sequences of the next `count` events."""
    seen: list[int] = []
    while len(seen) < count:
        seen += [event.seq for event in await cursor.next_batch(limit=count - len(seen))]
    return seen


async def test_history_comes_first_and_live_events_follow_without_a_seam(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as it:
        await it.write(3)
        async with it.hub.subscribe(STREAM, after=0) as cursor, trio.open_nursery() as nursery:
            nursery.start_soon(it.write, 2)
            assert await read(cursor, 5) == [1, 2, 3, 4, 5]


async def test_a_subscriber_without_a_start_gets_only_what_comes_from_now_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as it:
        await it.write(3)
        async with it.hub.subscribe(STREAM) as cursor:
            assert cursor.newest == 3
            await it.write(1)
            assert await read(cursor, 1) == [4]


async def test_a_start_beyond_the_newest_event_is_refused(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as it:
        await it.write(3)
        with pytest.raises(BeyondNewest) as refused:
            async with it.hub.subscribe(STREAM, after=4):
                pass
        assert refused.value.newest_seq == 3
        assert it.hub.statistics().streams == 0


async def test_a_slow_reader_takes_no_memory_and_misses_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    limits = StreamLimits(window_events=4)
    async with world(limits) as it, it.hub.subscribe(STREAM, after=0) as cursor:
        for _ in range(50):
            await it.write(2)
        assert it.hub.statistics().window_events == 4
        assert await read(cursor, 100) == list(range(1, 101))


async def test_events_in_memory_are_one_copy_for_all_subscribers(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with (
        world() as it,
        it.hub.subscribe(STREAM) as one,
        it.hub.subscribe(STREAM) as other,
    ):
        await it.write(1)
        assert (await one.next_batch())[0] is (await other.next_batch())[0]


async def test_the_final_event_is_given_and_then_the_stream_has_ended(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as it:
        async with it.hub.subscribe(STREAM, after=0) as cursor:
            await it.write(1)
            await it.write(1, of_type="closed")
            assert await read(cursor, 2) == [1, 2]
            with pytest.raises(StreamEnded):
                await cursor.next_batch()
        async with it.hub.subscribe(STREAM) as late:
            with pytest.raises(StreamEnded):
                await late.next_batch()


async def test_an_erased_stream_ends_for_whoever_watches_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    limits = StreamLimits(window_events=1)
    async with world(limits) as it, it.hub.subscribe(STREAM, after=0) as cursor:
        await it.write(5)
        await it.store.erase(STREAM, epoch=it.epoch)
        it.hub.end(STREAM, "deleted")
        with pytest.raises(StreamEnded) as ended:
            await read(cursor, 6)
        assert ended.value.reason == "deleted"


async def test_pruned_events_are_passed_over(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as it:
        await it.write(1)
        await it.write(5, of_type="delta")
        await it.write(1)
        await it.store.prune(STREAM, types=frozenset({"delta"}), after=0, through=7)
        async with it.hub.subscribe(STREAM, after=0) as cursor:
            assert await read(cursor, 2) == [1, 7]
        async with it.hub.subscribe(STREAM, after=3) as cursor:
            assert await read(cursor, 1) == [7]


async def test_a_cancelled_wait_loses_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as it, it.hub.subscribe(STREAM) as cursor:
        with trio.move_on_after(1):
            await cursor.next_batch()
        await it.write(1)
        assert await read(cursor, 1) == [1]


async def test_subscribers_are_bounded_for_each_stream_and_in_all(
    autojump_clock: trio.testing.MockClock,
) -> None:
    limits = StreamLimits(subscribers_per_stream=1, subscribers=2)
    async with world(limits) as it, it.hub.subscribe(STREAM):
        with pytest.raises(TooManySubscribers):
            async with it.hub.subscribe(STREAM):
                pass
        async with it.hub.subscribe("talk/2"):
            with pytest.raises(TooManySubscribers):
                async with it.hub.subscribe("talk/3"):
                    pass
    assert it.hub.statistics().subscribers == 0


@settings(max_examples=60, deadline=None)
@given(
    writes=st.lists(st.integers(1, 5), min_size=1, max_size=12),
    starts=st.lists(st.tuples(st.integers(0, 12), st.floats(0, 3)), min_size=1, max_size=5),
    window=st.integers(1, 6),
    limit=st.integers(1, 4),
)
def test_every_subscriber_sees_every_event_after_its_start_once_and_in_order(
    writes: Sequence[int], starts: Sequence[tuple[int, float]], window: int, limit: int
) -> None:
    async def main() -> None:
        async with world(StreamLimits(window_events=window)) as it:
            total = sum(writes)

            async def watch(begin: int, pause_s: float) -> None:
                while it.newest < min(begin, total):
                    await trio.sleep(0.1)
                after = min(begin, total)
                seen: list[int] = []
                async with it.hub.subscribe(STREAM, after=after) as cursor:
                    while cursor.seq < total:
                        seen += [event.seq for event in await cursor.next_batch(limit=limit)]
                        await trio.sleep(pause_s)
                assert seen == list(range(after + 1, total + 1))

            async with trio.open_nursery() as nursery:
                for begin, pause_s in starts:
                    nursery.start_soon(watch, begin, pause_s)
                for count in writes:
                    await it.write(count)
                    await trio.sleep(0.5)
            assert it.hub.statistics().streams == 0

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
