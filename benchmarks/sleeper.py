"""A thousand subscribers of one conversation, of which one reads nothing for 45 s.

What it is to show: the others are not slowed, the server's memory stays flat, and the sleeper gets
everything, in order, once it reads. The 45 s are real. `python -m benchmarks sleeper`.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import trio

from benchmarks.report import Table
from benchmarks.sides import Side, mooring
from benchmarks.subscribers import Subscriber, subscribe

_SUBSCRIBERS: Final = 1_000
_WARM_UP_S: Final = 10.0
_PHASE_S: Final = 45.0
_POST_EVERY_S: Final = 0.4
# Three of a post's four events carry it: 6 MB in 45 s, more than the system keeps for a socket.
_TEXT: Final = "x" * 18_000
_SETTLED_S: Final = 2.0


class _Head(msgspec.Struct):
    seq: int


class Listener(Subscriber):
    """Keeps the sequences of what it is sent."""

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream, timed=True)
        self.port = stream.socket.getsockname()[1]
        self.seqs: list[int] = []

    def keep(self, text: bytes) -> None:
        self.seqs.append(msgspec.json.decode(text, type=_Head).seq)

    async def read_to(self, seq: int) -> None:
        while not self.seqs or self.seqs[-1] < seq:
            await self.read(1)


async def _listen(side: Side) -> Listener:
    host, _, port = side.host.partition(":")
    listener = Listener(await trio.open_tcp_stream(host, int(port)))
    await listener.open(side.host, side.targets[0])
    listener.seqs.clear()
    return listener


async def _read_on(subscriber: Subscriber, scope: trio.CancelScope) -> None:
    with scope:
        while True:
            await subscriber.read(1)


async def _post(side: Side, for_s: float) -> None:
    """Post at a steady pace, and let what was posted come through."""
    due = trio.current_time()
    end = due + for_s
    while due < end:
        await trio.to_thread.run_sync(side.post, 0)
        due += _POST_EVERY_S
        await trio.sleep_until(due)
    await trio.sleep(_SETTLED_S)


def _lateness(subscribers: Sequence[Subscriber]) -> dict[str, float]:
    """Return how many milliseconds late events have come since it was last asked."""
    late = [ms for subscriber in subscribers for ms in subscriber.late_ms]
    for subscriber in subscribers:
        subscriber.late_ms.clear()
    cuts = statistics.quantiles(late, n=100)
    return {"p50": cuts[49], "p99": cuts[98]}


def _bytes_in_the_system(port: int) -> int:
    """Return what the system keeps for a connection on its way from one end to the other."""
    kept = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, here, there, _, queues, *_ = line.split()
        if f":{port:04X}" in here + there:
            kept += sum(int(size, 16) for size in queues.split(":"))
    return kept


async def measure() -> list[Table]:
    """Return how late the others' events are, and what the server takes, before and meanwhile."""
    late, memory = dict[str, dict[str, float]](), dict[str, float]()
    with mooring(1, content=_TEXT) as side:
        others = await subscribe(side.host, side.targets, _SUBSCRIBERS - 2)
        witness, sleeper = await _listen(side), await _listen(side)
        async with trio.open_nursery() as nursery:
            for subscriber in (*others, witness):
                nursery.start_soon(_read_on, subscriber, trio.CancelScope())
            awake = trio.CancelScope()
            nursery.start_soon(_read_on, sleeper, awake)
            await _post(side, _WARM_UP_S)
            _lateness(others)
            memory["45 s before it falls asleep"] = side.memory_bytes() / 2**20
            await _post(side, _PHASE_S)
            late["while all read"] = _lateness(others)
            memory["when it falls asleep"] = side.memory_bytes() / 2**20
            awake.cancel()
            fell_asleep, before = len(witness.seqs), witness.bytes
            await _post(side, _PHASE_S)
            late["while one sleeps"] = _lateness(others)
            memory["45 s later"] = side.memory_bytes() / 2**20
            slept, missed = len(witness.seqs) - fell_asleep, witness.bytes - before
            kept = _bytes_in_the_system(sleeper.port)
            await sleeper.read_to(witness.seqs[-1])
            nursery.cancel_scope.cancel()
    assert sleeper.seqs == witness.seqs
    first, last = witness.seqs[0], witness.seqs[-1]
    assert witness.seqs == [*range(first, last + 1)]
    woken = {"events": slept, "MiB": missed / 2**20, "MiB in the system's buffers": kept / 2**20}
    return [
        Table(title=f"{_SUBSCRIBERS:,} subscribers, how late events are", unit="ms", rows=late),
        Table(title="the server", unit="MiB", rows={"memory": memory}),
        Table(
            title="what the sleeper then got, in order, once",
            unit="as named",
            rows={"on waking": woken},
        ),
    ]
