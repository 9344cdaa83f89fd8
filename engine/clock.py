"""Wall time, ids and randomness, handed in and never ambient.

Durations and deadlines come from `trio.current_time()`; this file is about what is written down or
handed out. A run with a `SeededClock` under trio's `MockClock` repeats exactly.
"""

from __future__ import annotations

import random  # noqa: TID251 - the one place where randomness enters
import secrets  # noqa: TID251 - the one place where secrets are made
from datetime import UTC, datetime, timedelta
from typing import Protocol

import trio


def timestamp(moment: datetime) -> str:
    """Write a time as Mooring writes it everywhere: `2024-01-07T12:34:56.789Z`, UTC.

    Texts of this form sort as their times do. What is finer than a millisecond is cut off.
    """
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


class Clock(Protocol):
    """Where wall time, ids and randomness come from."""

    def now(self) -> datetime:
        """Return the wall time, aware, in UTC."""
        ...

    def random_bits(self, bits: int) -> int:
        """Return an unguessable integer of at most `bits` bits."""
        ...

    def jitter(self) -> float:
        """Return a float in [0, 1) for spreading retries; never for secrets."""
        ...


class SystemClock:
    """The machine's clock and its CSPRNG."""

    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - the one place where wall time enters

    def random_bits(self, bits: int) -> int:
        return secrets.randbits(bits)

    def jitter(self) -> float:
        return random.random()  # noqa: S311 - spreads retries, hides nothing


class SeededClock:
    """A clock for tests: wall time follows trio's clock, everything else one seed.

    Args:
        seed: the number that the run can be repeated from.
        start: the wall time at trio's time zero.
    """

    def __init__(
        self, seed: int = 0, *, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    ) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._start = start

    def now(self) -> datetime:
        return self._start + timedelta(seconds=trio.current_time())

    def random_bits(self, bits: int) -> int:
        return self._random.getrandbits(bits)

    def jitter(self) -> float:
        return self._random.random()
