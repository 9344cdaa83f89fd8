"""The master key: from the setting, or from a file that is made at first start.

The file holds a key a line, the newest first; the older ones only open what they have sealed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from api.settings import StartError
from engine.clock import Clock
from engine.seal import KeyInvalid, MasterKey

KEY_FILE: Final = "master.key"
_LONGEST: Final = 16 * 1024


class KeyUnusable(StartError):
    """The key file cannot be read, is open to others, or holds something else than keys."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"master key {path}: {problem}")
        self.path = path


def master_keys(given: Sequence[str], data_dir: Path, clock: Clock) -> tuple[MasterKey, ...]:
    """Return the keys that were set, or those of the file, which is made where there is none.

    Raises:
        KeyUnusable: the file is not usable. It is never replaced: what it sealed would be lost.
    """
    if given:
        return tuple(MasterKey.parse(text) for text in given)
    path = data_dir / KEY_FILE
    if not path.exists():
        write_keys(path, (MasterKey.generate(clock),))
    return read_keys(path)


def read_keys(path: Path) -> tuple[MasterKey, ...]:
    """Return the keys of a file, the newest first; raises KeyUnusable."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise KeyUnusable(path, "others may read it; chmod 600, and consider a new key")
        with path.open("rb") as file:
            lines = file.read(_LONGEST).decode("ascii", "replace").split()
        return tuple(MasterKey.parse(line) for line in lines) or _nothing_in(path)
    except KeyInvalid as error:
        raise KeyUnusable(path, str(error)) from None
    except OSError as error:
        raise KeyUnusable(path, f"cannot be read: {error.strerror}") from error


def write_keys(path: Path, keys: Sequence[MasterKey]) -> None:
    """Write the file anew, all of it or nothing, for its owner only; durable on return."""
    new = path.with_name(path.name + ".new")
    text = "".join(f"{key.text}\n" for key in keys).encode()
    try:
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        _flush_directory(path.parent)
    except OSError as error:
        raise KeyUnusable(path, f"cannot be written: {error.strerror}") from error


def _flush_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _nothing_in(path: Path) -> tuple[MasterKey, ...]:
    raise KeyUnusable(path, "it is empty; put the key back, or what it sealed is lost")
