"""A store in memory with the behaviour of the others, for tests in virtual time and simulation.

It has no thread and no file. A `MemoryDisk` is what survives closing: opened again, it is a
restart. A seed makes the store slow and failing in a way that repeats.
"""

from __future__ import annotations

import random  # noqa: TID251 - a seed of its own, so that faults repeat whatever else draws
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

from engine.clock import Clock, SystemClock
from engine.errors import ImportRefused, StoreUnavailable
from engine.store._commit import Commit
from engine.store._cursor import ListCursors
from engine.store._group_commit import CommitLimits, GroupCommit, Outcome, running
from engine.store._jsonl import FORMAT, ExportReader, ExportWriter, HeadRecord, StreamRecord
from engine.store._memory_disk import MemoryDisk
from engine.store._protocol import (
    PAGE_BYTES,
    Alias,
    CheckReport,
    CommitDone,
    Due,
    Listing,
    ListQuery,
    Loaded,
    Page,
    StoreStatistics,
    Tally,
    Transferred,
)
from engine.store._rules import check_page, is_matchable, milliseconds


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """How a store in memory misbehaves, repeatably.

    Args:
        latency_s: the longest that a batch or a read takes; each takes a random part of it.
        failure_rate: what part of the batches fails before anything is written, from 0 to 1.
    """

    seed: int = 0
    latency_s: float = 0.0
    failure_rate: float = 0.0


class MemoryStore:
    """The store protocol over a `MemoryDisk`; made by `open_memory`."""

    def __init__(
        self, disk: MemoryDisk, *, clock: Clock, faults: Faults, limits: CommitLimits
    ) -> None:
        self.group = GroupCommit(self._apply, limits)
        self._disk = disk
        self._clock = clock
        self._faults = faults
        self._random = random.Random(faults.seed)  # noqa: S311 - repeatable on purpose
        self._cursors = ListCursors(disk.cursor_key)
        self._reads = 0

    @property
    def exclusive(self) -> bool:
        return not self._disk.shared

    async def begin_epoch(self) -> int:
        await self._take_time()
        self._disk.epoch += 1
        return self._disk.epoch

    def commit(self, commit: Commit, *, timeout_s: float = 10.0) -> Coroutine[Any, Any, CommitDone]:
        return self.group.commit(commit, timeout_s)

    async def read(
        self, stream: str, *, after: int = 0, limit: int = 100, max_bytes: int = PAGE_BYTES
    ) -> Page:
        check_page(limit, max_bytes)
        await self._take_time()
        return self._disk.read(stream, after=after, limit=limit, max_bytes=max_bytes)

    async def newest(self, stream: str) -> int:
        await self._take_time()
        return self._disk.load(stream).seq

    async def load(self, stream: str) -> Loaded:
        await self._take_time()
        return self._disk.load(stream)

    async def list_rows(self, query: ListQuery) -> Listing:
        check_page(query.limit)
        await self._take_time()
        if not is_matchable(query):
            return Listing(entries=(), next_cursor=None)
        return self._cursors.page(query, self._disk.rows(query, self._cursors.open(query)))

    async def tally(self) -> tuple[Tally, ...]:
        await self._take_time()
        return self._disk.tally()

    async def resolve(self, alias: str) -> Alias | None:
        await self._take_time()
        return self._disk.resolve(alias, self._now_ms())

    async def due(
        self, before_ms: int, *, limit: int = 100, after: Due | None = None
    ) -> tuple[Due, ...]:
        check_page(limit)
        await self._take_time()
        return tuple(self._disk.due(before_ms, after)[:limit])

    async def prune(self, stream: str, *, types: frozenset[str], after: int, through: int) -> int:
        await self._take_time()
        return self._disk.prune(stream, types, after, through)

    async def erase(self, stream: str, *, epoch: int) -> None:
        await self._take_time()
        self._disk.erase(stream, epoch)

    async def own(self, stream: str, *, node: str, lease_s: float) -> int:
        await self._take_time()
        return self._disk.own(stream, node, lease_s, trio.current_time())

    async def renew(self, held: Mapping[str, int], *, node: str, lease_s: float) -> frozenset[str]:
        await self._take_time()
        return self._disk.renew(held, node, lease_s, trio.current_time())

    async def disown(self, held: Mapping[str, int], *, node: str) -> None:
        await self._take_time()
        self._disk.disown(held, node)

    async def forget_expired(self, *, limit: int = 1_000) -> int:
        await self._take_time()
        return self._disk.forget_expired(self._now_ms(), limit)

    async def check(self) -> CheckReport:
        await self._take_time()
        streams, events = self._disk.counts()
        return CheckReport(problems=(), streams=streams, events=events)

    @asynccontextmanager
    async def export(self) -> AsyncIterator[AsyncIterator[bytes]]:
        writer = ExportWriter()
        lines = [writer.line(HeadRecord(format=FORMAT, epoch=self._disk.epoch))]
        lines += map(writer.line, self._disk.records())
        lines.append(writer.end())

        async def give() -> AsyncIterator[bytes]:
            for line in lines:
                await trio.lowlevel.checkpoint()
                yield line

        yield give()

    async def import_lines(self, lines: AsyncIterable[bytes]) -> Transferred:
        reader = ExportReader()
        incoming = MemoryDisk()
        stream = ""
        async for line in lines:
            record = reader.read(line)
            if isinstance(record, StreamRecord):
                stream = record.stream
            try:
                if record is not None:
                    incoming.restore(record, stream)
            except KeyError as error:
                raise ImportRefused(f"{error} is there twice") from None
        transferred = reader.finish()
        if not self._disk.replace_if_empty(incoming, epoch=reader.epoch):
            raise ImportRefused("the store is not empty")
        return transferred

    def statistics(self) -> StoreStatistics:
        return self.group.statistics(reads=self._reads)

    def _now_ms(self) -> int:
        return milliseconds(self._clock.now())

    async def _take_time(self) -> None:
        self._reads += 1
        if self._faults.latency_s:
            await trio.sleep(self._random.uniform(0, self._faults.latency_s))
        else:
            await trio.lowlevel.checkpoint()

    async def _apply(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        if self._faults.latency_s:
            await trio.sleep(self._random.uniform(0, self._faults.latency_s))
        if self._random.random() < self._faults.failure_rate:
            return [StoreUnavailable("a fault was injected") for _ in commits]
        now_ms = self._now_ms()
        now_s = trio.current_time()
        return [self._disk.apply(commit, now_ms, now_s) for commit in commits]


@asynccontextmanager
async def open_memory(
    disk: MemoryDisk | None = None,
    *,
    clock: Clock | None = None,
    faults: Faults | None = None,
    limits: CommitLimits | None = None,
) -> AsyncIterator[MemoryStore]:
    """Open a store in memory for the length of a block.

    Args:
        disk: what an earlier store left behind; default an empty one.
        clock: what aliases expire by; default the system's.
    """
    store = MemoryStore(
        disk or MemoryDisk(),
        clock=clock or SystemClock(),
        faults=faults or Faults(),
        limits=limits or CommitLimits(),
    )
    async with running(store.group, close_timeout_s=10.0):
        yield store
