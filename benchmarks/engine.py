"""Actor core: tells, asks, spawns and memory, beside a bare Trio memory channel and Pykka.

Every row runs its subjects in turn, several times, and quotes the medians: these machines are
noisy, and ratios carry over where figures don't.

The baselines are what a good Trio programmer writes without an actor library. Of the idioms tried
for an ask with a deadline (a reply channel for each ask or for each asker, an event for each ask;
`send`, or `send_nowait` first) an event for each ask and `send_nowait` first is the fastest that
is as safe; a scope kept for many asks is faster and is not, for once it has fired it stays
cancelled. The reply channel for each ask, which is the plainest, stands beside it.
"""

from __future__ import annotations

import gc
import statistics
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeAlias

import pykka
import trio
from trio.testing import wait_all_tasks_blocked

from benchmarks.report import Table
from engine import Actor, ActorPolicy, ActorRef, Supervisor, open_supervisor

_ROUNDS: Final = 9
_LARGE: Final = ActorPolicy(inbox_capacity=100_000)

Rates: TypeAlias = list[float]
Subject: TypeAlias = Callable[[Rates], Awaitable[None]]


class _Echo(Actor):
    def handle(self, message: Any) -> Any:
        return message


class _PykkaEcho(pykka.ThreadingActor):
    def on_receive(self, message: Any) -> Any:
        return message


@contextmanager
def _timed(rates: Rates, count: int) -> Iterator[None]:
    started = time.perf_counter()
    yield
    rates.append(count / (time.perf_counter() - started))


