"""The durable log: group commit beside one commit per event, idle and busy; pages of long lists.

One event of 200 bytes and a catalogue row of 150, durable before anybody is told. What is to be
reached is held against the same writers that each await a commit of their own; the bare thread,
which serves no loop, is there to show what the hop between threads costs. Every round runs all
subjects in turn, and medians of the rounds are quoted: these machines are noisy, and ratios carry
over where figures don't. PostgreSQL's part is in `store_postgres.py`. `python -m benchmarks store`.
"""

from __future__ import annotations

import sqlite3
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec
import trio

from benchmarks import restoring, store_postgres
from benchmarks.report import Table
from benchmarks.writers import BODY, SECONDS, SUMMARY, grouped, run_writers
from engine import Actor, ActorRef, open_supervisor
from engine.store import CatalogueRow, Commit, ListQuery, SqliteStore, open_sqlite

_ROUNDS: Final = 5
_WRITERS: Final = (1, 16, 256, 2_000)
_ASKERS: Final = 64
_SESSIONS: Final = 100_000

_MOORING: Final = "Mooring"
_BARE: Final = "one commit per event, bare thread"
_AWAITED: Final = "one commit per event, awaited"
_BUSY: Final = f"256 writers beside {_ASKERS} busy askers"
REACH: Final = {
    "16 writers": {_AWAITED: 7.0},
    "256 writers": {_AWAITED: 20.0},
    _BUSY: {_AWAITED: 10.0, "256 writers alone": 0.5},
}

Samples: TypeAlias = dict[str, dict[str, list[float]]]


