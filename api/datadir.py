"""The data directory: private to its user, and one server's at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from api.settings import StartError
from engine.clock import Clock

_LOCK: Final = "server.lock"
_NODE: Final = "node"
_PRIVATE: Final = 0o700
_LONGEST: Final = 4096
_NAME: Final = re.compile(r"[0-9a-f]{32}")


class DataDirUnusable(StartError):
    """The data directory cannot be made, written, made private or locked; says which."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"data directory {path}: {problem}")
        self.path = path


@contextlib.contextmanager
def hold_data_dir(path: Path) -> Iterator[Path]:
    """Make `path` where it is missing, and hold its lock; yields the absolute path.

    The lock goes with the process, however that ends, and is not inherited by its children.

    Raises:
        DataDirUnusable: not writable, open to others with somebody else's files in it, or held by
            another server.
    """
    path = path.absolute()
    try:
        path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        _make_private(path)
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise DataDirUnusable(path, f"{error.strerror}; set MOORING_DATA_DIR") from error
    with os.fdopen(lock, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            problem = f"is in use by another server (process {_holder(file.read(_LONGEST))})"
            raise DataDirUnusable(path, problem) from None
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield path


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a data directory: its process, and where it listens once it does."""

    pid: int
    url: str | None


def tell_url(path: Path, url: str) -> None:
    """Let whoever finds the lock of this process know where it listens."""
    with (path / _LOCK).open("a") as file:
        file.write(f"{url}\n")


def find_holder(path: Path) -> Holder | None:
    """Return who holds the data directory; None when nobody does.

    Raises:
        DataDirUnusable: it cannot be read, or its holder cannot be told.
    """
    try:
        lock = os.open(path / _LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataDirUnusable(path, str(error.strerror)) from error
    with os.fdopen(lock) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            pid, _, rest = file.read(_LONGEST).partition("\n")
            if not pid.isdigit():
                raise DataDirUnusable(path, "is in use by an unknown process") from None
            return Holder(pid=int(pid), url=rest.strip() or None)
    return None


def node_name(data_dir: Path, clock: Clock) -> str:
    """Return the name of the node that this directory is of; made at its first start.

    Whoever holds the directory is that node, so a server that was killed finds its sessions its own
    when it is started again.
    """
    path = data_dir / _NODE
    try:
        name = path.read_text().strip()
    except FileNotFoundError:
        name = ""
    except (OSError, UnicodeDecodeError) as error:
        raise DataDirUnusable(data_dir, f"{_NODE} cannot be read ({error})") from error
    if not _NAME.fullmatch(name):
        name = f"{clock.random_bits(128):032x}"
        partly = path.with_name(f"{_NODE}.part")
        partly.write_text(f"{name}\n")
        partly.replace(path)
    return name


def _make_private(path: Path) -> None:
    """Take away what others may do, unless that would lock them out of something of theirs."""
    if not stat.S_IMODE(path.stat().st_mode) & 0o077:
        return
    names = set(os.listdir(path))
    if names and _LOCK not in names:
        problem = "others may enter it, and it holds files that are not Mooring's; give it its own"
        raise DataDirUnusable(path, problem)
    path.chmod(_PRIVATE)


def _holder(text: str) -> str:
    pid = text.partition("\n")[0]
    return pid if pid.isdigit() else "unknown"