async def _together(tasks: int, work: Callable[[int], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(tasks):
            nursery.start_soon(work, number)


# -- telling -----------------------------------------------------------------------------------


async def _drain(ref: ActorRef) -> None:
    await ref.ask(None, timeout_s=60)


async def mooring_tell_nowait(rates: Rates, count: int = 90_000) -> None:
    async with open_supervisor("bench") as supervisor:
        ref = supervisor.spawn(_Echo, "echo/1", policy=_LARGE)
        await _drain(ref)
        with _timed(rates, count):
            for number in range(count):
                ref.tell_nowait(number)
            await _drain(ref)


async def mooring_tell(rates: Rates, producers: int, count: int = 96_000) -> None:
    async with open_supervisor("bench") as supervisor:
        ref = supervisor.spawn(_Echo, "echo/1")
        await _drain(ref)

        async def produce(_: int) -> None:
            for number in range(count // producers):
                await ref.tell(number)

        with _timed(rates, count):
            await _together(producers, produce)
            await _drain(ref)


async def channel_send(rates: Rates, producers: int, count: int = 32_000) -> None:
    send, receive = trio.open_memory_channel[int](1024)

    async def produce(_: int) -> None:
        for number in range(count // producers):
            await send.send(number)

    with _timed(rates, count):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_consume, receive)
            async with send:
                await _together(producers, produce)


async def channel_send_nowait(rates: Rates, count: int = 90_000) -> None:
    send, receive = trio.open_memory_channel[int](100_000)
    with _timed(rates, count):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_consume, receive)
            async with send:
                for number in range(count):
                    send.send_nowait(number)


async def _consume(receive: trio.MemoryReceiveChannel[int]) -> None:
    async for _ in receive:
        pass


async def pykka_tell(rates: Rates, producers: int, count: int = 32_000) -> None:
    ref = _PykkaEcho.start()

    def produce() -> None:
        for number in range(count // producers):
            ref.tell(number)

    with _timed(rates, count):
        _in_threads(producers, produce)
        ref.ask(None)
    ref.stop()


def _in_threads(count: int, work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# -- asking ------------------------------------------------------------------------------------


async def mooring_ask(rates: Rates, askers: int, actors: int = 1, count: int = 32_000) -> None:
    async with open_supervisor("bench") as supervisor:
        refs = [supervisor.spawn(_Echo, f"echo/{number}") for number in range(actors)]
        await wait_all_tasks_blocked()

        async def ask(asker: int) -> None:
            ref = refs[asker % actors]
            for number in range(count // askers):
                await ref.ask(number, timeout_s=5)

        with _timed(rates, count):
            await _together(askers, ask)


class _Call:
    __slots__ = ("answer", "done", "number")

    answer: int

    def __init__(self, number: int) -> None:
        self.number = number
        self.done = trio.Event()


async def event_ask(rates: Rates, askers: int, actors: int = 1, count: int = 16_000) -> None:
    async def serve(receive: trio.MemoryReceiveChannel[_Call]) -> None:
        async for call in receive:
            call.answer = call.number
            call.done.set()

    async def ask(send: trio.MemorySendChannel[_Call], number: int) -> int:
        call = _Call(number)
        with trio.fail_after(5):
            try:
                send.send_nowait(call)
            except trio.WouldBlock:
                await send.send(call)
            await call.done.wait()
        return call.answer

    await _ask_servers(rates, serve, ask, askers=askers, actors=actors, count=count)


async def channel_ask(rates: Rates, askers: int, actors: int = 1, count: int = 16_000) -> None:
    async def serve(receive: trio.MemoryReceiveChannel[Any]) -> None:
        async for number, reply in receive:
            reply.send_nowait(number)

    async def ask(send: trio.MemorySendChannel[Any], number: int) -> int:
        reply, answer = trio.open_memory_channel[int](1)
        with trio.fail_after(5):
            await send.send((number, reply))
            return await answer.receive()

    await _ask_servers(rates, serve, ask, askers=askers, actors=actors, count=count)


async def _ask_servers(
    rates: Rates,
    serve: Callable[[Any], Awaitable[None]],
    ask: Callable[[Any, int], Awaitable[int]],
    *,
    askers: int,
    actors: int,
    count: int,
) -> None:
    sends: list[trio.MemorySendChannel[Any]] = []

    async def ask_many(asker: int) -> None:
        send = sends[asker % actors]
        for number in range(count // askers):
            await ask(send, number)

    async with trio.open_nursery() as nursery:
        for _ in range(actors):
            send, receive = trio.open_memory_channel[Any](1024)
            nursery.start_soon(serve, receive)
            sends.append(send)
        await wait_all_tasks_blocked()
        with _timed(rates, count):
            await _together(askers, ask_many)
        nursery.cancel_scope.cancel()


async def pykka_ask(rates: Rates, askers: int, count: int = 6_400) -> None:
    ref = _PykkaEcho.start()

    def ask() -> None:
        for number in range(count // askers):
            ref.ask(number, timeout=5)

    with _timed(rates, count):
        _in_threads(askers, ask)
    ref.stop()


# -- spawning ----------------------------------------------------------------------------------


async def mooring_spawn(rates: Rates, count: int = 5_000) -> None:
    addresses = [f"echo/{number}" for number in range(count)]
    async with open_supervisor("bench") as supervisor:
        with _timed(rates, count):
            for address in addresses:
                supervisor.spawn(_Echo, address)
            await trio.lowlevel.checkpoint()
            await supervisor.stop_all()


async def channel_spawn(rates: Rates, count: int = 5_000) -> None:
    with _timed(rates, count):
        async with trio.open_nursery() as nursery:
            senders = []
            for _ in range(count):
                send, receive = trio.open_memory_channel[int](1024)
                nursery.start_soon(_consume, receive)
                senders.append(send)
            await trio.lowlevel.checkpoint()
            for send in senders:
                send.close()


async def pykka_spawn(rates: Rates, count: int = 500) -> None:
    with _timed(rates, count):
        refs = [_PykkaEcho.start() for _ in range(count)]
        for ref in refs:
            ref.stop()


# -- memory ------------------------------------------------------------------------------------


async def mooring_bytes(sizes: list[float]) -> None:
    async def spawn(supervisor: Supervisor, count: int) -> None:
        refs = [supervisor.spawn(_Echo, f"echo/{number}") for number in range(count)]
        await wait_all_tasks_blocked()
        del refs

    async with open_supervisor("bench") as supervisor:
        await _measure_bytes(sizes, partial(spawn, supervisor))


async def channel_bytes(sizes: list[float]) -> None:
    async with trio.open_nursery() as nursery:
        kept = []

        async def spawn(count: int) -> None:
            for _ in range(count):
                send, receive = trio.open_memory_channel[int](1024)
                nursery.start_soon(_consume, receive)
                kept.append(send)
            await wait_all_tasks_blocked()

        await _measure_bytes(sizes, spawn)
        nursery.cancel_scope.cancel()


async def _measure_bytes(
    sizes: list[float], spawn: Callable[[int], Awaitable[None]], count: int = 5_000
) -> None:
    """Bytes of Python objects; what a thread's stack takes beside them is not in here."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    await spawn(count)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    sizes.append((after - before) / count)


# -- tables ------------------------------------------------------------------------------------

_MOORING: Final = "Mooring"
_CHANNEL: Final = "channel"
_NOWAIT: Final = "channel, send_nowait"
_EVENT: Final = "channel and event"
_PYKKA: Final = "Pykka"

TELLS: Final[dict[str, dict[str, Subject]]] = {
    "tell_nowait": {
        _MOORING: mooring_tell_nowait,
        _CHANNEL: partial(channel_send, producers=1),
        _NOWAIT: channel_send_nowait,
        _PYKKA: partial(pykka_tell, producers=1),
    },
    "tell": {
        _MOORING: partial(mooring_tell, producers=1),
        _CHANNEL: partial(channel_send, producers=1),
        _PYKKA: partial(pykka_tell, producers=1),
    },
    "tell, 16 producers": {
        _MOORING: partial(mooring_tell, producers=16),
        _CHANNEL: partial(channel_send, producers=16),
        _PYKKA: partial(pykka_tell, producers=16),
    },
}
ASKS: Final[dict[str, dict[str, Subject]]] = {
    "ask, one after another": {
        _MOORING: partial(mooring_ask, askers=1),
        _EVENT: partial(event_ask, askers=1),
        _CHANNEL: partial(channel_ask, askers=1),
        _PYKKA: partial(pykka_ask, askers=1),
    },
    "ask, 64 askers": {
        _MOORING: partial(mooring_ask, askers=64),
        _EVENT: partial(event_ask, askers=64),
        _CHANNEL: partial(channel_ask, askers=64),
        _PYKKA: partial(pykka_ask, askers=64),
    },
    "ask, 1,000 askers of 1,000 actors": {
        _MOORING: partial(mooring_ask, askers=1000, actors=1000),
        _EVENT: partial(event_ask, askers=1000, actors=1000),
        _CHANNEL: partial(channel_ask, askers=1000, actors=1000),
    },
}
SPAWNS: Final[dict[str, dict[str, Subject]]] = {
    "spawn and stop": {_MOORING: mooring_spawn, _CHANNEL: channel_spawn, _PYKKA: pykka_spawn},
}
SIZES: Final[dict[str, dict[str, Subject]]] = {
    "an idle actor": {_MOORING: mooring_bytes, _CHANNEL: channel_bytes},
}
# What was set out to be reached beside a bare channel and Pykka. An event for each ask is more
# than a bare channel; it stands there to keep the comparison honest.
REACH: Final = {
    "tell_nowait": {_CHANNEL: 8.0},
    "tell": {_CHANNEL: 6.0},
    "ask, one after another": {_CHANNEL: 2.5, _PYKKA: 4.0},
    "ask, 64 askers": {_CHANNEL: 5.0, _PYKKA: 4.0},
    "spawn and stop": {_CHANNEL: 1.0},
}


def measure() -> list[Table]:
    """Return the median of each subject of each row: per second, or bytes."""
    return [
        _table("tells", "per second", TELLS),
        _table("asks with a deadline of 5 s", "per second", ASKS),
        _table("actors", "per second", SPAWNS),
        _table("memory", "bytes", SIZES, less_is_better=True),
    ]


def _table(
    title: str, unit: str, rows: dict[str, dict[str, Subject]], *, less_is_better: bool = False
) -> Table:
    return Table(
        title=title,
        unit=unit,
        rows={row: _medians(subjects) for row, subjects in rows.items()},
        subject=_MOORING,
        less_is_better=less_is_better,
        reach={row: reach for row, reach in REACH.items() if row in rows},
    )


def _medians(subjects: dict[str, Subject]) -> dict[str, float]:
    samples: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(_ROUNDS):
        for name, subject in subjects.items():
            gc.collect()
            trio.run(subject, samples[name])
    return {name: statistics.median(values) for name, values in samples.items()}
