"""Passwords: argon2id, in few threads, so that no flood of guesses slows the rest down.

Guarantees:
- At most `threads` hashes are made at once, and at most `waiting` wait for their turn; whoever
  comes then is told to come again. The loop never hashes, and threads that do make way for it.
- A password for an account that does not exist takes as long as a wrong one.
- No error, log or repr holds a password.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

import argon2
import msgspec

from actors.partner.errors import FieldInvalid, RateLimited
from actors.partner.tenants.backstage import Backstage, open_backstage
from engine import Clock

_T = TypeVar("_T")

MIN_CHARS: Final = 12
MAX_CHARS: Final = 256
_WAITING: Final = 100
_MAX_THREADS: Final = 4
_BUSY_RETRY_S: Final = 2


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one hash costs; the default is OWASP's first choice of equal ones for argon2id."""

    passes: int = 2
    memory_kib: int = 19 * 1024
    lanes: int = 1


def check_password(password: str) -> None:
    """Refuse a password that is too short to be good, or too long to be one."""
    if len(password) < MIN_CHARS:
        raise FieldInvalid("password", f"must have at least {MIN_CHARS} characters")
    if len(password) > MAX_CHARS:
        raise FieldInvalid("password", f"must not be longer than {MAX_CHARS} characters")
    if "\0" in password or any("\ud800" <= letter <= "\udfff" for letter in password):
        raise FieldInvalid("password", "must be text")


class Passwords:
    """Hashes and verifies passwords; made by `open_passwords`."""

    def __init__(self, backstage: Backstage, clock: Clock, *, cost: Cost, waiting: int) -> None:
        self._backstage = backstage
        self._hasher = argon2.PasswordHasher(
            time_cost=cost.passes, memory_cost=cost.memory_kib, parallelism=cost.lanes
        )
        self._waiting = waiting
        self._nobodys_password = f"{clock.random_bits(128):032x}"
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """Return the hash of a password, in argon2's standard form.

        Raises:
            RateLimited: too many wait already.
        """
        return await self._run(partial(self._hasher.hash, _same(password)))

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Tell whether a hash is the password's; None is an account that does not exist.

        Raises:
            RateLimited: too many wait already.
        """
        if len(password) > MAX_CHARS or any("\ud800" <= letter <= "\udfff" for letter in password):
            password = ""  # nobody's, and as slow as any other
        if hashed is None:
            await self._verify(await self._hash_of_nobody(), password)
            return False
        return await self._verify(hashed, password)

    async def _verify(self, hashed: str, password: str) -> bool:
        return await self._run(partial(self._matches, hashed, _same(password)))

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False

    async def warm(self) -> None:
        """Make ready what the first unknown account would have to wait for."""
        await self._hash_of_nobody()

    async def _hash_of_nobody(self) -> str:
        if self._nobodys is None:
            self._nobodys = await self.hash(self._nobodys_password)
        return self._nobodys

    async def _run(self, work: partial[_T]) -> _T:
        if self._backstage.waiting >= self._waiting:
            raise RateLimited(retry_after_s=_BUSY_RETRY_S)
        return await self._backstage.run(work)


@asynccontextmanager
async def open_passwords(
    clock: Clock,
    *,
    cost: Cost | None = None,
    threads: int | None = None,
    waiting: int = _WAITING,
) -> AsyncIterator[Passwords]:
    """Open what hashes for the length of a block.

    Args:
        threads: how many at once; where nothing is said, one core is left to the rest.
        waiting: how many may wait for a thread.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    threads = threads or max(1, min(_MAX_THREADS, cores - 1))
    async with open_backstage(threads, name="passwords") as backstage:
        yield Passwords(backstage, clock, cost=cost or Cost(), waiting=waiting)


def _same(password: str) -> str:
    """Return the one form of a password, however a keyboard composes its letters."""
    return unicodedata.normalize("NFKC", password)
