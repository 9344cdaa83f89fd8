"""Cursors over the log, with the store in memory and in virtual time."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
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
        self.newest: Counter[str] = Counter()

    async def write(
        self,
        count: int = 1,
        *,
        of_type: str = "said",
        stream: str = STREAM,
        body: bytes = b"",
        publish: bool = True,
    ) -> None:
        newest = self.newest[stream]
        events = [
            Event(seq=newest + n, type=of_type, at_ms=0, body=body or b"%d" % (newest + n))
            for n in range(1, count + 1)
        ]
        commit = Commit(
            stream=stream, epoch=self.epoch, expected_seq=newest, events=events, row=ROW
        )
        await self.store.commit(commit)
        self.newest[stream] += count
        await trio.lowlevel.checkpoint()  # what is durable may be read before it is published
        if publish:
            self.hub.publish(stream, events)


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


async def test_what_was_never_published_is_read_when_something_later_is(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Its writer crashed between the commit and the publishing."""
    async with world() as it, it.hub.subscribe(STREAM) as cursor:
        await it.write(2)
        await it.write(2, publish=False)
        await it.write(1)
        assert await read(cursor, 5) == [1, 2, 3, 4, 5]


async def test_who_is_told_that_the_log_goes_further_reads_it_there(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as it, it.hub.subscribe(STREAM) as cursor, trio.open_nursery() as nursery:
        await it.write(2, publish=False)
        nursery.start_soon(wait_and_call, lambda: it.hub.advance(STREAM, 2))
        assert await read(cursor, 2) == [1, 2]


async def wait_and_call(call: Callable[[], None]) -> None:
    await trio.testing.wait_all_tasks_blocked()
    call()


async def test_one_who_comes_between_commit_and_publishing_costs_the_others_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as it, it.hub.subscribe(STREAM) as first:
        await it.write(1)
        await it.write(2, publish=False)
        async with it.hub.subscribe(STREAM) as second:
            assert second.newest == 3
            it.hub.publish(STREAM, (await it.store.read(STREAM, after=1)).events)
            await it.write(1)
            assert await read(first, 4) == [1, 2, 3, 4]
            assert await read(second, 1) == [4]


async def test_memory_is_bounded_in_all_and_goes_to_the_streams_that_are_busy(
    autojump_clock: trio.testing.MockClock,
) -> None:
    limits = StreamLimits(memory_bytes=100)
    async with (
        world(limits) as it,
        it.hub.subscribe("talk/quiet") as quiet,
        it.hub.subscribe("talk/busy") as busy,
    ):
        await it.write(6, stream="talk/quiet", body=b"x" * 10)
        await it.write(6, stream="talk/busy", body=b"x" * 10)
        assert it.hub.statistics().window_bytes == 60
        reads = it.store.statistics().reads
        assert await read(busy, 6) == [1, 2, 3, 4, 5, 6]
        assert it.store.statistics().reads == reads
        assert await read(quiet, 6) == [1, 2, 3, 4, 5, 6]
        assert it.store.statistics().reads > reads


async def test_a_stream_that_begins_anew_under_its_id_is_another_stream(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as it, it.hub.subscribe(STREAM) as before:
        await it.write(3)
        await it.store.erase(STREAM, epoch=it.epoch)
        it.hub.end(STREAM, "deleted")
        it.newest.clear()
        async with it.hub.subscribe(STREAM) as after:
            await it.write(1)
            assert await read(after, 1) == [1]
        assert await read(before, 3) == [1, 2, 3]
        with pytest.raises(StreamEnded):
            await before.next_batch()
    assert it.hub.statistics().subscribers == 0
    assert it.hub.statistics().window_bytes == 0


async def test_a_reader_that_never_waits_still_lets_others_run(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Sending to a client that has gone is no checkpoint: the cursor must be one."""
    async with world() as it, it.hub.subscribe(STREAM, after=0) as cursor:
        await it.write(50)
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            for _ in range(50):
                await cursor.next_batch(limit=1)
            assert turns >= 25
            nursery.cancel_scope.cancel()


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
                while it.newest[STREAM] < min(begin, total):
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
