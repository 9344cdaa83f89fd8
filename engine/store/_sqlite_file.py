"""The database file: opening it, refusing it with a reason, and naming what goes wrong with it."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from engine.errors import StoreDamaged, StoreError, StoreTooNew, StoreUnavailable
from engine.store._sqlite_schema import APPLICATION_ID, MIGRATIONS, migrate, version_of

_BUSY_MS: Final = 5_000
_PAGE_BYTES: Final = 8_192  # 1.2 ms for a batch of 256 where pages of 4 KiB take 1.5
# What the log grows to before it is written back: after a batch was answered, or at last within it.
_TIDY_PAGES: Final = 1_000
_CHECKPOINT_PAGES: Final = 4_000
_WAL_BYTES: Final = 64 * 1024 * 1024  # what is left of it on disk after a burst

_REASONS: Final = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_BUSY: "another process holds the database",
    sqlite3.SQLITE_LOCKED: "another process holds the database",
    sqlite3.SQLITE_READONLY: "the database is not writable",
    sqlite3.SQLITE_PERM: "the database is not accessible",
    sqlite3.SQLITE_CANTOPEN: "the database cannot be opened",
    sqlite3.SQLITE_IOERR: "the disk failed",
}


def open_file(path: Path, *, max_bytes: int | None = None) -> sqlite3.Connection:
    """Open the file for the one writer, make it when it is not there, bring it up to date.

    Raises:
        StoreTooNew, StoreDamaged: the file is left as it is.
        StoreUnavailable: it cannot be made, opened or written.
    """
    try:
        _make_private(path)
    except OSError as error:
        raise StoreUnavailable(f"{path}: {error.strerror}") from error
    connection = connect(path)
    try:
        _refuse_foreign(connection, path)
        _configure_writer(connection, max_bytes)
        migrate(connection)
    except sqlite3.Error as error:
        connection.close()
        raise translated(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open one more connection to a file that exists, usable from any one thread at a time."""
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            timeout=_BUSY_MS / 1000,
        )
        connection.execute(f"PRAGMA cache_size = {-4_000 if read_only else -16_000}")
        connection.execute("PRAGMA trusted_schema = OFF")
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return connection


def translated(error: sqlite3.Error, path: Path) -> StoreError:
    """Return what a database's error means to whoever uses the store."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreDamaged(str(path), detail=str(error))
    return StoreUnavailable(_REASONS.get(code, "the database failed"), detail=f"{path}: {error}")


def is_of_the_storage(error: sqlite3.Error) -> bool:
    """Return whether an error is about file, disk or locks, and not about what was written."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block did, all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.rollback()


@contextmanager
def write_back(connection: sqlite3.Connection) -> Iterator[None]:
    """Let a commit of the block write the log back, when it has grown long enough."""
    connection.execute(f"PRAGMA wal_autocheckpoint = {_TIDY_PAGES}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")


def truncate_wal(connection: sqlite3.Connection) -> bool:
    """Write the log back and empty it; return False at once when a reader still needs it."""
    connection.execute("PRAGMA busy_timeout = 0")
    (busy, *_), *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    return not busy


def _make_private(path: Path) -> None:
    """See that the file is there, and that nobody but its owner may read it.

    SQLite gives the files beside it the same mode. An existing file is never opened here: closing
    it would drop the locks that other connections of this process hold on it.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _refuse_foreign(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    version = version_of(connection)
    if (application, version, tables) == (0, 0, 0):
        return
    if application != APPLICATION_ID:
        raise StoreDamaged(str(path), detail="it is a database of another program")
    if version > len(MIGRATIONS):
        raise StoreTooNew(str(path), version=version, supported=len(MIGRATIONS))


def _configure_writer(connection: sqlite3.Connection, max_bytes: int | None) -> None:
    connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # of a new file only
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise StoreUnavailable(f"the file system does not support a write-ahead log ({mode})")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # of meaning on macOS only
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    if max_bytes is not None:
        (page_bytes,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute(f"PRAGMA max_page_count = {max(1, max_bytes // page_bytes)}")
