"""Live streams: deliveries, lateness and memory, beside two broadcasts without a log.

The same subscribers (`benchmarks.subscribers`, a process of its own) read from Mooring, where every
event is durable before it is sent, and from broadcasts of bare Quart-Trio and of trio-websocket,
which keep nothing (`benchmarks.sides`). The same writers post, four at a time; each post causes
four events, of the same size on each side. Rounds are interleaved, and medians are given.
`python -m benchmarks streams`.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

from benchmarks.bare_broadcast import EVENTS_PER_POST
from benchmarks.report import Table
from benchmarks.sides import BASELINES, MOORING, QUART, Side, bare, mooring

_ROUNDS: Final = 3
_WRITERS: Final = 4
_POSTS: Final = 80
_PACED_POSTS: Final = 75
_PACE_S: Final = EVENTS_PER_POST / 100
_IDLE: Final = 1_000
_FEW_IDLE: Final = 100  # before it is counted: what is allocated once is there then
_EVENT_BYTES: Final = 300
# Subscribers, and streams that they are dealt out among.
_FAN_OUTS: Final = {
    "100 subscribers of one stream": (100, 1),
    "1,000 subscribers of one stream": (1_000, 1),
    "1,000 subscribers of ten streams": (1_000, 10),
}

Samples: TypeAlias = dict[str, dict[str, list[float]]]


@contextmanager
def _subscribed(
    side: Side, subscribers: int, events: int
) -> Iterator[Callable[[], dict[str, Any]]]:
    """Keep so many subscribers for the length of a block; what is yielded waits for their end."""
    command = [sys.executable, "-m", "benchmarks.subscribers", side.host]
    process = subprocess.Popen(
        [*command, str(subscribers), str(events), *side.targets],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    output = process.stdout
    try:
        assert output.readline() == "ready\n"
        yield lambda: json.loads(output.readline())
    except BaseException:
        process.kill()
        raise
    finally:
        process.communicate()


def fan_out(side: Side, subscribers: int) -> tuple[float, float]:
    """Return deliveries a second with posts as fast as they are taken, and an event's size."""
    streams = len(side.targets)
    events = _POSTS * EVENTS_PER_POST // streams
    with (
        _subscribed(side, subscribers, events) as end,
        ThreadPoolExecutor(_WRITERS) as writers,
    ):
        for _ in writers.map(side.post, [number % streams for number in range(_POSTS)]):
            pass
        found = end()
    return subscribers * events / (found["last"] - found["first"]), found["size_bytes"]


def lateness(side: Side) -> list[float]:
    """Return by how many milliseconds events came after their own time, at 100 a second."""
    with _subscribed(side, 100, _PACED_POSTS * EVENTS_PER_POST) as end:
        due = time.monotonic()
        for _ in range(_PACED_POSTS):
            side.post(0)
            due += _PACE_S
            time.sleep(max(0.0, due - time.monotonic()))  # noqa: TID251 - outside of any loop
        late: list[float] = end()["late_ms"]
        return late


def idle_bytes(side: Side) -> float:
    """Return what an idle subscriber costs the server."""
    with _subscribed(side, _FEW_IDLE, 0):
        before = side.memory_bytes()
        with _subscribed(side, _IDLE, 0):
            return (side.memory_bytes() - before) / _IDLE


def measure() -> list[Table]:
    """Return the tables; each round measures every side in turn."""
    rates: Samples = defaultdict(lambda: defaultdict(list))
    late: dict[str, list[float]] = defaultdict(list)
    idle: dict[str, list[float]] = defaultdict(list)
    for _ in range(_ROUNDS):
        for name, (subscribers, streams) in _FAN_OUTS.items():
            with mooring(streams) as side:
                rate, size = fan_out(side, subscribers)
                rates[name][MOORING].append(rate)
            for kind in BASELINES:
                with bare(kind, streams, round(size)) as side:
                    rates[name][kind].append(fan_out(side, subscribers)[0])
        for kind in (MOORING, *BASELINES):
            with mooring(1) if kind == MOORING else bare(kind, 1, _EVENT_BYTES) as side:
                late[kind] += lateness(side)
                idle[kind].append(idle_bytes(side))
    return _tables(rates, late, idle)


def _tables(
    rates: Samples, late: dict[str, list[float]], idle: dict[str, list[float]]
) -> list[Table]:
    cuts = {kind: statistics.quantiles(found, n=100) for kind, found in late.items()}
    return [
        Table(
            title="deliveries",
            unit="per second",
            rows={
                name: {kind: statistics.median(found) for kind, found in sides.items()}
                for name, sides in rates.items()
            },
            subject=MOORING,
            reach={next(iter(_FAN_OUTS)): {QUART: 0.8}},
        ),
        Table(
            title="from an event's time to its receipt, 100 subscribers, 100 events a second",
            unit="ms",
            rows={
                "p50": {kind: found[49] for kind, found in cuts.items()},
                "p99": {kind: found[98] for kind, found in cuts.items()},
            },
        ),
        Table(
            title="memory of an idle subscriber at the server",
            unit="bytes",
            rows={"1,000 of one stream": {k: statistics.median(it) for k, it in idle.items()}},
        ),
    ]
