"""The default store: one SQLite file, one writer with group commit, a few readers beside it.

Durable means: in the write-ahead log and flushed (`synchronous=FULL`) before anybody is told. Wall
time enters only to let aliases expire. A program that does other work on its loop should call
`sys.setswitchinterval(20e-6)`: a busy loop otherwise keeps the writer's thread waiting for the
interpreter lock (256 writers beside 64 busy askers: 0.5 k events/s with the default 5 ms).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import trio

from engine.clock import Clock, SystemClock
from engine.errors import StoreUnavailable
from engine.store import _sqlite_erase as erasing
from engine.store import _sqlite_read as reading
from engine.store import _sqlite_transfer as transfer
from engine.store._commit import Commit
from engine.store._cursor import ListCursors
from engine.store._group_commit import CommitLimits, GroupCommit, running
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
from engine.store._rules import check_page, findable, is_matchable, milliseconds
from engine.store._sqlite_check import check
from engine.store._sqlite_list import list_rows, tally
from engine.store._sqlite_readers import Readers, read_alone
from engine.store._sqlite_writer import Writer, begin_epoch, open_writer

_CLOSE_S: Final = 10.0
_WRITE_S: Final = 60.0
_ERASE_S: Final = 120.0


class SqliteStore:
    """The store protocol over one file; made by `open_sqlite`."""

    def __init__(
        self, path: Path, writer: Writer, readers: Readers, clock: Clock, limits: CommitLimits
    ) -> None:
        self.group = GroupCommit(writer.apply, limits)
        self._path = path
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._cursors = ListCursors(writer.cursor_key)
        self._epoch = 0

    @property
    def exclusive(self) -> bool:
        return True

    async def begin_epoch(self) -> int:
        self._epoch = await self._writer.run(_WRITE_S, begin_epoch)
        return self._epoch

    def commit(self, commit: Commit, *, timeout_s: float = 10.0) -> Coroutine[Any, Any, CommitDone]:
        return self.group.commit(commit, timeout_s)

    async def read(
        self, stream: str, *, after: int = 0, limit: int = 100, max_bytes: int = PAGE_BYTES
    ) -> Page:
        check_page(limit, max_bytes)
        return await self._readers.run(reading.read, findable(stream), after, limit, max_bytes)

    async def newest(self, stream: str) -> int:
        return await self._readers.run(reading.newest, findable(stream))

    async def load(self, stream: str) -> Loaded:
        return await self._readers.run(reading.load, findable(stream))

    async def list_rows(self, query: ListQuery) -> Listing:
        check_page(query.limit)
        if not is_matchable(query):
            await trio.lowlevel.checkpoint()
            return Listing(entries=(), next_cursor=None)
        place = self._cursors.open(query)
        found = await self._readers.run(list_rows, query, place, query.limit + 1)
        return self._cursors.page(query, found)

    async def tally(self) -> tuple[Tally, ...]:
        return await self._readers.run(tally)

    async def resolve(self, alias: str) -> Alias | None:
        return await self._readers.run(reading.resolve, findable(alias), self._now_ms())

    async def due(
        self, before_ms: int, *, limit: int = 100, after: Due | None = None
    ) -> tuple[Due, ...]:
        check_page(limit)
        return await self._readers.run(reading.due, before_ms, limit, after)

    async def prune(self, stream: str, *, types: frozenset[str], after: int, through: int) -> int:
        pruned = 0
        while after < through:
            removed, after = await self._writer.run(
                _WRITE_S, erasing.prune, findable(stream), types, after, through
            )
            pruned += removed
        return pruned

    async def erase(self, stream: str, *, epoch: int) -> None:
        await self._writer.run(_WRITE_S, erasing.bury, findable(stream), epoch)
        # The stream is out of reach; a caller that goes away now does not leave its events behind.
        with trio.move_on_after(_ERASE_S, shield=True):
            return await self._writer.empty_graves(_WRITE_S)
        raise StoreUnavailable("the events of an erased stream are not all removed yet")

    # The file has one server at a time, and each start is a new epoch: every stream is ours.

    async def own(self, stream: str, *, node: str, lease_s: float) -> int:
        await trio.lowlevel.checkpoint()
        return self._epoch

    async def renew(self, held: Mapping[str, int], *, node: str, lease_s: float) -> frozenset[str]:
        await trio.lowlevel.checkpoint()
        return frozenset(held)

    async def disown(self, held: Mapping[str, int], *, node: str) -> None:
        await trio.lowlevel.checkpoint()

    async def forget_expired(self, *, limit: int = 1_000) -> int:
        return await self._writer.run(_WRITE_S, erasing.forget_expired, self._now_ms(), limit)

    async def check(self) -> CheckReport:
        return await read_alone(self._path, check)

    def export(self) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        return transfer.export_lines(self._path)

    async def import_lines(self, lines: AsyncIterable[bytes]) -> Transferred:
        return await transfer.import_lines(self._path, lines)

    def statistics(self) -> StoreStatistics:
        return self.group.statistics(reads=self._readers.reads, damage=self._readers.damage)

    def _now_ms(self) -> int:
        return milliseconds(self._clock.now())


@asynccontextmanager
async def open_sqlite(
    path: Path,
    *,
    clock: Clock | None = None,
    limits: CommitLimits | None = None,
    max_bytes: int | None = None,
) -> AsyncIterator[SqliteStore]:
    """Open the store in a file for the length of a block; it is made when it is not there.

    What a crash left behind is put in order first: the log is replayed, an erasure that had begun
    is finished. At the end of the block, what stands in line is committed.

    Args:
        clock: what aliases expire by; default the system's.
        max_bytes: what the file may grow to; beyond it commits get StoreUnavailable.

    Raises:
        StoreTooNew, StoreDamaged: the file is left as it is.
        StoreUnavailable: it cannot be made, opened or written.
    """
    clock = clock or SystemClock()
    async with open_writer(
        path, now_ms=lambda: milliseconds(clock.now()), max_bytes=max_bytes
    ) as writer:
        readers = await trio.to_thread.run_sync(Readers, path)
        try:
            store = SqliteStore(path, writer, readers, clock, limits or CommitLimits())
            async with running(store.group, close_timeout_s=_CLOSE_S):
                yield store
        finally:
            readers.close()
