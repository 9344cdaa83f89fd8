"""The end of a Chromium: no process, no zombie, no directory is left of it.

A server that was killed cannot do this itself. So all that a Chromium is made of carries the run id
of its server's data directory, and the next server on that directory sweeps before it starts.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import structlog
import trio

from actors.browser import processes

_log = structlog.get_logger(__name__)

SWEEP_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.01
_RUN_ID: Final = re.compile(r"[0-9a-f]{12}")


class Leftovers(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep ended and removed."""

    processes: int
    directories: int


def directory_prefix(run_id: str) -> str:
    """Return how the names of all profile directories of this run id begin.

    Raises:
        ValueError: not twelve lower-case hexadecimal digits; a shorter id would match others' too.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise ValueError("a run id is twelve lower-case hexadecimal digits")
    return f"mooring-chromium-{run_id}-"


async def sweep_leftovers(run_id: str) -> Leftovers:
    """End the Chromiums that a killed server of this run id left, and remove their directories.

    Call it before the first launch and only by the one server that holds the data directory: it
    ends every Chromium of this run id, also a living server's. Others' are not touched. Takes at
    most `SWEEP_TIMEOUT_S`; what could not be removed until then is logged and left to the next one.
    """
    prefix = directory_prefix(run_id)
    ended = removed = 0
    with trio.move_on_after(SWEEP_TIMEOUT_S) as scope:
        ended = len(await end_processes(prefix))
        for directory in await trio.to_thread.run_sync(_directories, prefix):
            await remove_directory(directory)
            removed += 1
    if scope.cancelled_caught:
        _log.warning("chromium_sweep_incomplete", processes=ended, directories=removed)
    return Leftovers(processes=ended, directories=removed)


async def end_processes(marker: str, *groups: int) -> tuple[processes.Process, ...]:
    """Kill what `processes.find` finds, with its groups, until that is nothing; return it all.

    Waits for as long as it takes: the caller sets the deadline.
    """
    seen: dict[int, processes.Process] = {}
    known = set(groups)
    while found := await trio.to_thread.run_sync(processes.find, marker, known):
        for each in found:
            processes.kill(each)
        seen.update({each.pid: each for each in found})
        known.update(each.group for each in found)
        await trio.sleep(_POLL_S)
    return tuple(seen.values())


async def reap_orphans(groups: Iterable[int]) -> None:
    """Reap adopted process groups, whose leaders have been reaped, to the last process.

    Waits for as long as it takes: the caller sets the deadline.
    """
    while await trio.to_thread.run_sync(processes.reap_orphans, groups):  # noqa: ASYNC110 - no event tells
        await trio.sleep(_POLL_S)


async def remove_directory(directory: Path) -> None:
    """Remove the directory and what is in it, trying again for as long as something is left.

    Waits for as long as it takes: the caller sets the deadline.
    """
    remove = partial(shutil.rmtree, directory, ignore_errors=True)
    while True:
        await trio.to_thread.run_sync(remove)
        if not await trio.to_thread.run_sync(os.path.lexists, directory):
            return
        await trio.sleep(_POLL_S)


def _directories(prefix: str) -> tuple[Path, ...]:
    found = Path(tempfile.gettempdir()).glob(f"{prefix}*")
    return tuple(each for each in found if _is_ours(each))


def _is_ours(directory: Path) -> bool:
    # Everybody may write there: a link, or another user's directory, of this name is not ours.
    try:
        status = directory.lstat()
    except OSError:
        return False
    return directory.is_dir() and not directory.is_symlink() and status.st_uid == os.geteuid()
