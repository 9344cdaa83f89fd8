"""Actor core: tell, ask, spawn and memory, beside Pykka and a bare Trio memory channel.

Every row runs its subjects in turn, several times, and quotes the median and the ratio of medians:
these machines are noisy, ratios carry over.
"""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pykka
import trio

from engine import Actor, ActorPolicy, ActorRef, Supervisor, open_supervisor

_ROUNDS = 5
_LARGE = ActorPolicy(inbox_capacity=100_000)


class _Echo(Actor):
    def handle(self, message: Any) -> Any:
        return message


class _PykkaEcho(pykka.ThreadingActor):
    def on_receive(self, message: Any) -> Any:
        return message


@contextmanager
def _timed(rates: list[float], count: int) -> Iterator[None]:
    started = time.perf_counter()
    yield
    rates.append(count / (time.perf_counter() - started))


async def _drain(ref: ActorRef) -> None:
    await ref.ask(None, timeout_s=60)


async def mooring_tell_nowait(rates: list[float]) -> None:
    count = 90_000
    async with open_supervisor("bench") as supervisor:
        ref = supervisor.spawn(_Echo, "echo/1", policy=_LARGE)
        await _drain(ref)
        with _timed(rates, count):
            for number in range(count):
                ref.tell_nowait(number)
            await _drain(ref)


async def mooring_tell(rates: list[float]) -> None:
    count = 90_000
    async with open_supervisor("bench") as supervisor:
        ref = supervisor.spawn(_Echo, "echo/1")
        await _drain(ref)
        with _timed(rates, count):
            for number in range(count):
                await ref.tell(number)
            await _drain(ref)


async def channel_send(rates: list[float]) -> None:
    count = 30_000
    send, receive = trio.open_memory_channel[int](1024)

    async def consume() -> None:
        async for _ in receive:
            pass

    with _timed(rates, count):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(consume)
            async with send:
                for number in range(count):
                    await send.send(number)


async def pykka_tell(rates: list[float]) -> None:
    count = 30_000
    ref = _PykkaEcho.start()
    with _timed(rates, count):
        for number in range(count):
            ref.tell(number)
        ref.ask(None)
    ref.stop()


async def _ask_many(ref: ActorRef, count: int) -> None:
    for number in range(count):
        await ref.ask(number, timeout_s=5)


def mooring_ask(askers: int) -> Callable[[list[float]], Awaitable[None]]:
    async def run(rates: list[float]) -> None:
        each = 30_000 // askers
        async with open_supervisor("bench") as supervisor:
            ref = supervisor.spawn(_Echo, "echo/1")
            await _drain(ref)
            with _timed(rates, each * askers):
                async with trio.open_nursery() as nursery:
                    for _ in range(askers):
                        nursery.start_soon(_ask_many, ref, each)

    return run


def channel_ask(askers: int) -> Callable[[list[float]], Awaitable[None]]:
    """The idiom without an actor library: a reply channel and a deadline for each ask."""

    async def run(rates: list[float]) -> None:
        each = 9_600 // askers
        send, receive = trio.open_memory_channel[Any](1024)

        async def serve() -> None:
            async for number, reply in receive:
                reply.send_nowait(number)

        async def ask() -> None:
            for number in range(each):
                reply_send, reply_receive = trio.open_memory_channel[int](1)
                with trio.fail_after(5):
                    await send.send((number, reply_send))
                    await reply_receive.receive()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            with _timed(rates, each * askers):
                async with trio.open_nursery() as askers_nursery:
                    for _ in range(askers):
                        askers_nursery.start_soon(ask)
            nursery.cancel_scope.cancel()

    return run


async def pykka_ask(rates: list[float]) -> None:
    count = 5_000
    ref = _PykkaEcho.start()
    with _timed(rates, count):
        for number in range(count):
            ref.ask(number, timeout=5)
    ref.stop()


async def mooring_spawn(rates: list[float]) -> None:
    count = 5_000
    addresses = [f"echo/{number}" for number in range(count)]
    async with open_supervisor("bench") as supervisor:
        with _timed(rates, count):
            for address in addresses:
                supervisor.spawn(_Echo, address)
            await trio.lowlevel.checkpoint()
            await supervisor.stop_all()


async def channel_spawn(rates: list[float]) -> None:
    count = 5_000

    async def consume(receive: trio.MemoryReceiveChannel[int]) -> None:
        async for _ in receive:
            pass

    with _timed(rates, count):
        async with trio.open_nursery() as nursery:
            senders = []
            for _ in range(count):
                send, receive = trio.open_memory_channel[int](1024)
                nursery.start_soon(consume, receive)
                senders.append(send)
            await trio.lowlevel.checkpoint()
            for send in senders:
                send.close()


async def pykka_spawn(rates: list[float]) -> None:
    count = 500
    with _timed(rates, count):
        refs = [_PykkaEcho.start() for _ in range(count)]
        for ref in refs:
            ref.stop()


async def mooring_bytes(sizes: list[float]) -> None:
    async def spawn(supervisor: Supervisor, count: int) -> None:
        refs = [supervisor.spawn(_Echo, f"echo/{number}") for number in range(count)]
        await trio.testing.wait_all_tasks_blocked()
        del refs

    async with open_supervisor("bench") as supervisor:
        await _measure_bytes(sizes, lambda count: spawn(supervisor, count))


async def channel_bytes(sizes: list[float]) -> None:
    async with trio.open_nursery() as nursery:
        kept = []

        async def consume(receive: trio.MemoryReceiveChannel[int]) -> None:
            async for _ in receive:
                pass

        async def spawn(count: int) -> None:
            for _ in range(count):
                send, receive = trio.open_memory_channel[int](1024)
                nursery.start_soon(consume, receive)
                kept.append(send)
            await trio.testing.wait_all_tasks_blocked()

        await _measure_bytes(sizes, spawn)
        nursery.cancel_scope.cancel()


async def _measure_bytes(
    sizes: list[float], spawn: Callable[[int], Awaitable[None]], count: int = 5_000
) -> None:
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    await spawn(count)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    sizes.append((after - before) / count)


Subject = Callable[[list[float]], Awaitable[None]]
ROWS: dict[str, dict[str, Subject]] = {
    "tell_nowait": {"mooring": mooring_tell_nowait, "channel": channel_send, "pykka": pykka_tell},
    "tell": {"mooring": mooring_tell, "channel": channel_send, "pykka": pykka_tell},
    "ask, sequential": {"mooring": mooring_ask(1), "channel": channel_ask(1), "pykka": pykka_ask},
    "ask, 64 askers": {"mooring": mooring_ask(64), "channel": channel_ask(64)},
    "spawn and stop": {"mooring": mooring_spawn, "channel": channel_spawn, "pykka": pykka_spawn},
    "bytes an idle actor": {"mooring": mooring_bytes, "channel": channel_bytes},
}


def measure() -> dict[str, dict[str, float]]:
    """Return the median of each subject of each row: per second, or bytes."""
    results: dict[str, dict[str, float]] = {}
    for row, subjects in ROWS.items():
        samples: dict[str, list[float]] = {name: [] for name in subjects}
        for _ in range(_ROUNDS):
            for name, subject in subjects.items():
                trio.run(subject, samples[name])
        results[row] = {name: statistics.median(values) for name, values in samples.items()}
    return results
