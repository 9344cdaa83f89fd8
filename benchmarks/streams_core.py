"""Fan-out inside the process: what a delivery and an idle subscriber cost before any socket.

A cursor that is awaited is held against two others: a queue for each subscriber, and a pump that
visits plain records and calls them, which is the cheapest that can be. The sockets behind it manage
20 to 28 thousand sends a second here; so the question is whether the cursor is well above that.
Run as `python -m benchmarks.streams_core`.
"""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import trio
from trio.testing import wait_all_tasks_blocked

from engine.store import Commit, Event, open_memory
from engine.stream import StreamHub, StreamLimits

_ROUNDS: Final = 3
_STREAM: Final = "conversation/1"
_BODY: Final = b"x" * 220
_LIMITS: Final = StreamLimits(subscribers_per_stream=10_000)

Figures: TypeAlias = dict[str, list[float]]


def _event(seq: int) -> Event:
    return Event(seq=seq, type="note", at_ms=0, body=_BODY)


async def cursors(subscribers: int, events: int, each: int) -> float:
    """Deliveries a second of awaited cursors, `each` events published at a time."""
    async with open_memory() as store:
        hub = StreamHub(store, final=frozenset({"end"}), limits=_LIMITS)
        ready = trio.Event()
        count = 0

        async def read() -> None:
            nonlocal count
            async with hub.subscribe(_STREAM) as cursor:
                count += 1
                if count == subscribers:
                    ready.set()
                while cursor.seq < events:
                    await cursor.next_batch()

        async with trio.open_nursery() as nursery:
            for _ in range(subscribers):
                nursery.start_soon(read)
            await ready.wait()
            began = time.perf_counter()
            for seq in range(0, events, each):
                hub.publish(_STREAM, [_event(seq + n + 1) for n in range(each)])
                await trio.lowlevel.checkpoint()
        return subscribers * events / (time.perf_counter() - began)


async def queues(subscribers: int, events: int, each: int) -> float:
    """The same through a memory channel for each subscriber."""
    ends = [trio.open_memory_channel[Event](1_000) for _ in range(subscribers)]

    async def read(receive: trio.MemoryReceiveChannel[Event]) -> None:
        for _ in range(events):
            await receive.receive()

    async with trio.open_nursery() as nursery:
        for _, receive in ends:
            nursery.start_soon(read, receive)
        await wait_all_tasks_blocked()
        began = time.perf_counter()
        for seq in range(0, events, each):
            for number in range(each):
                event = _event(seq + number + 1)
                for send, _ in ends:
                    await send.send(event)
    return subscribers * events / (time.perf_counter() - began)


class _Record:
    __slots__ = ("given", "seq")

    def __init__(self) -> None:
        self.seq = 0
        self.given = 0

    def give(self, events: Sequence[Event]) -> None:
        self.given += len(events)


async def pump(subscribers: int, events: int, each: int) -> float:
    """The same by one task that visits records: no task, no wait, no store behind it."""
    records = [_Record() for _ in range(subscribers)]
    log: list[Event] = []
    idle, ready = deque(records), deque[_Record]()
    began = time.perf_counter()
    for seq in range(0, events, each):
        log += [_event(seq + n + 1) for n in range(each)]
        ready.extend(idle)
        idle.clear()
        await trio.lowlevel.checkpoint()
        while ready:
            record = ready.popleft()
            record.give(log[record.seq :])
            record.seq = len(log)
            idle.append(record)
    return subscribers * events / (time.perf_counter() - began)


async def idle_bytes(subscribers: int = 2_000) -> tuple[float, float]:
    """Bytes of an idle subscriber in its task, and of a task that only sleeps."""

    async def watch(hub: StreamHub) -> None:
        async with hub.subscribe(_STREAM) as cursor:
            await cursor.next_batch()

    async def sleep(_: StreamHub) -> None:
        await trio.sleep_forever()

    async with open_memory() as store:
        hub = StreamHub(store, final=frozenset(), limits=_LIMITS)
        found = []
        for work in (watch, sleep):
            async with trio.open_nursery() as nursery:
                gc.collect()
                tracemalloc.start()
                for _ in range(subscribers):
                    nursery.start_soon(work, hub)
                await wait_all_tasks_blocked()
                gc.collect()
                found.append(tracemalloc.get_traced_memory()[0] / subscribers)
                tracemalloc.stop()
                nursery.cancel_scope.cancel()
        return found[0], found[1]


async def catching_up(events: int = 20_000) -> float:
    """Events a second of one cursor that reads all of a long stream from the store."""
    async with open_memory() as store:
        for seq in range(0, events, 500):
            new = [_event(seq + n + 1) for n in range(500)]
            await store.commit(Commit(stream=_STREAM, epoch=0, expected_seq=seq, events=new))
        hub = StreamHub(store, final=frozenset())
        began = time.perf_counter()
        async with hub.subscribe(_STREAM, after=0) as cursor:
            while cursor.seq < events:
                await cursor.next_batch()
        return events / (time.perf_counter() - began)


def report(figures: Figures) -> None:
    """Print medians, and what they are to a memory channel for each subscriber."""
    middle = {name: statistics.median(values) for name, values in figures.items()}
    print(f"{'deliveries/s':34} {'cursor':>12} {'queue each':>12} {'ratio':>6} {'bare pump':>12}")
    for name in [name[:-7] for name in middle if name.endswith(" cursor")]:
        cursor, queue = middle[f"{name} cursor"], middle[f"{name} queue"]
        bare = middle[f"{name} pump"]
        print(f"{name:34} {cursor:>12,.0f} {queue:>12,.0f} {cursor / queue:>6.1f} {bare:>12,.0f}")
    print(f"{'one cursor catching up':34} {middle['catching up']:>12,.0f}")
    print(f"\n{'bytes of an idle subscriber':34} {middle['idle']:>12,.0f}")
    print(f"{'  of a task that only sleeps':34} {middle['asleep']:>12,.0f}")


async def main() -> None:
    """Run all rows and print them."""
    figures: Figures = defaultdict(list)
    rows: dict[str, tuple[int, int, int]] = {
        "100 subscribers, 1 at a time": (100, 2_000, 1),
        "100 subscribers, 10 at a time": (100, 5_000, 10),
        "1,000 subscribers, 1 at a time": (1_000, 200, 1),
        "1,000 subscribers, 10 at a time": (1_000, 1_000, 10),
    }
    kinds: dict[str, Callable[[int, int, int], Awaitable[float]]]
    kinds = {"cursor": cursors, "queue": queues, "pump": pump}
    for _ in range(_ROUNDS):
        for name, sizes in rows.items():
            for kind, run in kinds.items():
                figures[f"{name} {kind}"].append(await run(*sizes))
        figures["catching up"].append(await catching_up())
    idle, asleep = await idle_bytes()
    figures["idle"], figures["asleep"] = [idle], [asleep]
    report(figures)


if __name__ == "__main__":
    trio.run(main)
