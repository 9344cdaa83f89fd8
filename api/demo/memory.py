"""What the demo remembers from one run to the next: its ports, who is logged in, who has been.

A portal does not forget its visitors because one of them was restarted; with this the demo, which
lives and dies with the server, does not either. Cookies are kept as digests: the file lets nobody
in.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import structlog
import trio

_LOG: Final = structlog.get_logger("mooring.demo")
_MOST_BYTES: Final = 16 * 1024 * 1024


class KeptLogin(msgspec.Struct, frozen=True):
    """A login that holds, by its cookie's digest."""

    cookie: str
    username: str
    number: int


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The file's content; a port is 0 while there was none."""

    portal_port: int = 0
    captcha_port: int = 0
    sessions: tuple[KeptLogin, ...] = ()
    logins: dict[str, int] = {}


class Memory:
    """A file that is replaced as a whole.

    Args:
        path: the file; None remembers nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._writing = trio.Lock()
        self.kept = Kept()

    async def read(self) -> None:
        """Take what is there; a file that cannot be read is as good as none."""
        if self._path is None:
            return
        try:
            async with await trio.open_file(self._path, "rb") as file:
                self.kept = msgspec.json.decode(await file.read(_MOST_BYTES), type=Kept)
        except FileNotFoundError:
            return
        except (OSError, msgspec.DecodeError) as error:
            _LOG.warning("demo_memory_lost", cause=str(error))

    async def keep(self, kept: Kept) -> None:
        """Write it down; there when this returns, should the process be killed then."""
        self.kept = kept
        if self._path is None:
            return
        async with self._writing:
            try:
                await trio.to_thread.run_sync(partial(_write, self._path, self.kept))
            except OSError as error:
                _LOG.warning("demo_memory_lost", cause=str(error))


def _write(path: Path, kept: Kept) -> None:
    new = path.with_name(path.name + ".new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(kept))
    new.replace(path)
