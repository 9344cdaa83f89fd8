"""Which processes belong to a Chromium, as the operating system shows them.

Laws of this file: no Trio; everything here blocks and runs in a thread. A process belongs to a
profile when it is in the profile's process group or one of its switches names the profile; nothing
of another user, and never this process or its group, is touched. Needs Linux's `/proc`; where there
is none, nothing is found.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import sys
from collections.abc import Container, Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

_PROC: Final = Path("/proc")
_PR_SET_CHILD_SUBREAPER: Final = 36
_ZOMBIE: Final = frozenset({"Z", "X"})
# As the kernel cuts its name. It detaches from Chromium, and no switch turns it off for good:
# without it (--disable-crashpad-for-testing) Chromium 156's network service crashes at its start.
_CRASH_HANDLER: Final = "chrome_crashpad"


class Process(msgspec.Struct, frozen=True):
    """What the kernel says of a process."""

    pid: int
    name: str
    state: str
    parent: int
    group: int


def find(marker: str, groups: Container[int] = ()) -> tuple[Process, ...]:
    """Return the living processes with `marker` in one of their switches, and the groups'."""
    mine = os.getpgrp()
    named = marker.encode()
    return tuple(
        each
        for each in _all()
        if each.state not in _ZOMBIE
        and each.group != mine
        and (each.group in groups or _names(each.pid, named))
        and _is_of_this_user(each.pid)
    )


def _all() -> Iterator[Process]:
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if entry.name.isdigit():
            # A process may end between any two of these reads.
            with contextlib.suppress(OSError):
                yield _parse((entry / "stat").read_text())


def _parse(stat: str) -> Process:
    # The name stands in brackets and may hold anything, brackets and spaces too.
    start, _, end = stat.rpartition(")")
    pid, _, name = start.partition(" (")
    state, parent, group = end.split()[:3]
    return Process(int(pid), name, state, int(parent), int(group))


def _names(pid: int, marker: bytes) -> bool:
    # Only in a switch: a shell, an editor or a grep that has the name on its line is not Chromium.
    try:
        arguments = (_PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(each.startswith(b"--") and marker in each for each in arguments)


def _is_of_this_user(pid: int) -> bool:
    # The entry's own owner would not do: a sandboxed renderer's is root.
    try:
        status = (_PROC / str(pid) / "status").read_text()
    except OSError:
        return False
    uid = re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)
    return uid is not None and int(uid[1]) == os.geteuid()


def kill(process: Process) -> None:
    """Send SIGKILL; one that has ended meanwhile is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(process.pid, signal.SIGKILL)


def adopt_orphans() -> None:
    """Make this process the parent of whatever its Chromiums leave behind when they end.

    They would go to PID 1, and in a container that often reaps nothing: each Chromium would leave
    seven zombies. Holds for the whole process, and for good (`PR_SET_CHILD_SUBREAPER`).
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(groups: Iterable[int]) -> bool:
    """Reap what has ended of adopted groups, and crash handlers; return whether some is left.

    Call it only once the groups' leaders have been reaped by whoever started them.
    """
    for each in _all():
        ours = each.parent == os.getpid() and each.state in _ZOMBIE
        if ours and each.name.startswith(_CRASH_HANDLER):
            _reap(each.pid)
    left = [_reap_group(each) for each in groups]
    return any(left)


def _reap_group(group: int) -> bool:
    while ended := _reap(-group):
        pass
    return ended is not None


def _reap(pid: int) -> int | None:
    """Return who was reaped, 0 when none has ended yet, None when there is no such child."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0]
    except ChildProcessError:
        return None
