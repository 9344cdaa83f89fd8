"""Debug bundles: what the page looked like, as a ZIP that is kept for a day."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

import trio

from engine import Clock

KEPT: Final = timedelta(hours=24)
_MOST: Final = 200  # the oldest go first: a loop with debug on must not fill the disk
_NAME: Final = re.compile(r"[0-9a-f]{32}")


class DebugBundles:
    """The bundles in one directory, which only this server uses.

    Names are 128 random bits, so one cannot be guessed; files are readable by the owner only.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock

    async def write(self, *, png: bytes | None, html: str | None, log: str) -> str:
        """Keep a bundle of what there is, and return its name.

        Raises:
            OSError: the disk is full or the directory cannot be written.
        """
        name = f"{self._clock.random_bits(128):032x}"
        files = {"screenshot.png": png, "page.html": html, "log.txt": log}
        there = {name: content for name, content in files.items() if content is not None}
        await trio.to_thread.run_sync(self._write, name, there, self._oldest())
        return name

    async def read(self, name: str) -> bytes | None:
        """Return a bundle's ZIP; None when there is none (any more)."""
        if not _NAME.fullmatch(name):
            return None
        return await trio.to_thread.run_sync(self._read, name, self._oldest())

    async def sweep(self) -> None:
        """Remove what is older than a day."""
        await trio.to_thread.run_sync(self._sweep, self._oldest())

    def _oldest(self) -> float:
        # Here and not in the thread: a clock may belong to the loop.
        return (self._clock.now() - KEPT).timestamp()

    def _write(self, name: str, files: Mapping[str, str | bytes], oldest: float) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
            for file, text in files.items():
                archive.writestr(file, text)
        unfinished = self._path(name).with_suffix(".part")
        try:
            unfinished.touch(mode=0o600)
            unfinished.write_bytes(content.getvalue())
            unfinished.rename(self._path(name))
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        self._sweep(oldest)

    def _read(self, name: str, oldest: float) -> bytes | None:
        self._sweep(oldest)
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            return None

    def _sweep(self, oldest: float) -> None:
        aged = sorted(
            ((written_at(path), path) for path in self._directory.glob("*.*")), reverse=True
        )
        for position, (at, path) in enumerate(aged):
            if at < oldest or position >= _MOST:
                path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.zip"


def written_at(path: Path) -> float:
    """Return when a bundle was written, in Unix seconds; 0 when another sweep just removed it."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
