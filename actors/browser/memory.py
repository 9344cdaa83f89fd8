"""How many processes the Chromiums of a server are, and how much memory they take together.

Proportional set size: what several processes share is divided among them, so that the sum is what
would come free. Where the kernel does not tell it (a sandboxed process), what is resident and not
shared with files stands in for it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec
import trio

from actors.browser import processes

_PSS: Final = re.compile(r"^Pss:\s+(\d+) kB", re.MULTILINE)
_ANONYMOUS: Final = re.compile(r"^RssAnon:\s+(\d+) kB", re.MULTILINE)
# Adding up takes some milliseconds for each process, in a thread.
_GOOD_FOR_S: Final = 5.0


class ChromiumMemory(msgspec.Struct, frozen=True, kw_only=True):
    """Of all Chromium processes together."""

    processes: int
    memory_bytes: int


class MemoryGauge:
    """Measures the Chromiums of one server, at most every few seconds.

    Args:
        marker: what one of the switches of each of them holds.
    """

    def __init__(self, marker: str) -> None:
        self._marker = marker
        self._newest = ChromiumMemory(processes=0, memory_bytes=0)
        self._good_until = -1.0
        self._measuring = trio.Lock()

    async def read(self) -> ChromiumMemory:
        """Return what they take now, or took a few seconds ago."""
        async with self._measuring:
            if trio.current_time() >= self._good_until:
                self._newest = await trio.to_thread.run_sync(_measure, self._marker)
                self._good_until = trio.current_time() + _GOOD_FOR_S
            return self._newest


def _measure(marker: str) -> ChromiumMemory:
    groups = {each.group for each in processes.find(marker)}
    found = processes.find(marker, groups)
    return ChromiumMemory(
        processes=len(found), memory_bytes=sum(_memory_of(each.pid) for each in found)
    )


def _memory_of(pid: int) -> int:
    for name, figure in (("smaps_rollup", _PSS), ("status", _ANONYMOUS)):
        try:
            match = figure.search(Path(f"/proc/{pid}/{name}").read_text())
        except OSError:  # it has ended, or does not show it
            continue
        if match is not None:
            return int(match[1]) * 1024
    return 0
