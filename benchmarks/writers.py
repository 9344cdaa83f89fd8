"""Writers that each write one event after the other, to a store or to whatever is beside it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from engine.store import CatalogueRow, Commit, Event, Store

SECONDS: Final = 1.0
BODY: Final = b"x" * 200
SUMMARY: Final = b"s" * 150


async def grouped(store: Store, writers: int) -> tuple[float, float]:
    """Events a second of so many tasks on a store, and the 99th percentile of a commit in ms."""
    epoch = await store.begin_epoch()

    async def write(session: int, seq: int) -> None:
        stream = f"conversation/{epoch}-{session}"
        await store.commit(
            Commit(
                stream=stream,
                epoch=epoch,
                expected_seq=seq - 1,
                events=(Event(seq=seq, type="note", at_ms=1, body=BODY),),
                row=CatalogueRow(
                    owner=stream,
                    status="active",
                    created_at_ms=1,
                    updated_at_ms=seq,
                    summary=SUMMARY,
                ),
            ),
            timeout_s=30,
        )

    return await run_writers(writers, write)


async def run_writers(
    writers: int, write: Callable[[int, int], Awaitable[None]]
) -> tuple[float, float]:
    """Let each writer begin its stream, then let all of them write for a while."""
    latencies: list[float] = []
    clock = time.perf_counter

    async def run(session: int, until: float, seq: int) -> None:
        while (began := clock()) < until:
            await write(session, seq)
            latencies.append(clock() - began)
            seq += 1

    async with trio.open_nursery() as nursery:
        for session in range(writers):
            nursery.start_soon(write, session, 1)
    began = clock()
    async with trio.open_nursery() as nursery:
        for session in range(writers):
            nursery.start_soon(run, session, began + SECONDS, 2)
    rate = len(latencies) / (clock() - began)
    return rate, sorted(latencies)[int(len(latencies) * 0.99)] * 1000
