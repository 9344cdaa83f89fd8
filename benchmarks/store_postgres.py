"""The durable log in PostgreSQL beside asyncpg inserting one event per commit.

A server of our own that flushes to the disk. Mooring's commit is an event of 200 bytes and a
catalogue row of 150; the others insert the event alone. They have all the connections that the
store has: lent by the store's own pool on Trio, and by asyncpg's pool on a bare asyncio loop, in a
thread of its own. Rounds and medians as in `store.py`, which runs this.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import asyncpg
import trio

from benchmarks.report import Table
from benchmarks.writers import BODY, SECONDS, grouped, run_writers
from engine.clock import SystemClock
from engine.store import open_postgres
from engine.store._postgres_connection import Connection, asyncio_loop, dial
from engine.store._postgres_pool import Pool
from engine.store._postgres_url import PostgresUrl

# It is the tests' server: neither they nor the benchmarks have any other use for one.
from tests.faults.private_postgres import PrivatePostgres, private_postgres

_ROUNDS: Final = 5
_WRITERS: Final = (1, 16, 256, 2_000)
_CONNECTIONS: Final = 8  # what an open store may have

_MOORING: Final = "Mooring"
_POOL: Final = "one event per commit, same pool"
_ASYNCIO: Final = "one event per commit, asyncpg's pool on asyncio"
REACH: Final = {"256 writers": {_POOL: 4.0, _ASYNCIO: 4.0}}

_TABLE: Final = """
    CREATE TABLE IF NOT EXISTS plain (session bigint, seq bigint, type text, at bigint, body bytea,
        PRIMARY KEY (session, seq));
    TRUNCATE plain
"""
_INSERT: Final = "INSERT INTO plain VALUES ($1, $2, 'note', 1, $3)"


@asynccontextmanager
async def _pool(url: str) -> AsyncIterator[Pool]:
    async with asyncio_loop() as loop:
        place = PostgresUrl(url)
        pool = Pool(partial(dial, place, {}, loop), size=_CONNECTIONS, clock=SystemClock())
        try:
            yield pool
        finally:
            await pool.close()


async def pooled(url: str, writers: int) -> float:
    """Events a second, each inserted and committed by itself, through the store's own pool."""

    async def insert(connection: Connection, session: int, seq: int) -> None:
        await connection.fetch(_INSERT, session, seq, BODY, within_s=30)

    async with _pool(url) as pool:

        async def write(session: int, seq: int) -> None:
            await pool.run(30, insert, session, seq)

        rate, _ = await run_writers(writers, write)
    return rate


def on_asyncio(url: str, writers: int) -> float:
    """Events a second, the same with nothing of Mooring's or Trio's."""
    return asyncio.run(_on_asyncio(url, writers))


async def _on_asyncio(url: str, writers: int) -> float:
    written = 0

    async def run(session: int, until: float) -> None:
        nonlocal written
        seq = 0
        while time.perf_counter() < until:
            seq += 1
            await pool.execute(_INSERT, session, seq, BODY)
            written += 1

    async with asyncpg.create_pool(url, min_size=_CONNECTIONS, max_size=_CONNECTIONS) as pool:
        began = time.perf_counter()
        await asyncio.gather(*(run(session, began + SECONDS) for session in range(writers)))
        return written / (time.perf_counter() - began)


async def measure() -> list[Table]:
    """Return events a second, and what a commit takes."""
    rates: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    took: dict[str, list[float]] = defaultdict(list)
    server = private_postgres(durable=True)
    postgres = await trio.to_thread.run_sync(server.__enter__)
    try:
        for _ in range(_ROUNDS):
            for writers in _WRITERS:
                row = f"{writers:,} writers"
                took[row].append(await _measure(postgres, writers, rates[row]))
    finally:
        await trio.to_thread.run_sync(server.__exit__, None, None, None)
    return [
        Table(
            title="durable events in PostgreSQL",
            unit="per second",
            rows={
                row: {column: statistics.median(values) for column, values in columns.items()}
                for row, columns in rates.items()
            },
            subject=_MOORING,
            reach=REACH,
        ),
        Table(
            title="a commit to PostgreSQL",
            unit="ms",
            rows={row: {"p99": statistics.median(values)} for row, values in took.items()},
        ),
    ]


async def _measure(postgres: PrivatePostgres, writers: int, rates: dict[str, list[float]]) -> float:
    """Run every subject once; return the 99th percentile of Mooring's commits in ms."""
    await trio.to_thread.run_sync(partial(postgres.sql, _TABLE))
    async with open_postgres(postgres.url(schema=f"store_{writers}")) as store:
        rate, p99 = await grouped(store, writers)
    rates[_MOORING].append(rate)
    rates[_POOL].append(await pooled(postgres.url(schema="public"), writers))
    await trio.to_thread.run_sync(partial(postgres.sql, _TABLE))
    rates[_ASYNCIO].append(await trio.to_thread.run_sync(on_asyncio, postgres.url(), writers))
    return p99
