"""What tests of stores are made of."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from itertools import count as counting
from pathlib import Path
from typing import Any, Protocol

import trio

from engine.store import (
    CatalogueRow,
    Commit,
    CommitLimits,
    Event,
    MemoryDisk,
    Store,
    open_memory,
    open_postgres,
    open_sqlite,
)
from tests.faults.private_postgres import PrivatePostgres


class HandClock:
    """Wall time that a test moves by hand, from 1970 on."""

    def __init__(self) -> None:
        self.now_ms = 0

    def now(self) -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.now_ms)

    def random_bits(self, bits: int) -> int:
        raise AssertionError("a store makes no ids")

    def jitter(self) -> float:
        return 0.5


class Backend(Protocol):
    """One place that keeps a store: open it again, and it is a restart."""

    clock: HandClock

    def open(self, limits: CommitLimits | None = None) -> AbstractAsyncContextManager[Store]: ...


class MemoryBackend:
    def __init__(self) -> None:
        self.clock = HandClock()
        self._disk = MemoryDisk()

    def open(self, limits: CommitLimits | None = None) -> AbstractAsyncContextManager[Store]:
        return open_memory(self._disk, clock=self.clock, limits=limits)


class SqliteBackend:
    def __init__(self, folder: Path) -> None:
        self.clock = HandClock()
        self.path = folder / "store.db"
        self.where = str(self.path)

    def open(self, limits: CommitLimits | None = None) -> AbstractAsyncContextManager[Store]:
        return open_sqlite(self.path, clock=self.clock, limits=limits)


class PostgresBackend:
    """A schema of its own in a server that all tests of this process share."""

    _schemas = counting(1)

    def __init__(self, server: PrivatePostgres) -> None:
        self.clock = HandClock()
        self.server = server
        self.schema = f"test_{next(self._schemas)}"
        self.where = server.url(schema=self.schema)

    def open(self, limits: CommitLimits | None = None) -> AbstractAsyncContextManager[Store]:
        return open_postgres(self.where, clock=self.clock, limits=limits)


def events(first: int, count: int = 1, *, kind: str = "note", size: int = 4) -> tuple[Event, ...]:
    """Events that can be told apart."""
    return tuple(
        Event(seq=seq, type=kind, at_ms=seq * 10, body=str(seq).encode().ljust(size, b"."))
        for seq in range(first, first + count)
    )


def commit(stream: str = "note/1", seq: int = 0, count: int = 1, **parts: Any) -> Commit:
    """A commit of `count` events behind `seq`, by epoch 1 unless said otherwise."""
    parts.setdefault("events", events(seq + 1, count))
    return Commit(stream=stream, expected_seq=seq, **{"epoch": 1, **parts})


def row(owner: str = "ann", status: str = "active", created: int = 0, **parts: Any) -> CatalogueRow:
    """A catalogue row that was updated when it was created, unless said otherwise."""
    parts.setdefault("updated_at_ms", created)
    return CatalogueRow(owner=owner, status=status, created_at_ms=created, **parts)


async def put(store: Store, stream: str, **parts: Any) -> None:
    """Write a stream that has a row and one event."""
    await store.commit(commit(stream, row=row(**parts)))


async def dump(store: Store) -> list[bytes]:
    """Everything that is in a store."""
    async with store.export() as lines:
        return [line async for line in lines]


class Lines:
    """Lines as they come from a file or a socket."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)

    def __aiter__(self) -> Lines:
        return self

    async def __anext__(self) -> bytes:
        await trio.lowlevel.checkpoint()
        try:
            return next(self._lines)
        except StopIteration:
            raise StopAsyncIteration from None


def files_of(path: Path) -> Sequence[Path]:
    """The database, its log, and the log's index."""
    return [path, Path(f"{path}-wal"), Path(f"{path}-shm")]


def content_of(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def overwrite(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.write_bytes(content)
    path.chmod(mode)
