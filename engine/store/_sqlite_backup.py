"""A copy of a SQLite store that is in use: one moment, whole, checked.

`VACUUM INTO` reads one snapshot, so writers go on meanwhile; the log only grows until it is done.
The copy holds what can be read and nothing of what was erased.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

import trio

from engine.errors import StoreDamaged, StoreUnavailable
from engine.store._protocol import CheckReport
from engine.store._sqlite_check import check
from engine.store._sqlite_file import connect, translated
from engine.store._sqlite_readers import read_alone

_PRIVATE: Final = 0o600


async def backup_sqlite(path: Path, target: Path) -> CheckReport:
    """Copy the store at `path` to the file `target`, and return what a check of the copy found.

    The copy is for its owner only, and is whole and sound or not there at all. Replaces a file that
    is there. A store that is in use is not held up.

    Raises:
        StoreUnavailable: it cannot be read, or the copy cannot be written.
        StoreDamaged: the copy is not sound, so the store is not either.
    """
    partly = target.with_name(target.name + ".part")
    try:
        await trio.to_thread.run_sync(_copy, path, partly)
        report = await read_alone(partly, check)
        if report.problems:
            raise StoreDamaged(str(path), detail=report.problems[0])
        await trio.to_thread.run_sync(_put_in_place, partly, target)
    finally:
        with trio.CancelScope(shield=True):
            await trio.Path(partly).unlink(missing_ok=True)
    return report


def _copy(path: Path, partly: Path) -> None:
    try:
        partly.unlink(missing_ok=True)
        os.close(os.open(partly, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _PRIVATE))
    except OSError as error:
        raise StoreUnavailable(f"{partly}: {error.strerror}") from error
    connection = connect(path, read_only=True)
    try:
        connection.execute("VACUUM INTO ?", (str(partly.absolute()),))
    except sqlite3.Error as error:
        raise translated(error, path) from error
    finally:
        connection.close()


def _put_in_place(partly: Path, target: Path) -> None:
    try:
        _sync(partly)
        partly.replace(target)
        _sync(target.parent)
    except OSError as error:
        raise StoreUnavailable(f"{target}: {error.strerror}") from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