class Plain:
    """What one writes without a store: an event, a row, a commit."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(
            "CREATE TABLE events (session, seq, type, at, body, PRIMARY KEY (session, seq));"
            "CREATE TABLE catalogue (session PRIMARY KEY, seq, status, updated, summary);"
        )

    def write(self, session: int, seq: int) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        execute("INSERT INTO events VALUES (?, ?, 'note', 1, ?)", (session, seq, BODY))
        execute("REPLACE INTO catalogue VALUES (?, ?, 'active', 1, ?)", (session, seq, SUMMARY))
        execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


def bare(folder: Path) -> float:
    """Events a second in a loop that does nothing else: no task, no hop between threads."""
    plain = Plain(folder / "bare.db")
    count = 0
    began = time.perf_counter()
    while (took := time.perf_counter() - began) < SECONDS:
        count += 1
        plain.write(0, count)
    plain.close()
    return count / took


async def awaited(folder: Path, writers: int) -> float:
    """Events a second of so many tasks that each await a commit of their own in the one thread."""
    plain = Plain(folder / f"awaited-{writers}.db")
    turn = trio.CapacityLimiter(1)

    async def write(session: int, seq: int) -> None:
        await trio.to_thread.run_sync(plain.write, session, seq, limiter=turn)

    rate, _ = await run_writers(writers, write)
    plain.close()
    return rate


class _Echo(Actor):
    def handle(self, message: Any) -> Any:
        return message


@asynccontextmanager
async def busy_askers() -> AsyncIterator[list[int]]:
    """Keep the loop busy with asks for the length of a block; yields their count."""
    asked = [0]

    async def ask(ref: ActorRef) -> None:
        while True:
            await ref.ask(1, timeout_s=5)
            asked[0] += 1

    async with open_supervisor("bench") as supervisor, trio.open_nursery() as nursery:
        ref = supervisor.spawn(_Echo, "echo/1")
        for _ in range(_ASKERS):
            nursery.start_soon(ask, ref)
        yield asked
        nursery.cancel_scope.cancel()


async def measure_round(folder: Path, rates: Samples, latencies: Samples) -> None:
    """Run every subject once."""
    plain = bare(folder)
    alone = singly = 0.0
    for writers in _WRITERS:
        row = f"{writers:,} writers"
        async with open_sqlite(folder / f"{writers}.db") as store:
            rate, p99 = await grouped(store, writers)
        rates[row][_MOORING].append(rate)
        rates[row][_BARE].append(plain)
        awaiting = await awaited(folder, writers)
        rates[row][_AWAITED].append(awaiting)
        latencies[row]["p99"].append(p99)
        if writers == 256:
            alone, singly = rate, awaiting
    async with open_sqlite(folder / "busy.db") as store, busy_askers() as asked:
        began = time.perf_counter()
        rate, p99 = await grouped(store, 256)
        asks = asked[0] / (time.perf_counter() - began)
    rates[_BUSY][_MOORING].append(rate)
    rates[_BUSY][_BARE].append(plain)
    rates[_BUSY][_AWAITED].append(singly)
    rates[_BUSY]["256 writers alone"].append(alone)
    latencies[_BUSY]["p99"].append(p99)
    rates["asks beside them"]["asks"].append(asks)


async def fill(store: SqliteStore) -> None:
    """Create the sessions: a thousand users with a hundred each, one in a hundred active."""
    epoch = await store.begin_epoch()

    async def create(first: int) -> None:
        for number in range(first, _SESSIONS, 500):
            row = CatalogueRow(
                owner=f"user-{number % 1000}",
                status="active" if number >= _SESSIONS - 1000 else "closed",
                created_at_ms=number * 7919 % _SESSIONS,
                updated_at_ms=number,
                summary=SUMMARY,
                tags={"business": f"B{number % 10}"},
            )
            stream = f"conversation/{number:08d}"
            await store.commit(Commit(stream=stream, epoch=epoch, expected_seq=0, row=row))

    async with trio.open_nursery() as nursery:
        for first in range(500):
            nursery.start_soon(create, first)


async def measure_lists(folder: Path) -> dict[str, dict[str, float]]:
    """Milliseconds of a page of 20, walking through each list for 200 pages."""
    queries = {
        "a user's history": ListQuery(kind="conversation", owner="user-500"),
        "a user's active one": ListQuery(kind="conversation", owner="user-500", status="active"),
        "a business's active ones": ListQuery(
            kind="conversation", status="active", tags={"business": "B3"}
        ),
        "everything": ListQuery(kind="conversation"),
    }
    rows: dict[str, dict[str, float]] = {}
    async with open_sqlite(folder / "list.db") as store:
        await fill(store)
        for name, query in queries.items():
            took = await _walk(store, query)
            rows[name] = {
                "median": statistics.median(took),
                "p99": sorted(took)[int(len(took) * 0.99)],
            }
    return rows


async def _walk(store: SqliteStore, query: ListQuery) -> Sequence[float]:
    took: list[float] = []
    for _ in range(200):
        began = time.perf_counter()
        page = await store.list_rows(query)
        took.append((time.perf_counter() - began) * 1000)
        query = msgspec.structs.replace(query, cursor=page.next_cursor)
    return took


def _medians(samples: Samples) -> dict[str, dict[str, float]]:
    return {
        row: {column: statistics.median(values) for column, values in columns.items()}
        for row, columns in samples.items()
    }


@contextmanager
def _switching(interval_s: float) -> Iterator[None]:
    """Let threads take turns as the server's composition root has them do."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(interval_s)
    yield
    sys.setswitchinterval(before)


async def measure() -> list[Table]:
    """Return events a second, what a commit takes, and what a page of a list takes."""
    rates: Samples = defaultdict(lambda: defaultdict(list))
    latencies: Samples = defaultdict(lambda: defaultdict(list))
    with _switching(20e-6):
        for _ in range(_ROUNDS):
            with tempfile.TemporaryDirectory(prefix="mooring-bench-") as name:
                await measure_round(Path(name), rates, latencies)
        with tempfile.TemporaryDirectory(prefix="mooring-bench-") as name:
            lists = await measure_lists(Path(name))
    postgres = await store_postgres.measure()
    restored = await trio.to_thread.run_sync(restoring.measure)
    asks = _medians(rates).pop("asks beside them")["asks"]
    del rates["asks beside them"]
    return [
        Table(
            title="durable events",
            unit="per second",
            rows=_medians(rates),
            subject=_MOORING,
            reach=REACH,
        ),
        Table(title="a commit", unit="ms", rows=_medians(latencies)),
        Table(title="beside the busy writers", unit="per second", rows={"asks": {"asks": asks}}),
        Table(title=f"a page of 20 of {_SESSIONS:,} sessions", unit="ms", rows=lists),
        *postgres,
        *restored,
    ]
