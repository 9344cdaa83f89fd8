"""The one connection that writes, and the thread that uses it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

import trio

from engine.errors import StoreUnavailable
from engine.store import _sqlite_erase as erasing
from engine.store._commit import Commit
from engine.store._group_commit import Outcome
from engine.store._sqlite_batch import BatchWriter
from engine.store._sqlite_file import open_file, transaction, translated, truncate_wal
from engine.store._thread import WorkerThread

_P = ParamSpec("_P")
_T = TypeVar("_T")
_CLOSE_S: Final = 10.0
_CURSOR_KEY: Final = "SELECT value FROM meta WHERE name = 'cursor_key'"
_BEGIN_EPOCH: Final = "UPDATE meta SET value = value + 1 WHERE name = 'epoch' RETURNING value"


class Writer:
    """Everything that writes, one thing at a time; made in its thread, by `open_writer`."""

    def __init__(
        self, path: Path, thread: WorkerThread, now_ms: Callable[[], int], max_bytes: int | None
    ) -> None:
        self._path = path
        self._thread = thread
        self._connection = open_file(path, max_bytes=max_bytes)
        self._closed = False
        try:
            self._batches = BatchWriter(self._connection, path, now_ms)
            (self.cursor_key,) = self._connection.execute(_CURSOR_KEY).fetchone()
            self._empty_graves()
        except sqlite3.Error as error:
            self._connection.close()
            raise translated(error, path) from error

    def apply(self, commits: Sequence[Commit]) -> Awaitable[Sequence[Outcome]]:
        """Begin at once to make a batch durable."""
        return self._thread.begin(partial(self._batches.write, commits), then=self._batches.tidy)

    async def run(
        self,
        timeout_s: float,
        work: Callable[Concatenate[sqlite3.Connection, _P], _T],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _T:
        """Return what `work` makes of the connection and these arguments, between two batches.

        It is waited for, also when cancelled, until the deadline: keep it short, and repeatable.
        """
        if self._closed:
            raise StoreUnavailable("it is closed")
        await trio.lowlevel.checkpoint_if_cancelled()
        with trio.move_on_after(timeout_s, shield=True):
            return await self._thread.begin(
                lambda: self._run(lambda connection: work(connection, *args, **kwargs))
            )
        raise StoreUnavailable("the storage stalled")

    async def empty_graves(self, timeout_s: float) -> None:
        """Remove all events of erased streams, and what the log still holds of them."""
        for no in await self.run(timeout_s, erasing.graves):
            while not await self.run(timeout_s, erasing.empty_grave, no):
                pass
        await self.run(timeout_s, truncate_wal)

    def close(self) -> None:
        """Close the connection, as the last thing that its thread does."""
        self._closed = True
        self._thread.begin(self._connection.close)

    def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            return work(self._connection)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error
        finally:
            self._batches.heads.forget()

    def _empty_graves(self) -> None:
        for no in erasing.graves(self._connection):
            while not erasing.empty_grave(self._connection, no):
                pass


@asynccontextmanager
async def open_writer(
    path: Path, *, now_ms: Callable[[], int], max_bytes: int | None
) -> AsyncIterator[Writer]:
    """Open the file for writing, in a thread of its own, for the length of a block."""
    thread = WorkerThread("mooring-store")
    try:
        with trio.CancelScope(shield=True):  # the file's own locks bound it
            writer = await thread.begin(partial(Writer, path, thread, now_ms, max_bytes))
        try:
            yield writer
        finally:
            writer.close()
    finally:
        await thread.close(_CLOSE_S)


def begin_epoch(connection: sqlite3.Connection) -> int:
    """See `Store.begin_epoch`."""
    with transaction(connection):
        (epoch,) = connection.execute(_BEGIN_EPOCH).fetchone()
        return int(epoch)
