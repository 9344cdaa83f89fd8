"""A few connections for reading, in threads, beside the writer and never waiting for it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

import trio

from engine.errors import StoreDamaged, StoreUnavailable
from engine.store._sqlite_file import connect, translated

_P = ParamSpec("_P")
_T = TypeVar("_T")

# How many steps of SQLite's machine pass between two looks at whether anybody still waits.
_STEPS: Final = 20_000


class Readers:
    """Runs reads, at most one per connection at a time; further ones wait their turn.

    A read that is cancelled, or takes longer than `timeout_s`, is interrupted. Blocking: make it in
    a thread.

    Attributes:
        reads: how many were asked for.
        damage: what a read has met with that is damaged; it does not mend by itself.
    """

    def __init__(self, path: Path, *, connections: int = 2, timeout_s: float = 30.0) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._limiter = trio.CapacityLimiter(connections)
        self._idle = [_open_reader(path) for _ in range(connections)]
        self._closed = False
        self.reads = 0
        self.damage: str | None = None

    async def run(
        self,
        work: Callable[Concatenate[sqlite3.Connection, _P], _T],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _T:
        """Return what `work` makes of a connection and these arguments, in a thread.

        Raises:
            StoreUnavailable: it took too long, or the database failed.
            StoreDamaged: what was to be read is damaged.
        """
        if self._closed:
            raise StoreUnavailable("it is closed")
        self.reads += 1
        with trio.move_on_after(self._timeout_s):
            return await trio.to_thread.run_sync(
                lambda: self._use(lambda one: work(one, *args, **kwargs)), limiter=self._limiter
            )
        raise StoreUnavailable(f"a read took longer than {self._timeout_s:g} s")

    def close(self) -> None:
        """Close the connections; a read that is still under way closes its own."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _use(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        connection = self._idle.pop()
        try:
            with _interruptible(connection, self._path):
                return work(connection)
        except StoreDamaged as error:
            self.damage = error.detail
            raise
        finally:
            self._idle.append(connection)
            if self._closed:
                self.close()


async def read_alone(path: Path, work: Callable[[sqlite3.Connection], _T]) -> _T:
    """Return what `work`, which may take long, makes of a connection of its own."""

    def run() -> _T:
        connection = _open_reader(path)
        try:
            with _interruptible(connection, path):
                return work(connection)
        finally:
            connection.close()

    return await trio.to_thread.run_sync(run)


def _open_reader(path: Path) -> sqlite3.Connection:
    connection = connect(path, read_only=True)
    connection.execute("PRAGMA query_only = ON")
    return connection


@contextmanager
def _interruptible(connection: sqlite3.Connection, path: Path) -> Iterator[None]:
    """Let the block, in a thread of Trio's, end early when the task that waits is cancelled."""
    connection.set_progress_handler(_is_given_up, _STEPS)
    try:
        yield
    except sqlite3.Error as error:
        trio.from_thread.check_cancelled()
        raise translated(error, path) from error
    finally:
        connection.set_progress_handler(None, 0)


def _is_given_up() -> bool:
    try:
        trio.from_thread.check_cancelled()
    except trio.Cancelled:
        return True  # interrupts the statement; raised again where it can be
    return False
