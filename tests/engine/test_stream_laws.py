"""Whatever happens, a cursor gives every event after its start, in order, once.

Random writers commit and publish late, publish nothing for some of their commits (they crashed in
between), to several streams whose windows are tiny and share tiny memory, over a store that takes
its time. Random readers come, go, dawdle and have their waits cancelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

import msgspec
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from engine.clock import SeededClock
from engine.errors import StreamEnded
from engine.store import Commit, Event, Faults, Store, open_memory
from engine.stream import StreamHub, StreamLimits

STREAMS = 3
# So often a reader has its wait cancelled; if always, it gets nowhere where the store takes longer.
CANCELLED_AT_MOST = 20


class Write(msgspec.Struct, frozen=True):
    """So many events, published so much later than they are durable; or never."""

    stream: int
    count: int
    pause_s: float
    late_s: float | None
    of_type: str


class Reader(msgspec.Struct, frozen=True):
    """Comes when so much time has passed, and begins so far back from the newest event."""

    stream: int
    comes_s: float
    back: int
    limit: int
    dawdle_s: float
    patience_s: float


class World(msgspec.Struct, frozen=True):
    window_events: int
    window_bytes: int
    memory_bytes: int
    latency_s: float
    seed: int


_seconds = st.sampled_from([0.0, 0.0, 0.1, 0.5, 2.0])
_writes = st.builds(
    Write,
    st.integers(0, STREAMS - 1),
    st.integers(1, 5),
    _seconds,
    st.sampled_from([0.0, 0.0, 0.0, 0.05, 0.3, None]),
    st.sampled_from(["note", "note", "delta"]),
)
_readers = st.builds(
    Reader,
    st.integers(0, STREAMS - 1),
    st.floats(0, 8),
    st.integers(0, 20),
    st.integers(1, 7),
    _seconds,
    st.sampled_from([0.01, 0.2, 1000.0]),
)
_worlds = st.builds(
    World,
    st.integers(1, 8),
    st.sampled_from([1, 40, 100_000]),
    st.sampled_from([1, 60, 100_000]),
    st.sampled_from([0.0, 0.2]),
    st.integers(0, 1000),
)


class Program:
    """The streams as they were written, and who writes and reads them."""

    def __init__(self, store: Store, hub: StreamHub) -> None:
        self.store = store
        self.hub = hub
        self.logs: list[list[Event]] = [[] for _ in range(STREAMS)]
        self.writing = [trio.Lock() for _ in range(STREAMS)]

    async def write(self, step: Write) -> None:
        async with self.writing[step.stream]:
            log = self.logs[step.stream]
            events = [
                Event(seq=len(log) + n, type=step.of_type, at_ms=0, body=b"x" * 10)
                for n in range(1, step.count + 1)
            ]
            await self.store.commit(
                Commit(stream=_name(step.stream), epoch=0, expected_seq=len(log), events=events)
            )
            log += events
            if step.late_s is not None:
                await trio.sleep(step.late_s)
                self.hub.publish(_name(step.stream), events)

    async def write_all(self, steps: Sequence[Write]) -> None:
        async with trio.open_nursery() as nursery:
            for step in steps:
                nursery.start_soon(self.write, step)
                await trio.sleep(step.pause_s)
        for number in range(STREAMS):
            await self.write(Write(number, 1, 0, 0, "closed"))

    async def read(self, reader: Reader) -> None:
        await trio.sleep(reader.comes_s)
        log, name = self.logs[reader.stream], _name(reader.stream)
        seen: list[Event] = []
        after = max(0, len(log) - reader.back)
        async with self.hub.subscribe(name, after=after) as cursor:
            assert cursor.newest >= after
            try:
                for wait in count():
                    patience_s = reader.patience_s if wait < CANCELLED_AT_MOST else 1000.0
                    with trio.move_on_after(patience_s):
                        batch = await cursor.next_batch(limit=reader.limit)
                        assert 0 < len(batch) <= reader.limit
                        seen += batch
                        assert cursor.seq == seen[-1].seq
                    await trio.sleep(reader.dawdle_s)
            except StreamEnded:
                pass
        assert seen == log[after:]


def _name(number: int) -> str:
    return f"talk/{number}"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    world=_worlds,
    writes=st.lists(_writes, max_size=20),
    readers=st.lists(_readers, min_size=1, max_size=8),
)
def test_a_cursor_gives_every_event_after_its_start_in_order_once(
    world: World, writes: Sequence[Write], readers: Sequence[Reader]
) -> None:
    limits = StreamLimits(
        window_events=world.window_events,
        window_bytes=world.window_bytes,
        memory_bytes=world.memory_bytes,
    )

    async def main() -> None:
        faults = Faults(seed=world.seed, latency_s=world.latency_s)
        async with open_memory(clock=SeededClock(), faults=faults) as store:
            hub = StreamHub(store, final=frozenset({"closed"}), limits=limits)
            program = Program(store, hub)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(program.write_all, writes)
                nursery.start_soon(_watch_memory, hub, limits, nursery.cancel_scope)
                async with trio.open_nursery() as reading:
                    for reader in readers:
                        reading.start_soon(program.read, reader)
                nursery.cancel_scope.cancel()
            statistics = hub.statistics()
            assert (statistics.streams, statistics.subscribers) == (0, 0)
            assert (statistics.window_events, statistics.window_bytes) == (0, 0)

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def _watch_memory(hub: StreamHub, limits: StreamLimits, scope: trio.CancelScope) -> None:
    """What is in memory stays within its bounds at every moment that anybody can see."""
    while True:
        statistics = hub.statistics()
        assert (
            0 <= statistics.window_bytes <= min(limits.memory_bytes, limits.window_bytes * STREAMS)
        )
        assert statistics.window_events <= limits.window_events * STREAMS
        assert trio.current_time() < 500, "a reader waits for ever"
        await trio.sleep(0.05)
