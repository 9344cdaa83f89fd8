"""What a test has left behind: child processes (zombies too), threads, Chromium's directories."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Trio keeps its worker threads for ten seconds; this is what they are called while they idle.
_IDLE_WORKER = "Trio thread "


class Footprint(NamedTuple):
    """What there is at one moment."""

    children: frozenset[str]
    threads: frozenset[str]
    directories: frozenset[str]

    def beyond(self, earlier: Footprint) -> list[str]:
        """Return what has been added since `earlier`, sorted."""
        pairs = zip(self, earlier, strict=True)
        return sorted(item for now, before in pairs for item in now - before)


def footprint(temporary: Path) -> Footprint:
    """Return what there is now; directories are looked for in `temporary`."""
    threads = {
        f"thread {thread.name} {thread.ident}"
        for thread in threading.enumerate()
        if not thread.name.startswith(_IDLE_WORKER)
    }
    directories = {f"directory {path.name}" for path in temporary.glob("mooring-chromium-*")}
    return Footprint(frozenset(_children(temporary)), frozenset(threads), frozenset(directories))


def leaks(earlier: Footprint, temporary: Path, *, patience_s: float = 5.0) -> list[str]:
    """Return what is left once nothing more goes away, or after `patience_s`."""
    pause, tries = threading.Event(), int(patience_s / 0.05)
    for _ in range(tries):
        if not footprint(temporary).beyond(earlier):
            return []
        pause.wait(0.05)
    return footprint(temporary).beyond(earlier)


class _Child(NamedTuple):
    pid: int
    name: str
    state: str


def _stats() -> Iterator[_Child]:
    """The children of this process."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = stat.read_text()
        except OSError:
            continue  # it has just ended
        # The name is in brackets and may hold anything, spaces and brackets too.
        name, _, rest = text.partition("(")[2].rpartition(")")
        state, parent = rest.split()[:2]
        if int(parent) == os.getpid():
            yield _Child(int(stat.parent.name), name, state)


def _children(temporary: Path) -> set[str]:
    return {
        f"process {child.pid} {child.name} {child.state}"
        for child in _stats()
        if _is_ours(child, temporary)
    }


def _is_ours(child: _Child, temporary: Path) -> bool:
    """Tell a child of this test from an orphan of another one.

    Launching Chromium makes this process the reaper of its orphans, so a Chromium whose server an
    earlier test killed falls to us whenever its last ancestor ends.
    """
    if not child.name.startswith("chrom"):
        return True
    try:
        environment = Path(f"/proc/{child.pid}/environ").read_bytes()
    except OSError:
        return False
    return child.state != "Z" and os.fsencode(temporary) in environment


def reap_orphans(*, patience_s: float = 2.0) -> None:
    """Take leave of the Chromiums whose server a test has killed, once the next one has ended them.

    They fall to this process once it has launched a Chromium of its own (see `_is_ours`), and would
    stay as zombies for the next test to find.
    """
    pause = threading.Event()
    for _ in range(int(patience_s / 0.05)):
        orphans = [child for child in _stats() if child.name.startswith("chrom")]
        for orphan in orphans:
            if orphan.state == "Z":
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(orphan.pid, os.WNOHANG)
        if not orphans:
            return
        pause.wait(0.05)
