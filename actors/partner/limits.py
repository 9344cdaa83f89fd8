"""How many requests may come, and how many guesses: small counters, decided without I/O.

Laws of this file: it awaits nothing and reads no clock; time comes in as `now`. What it keeps of
others is bounded, and full tables forget whoever came first.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from datetime import datetime
from typing import Final

import msgspec

from actors.partner.errors import RateLimited
from actors.partner.rate import Rate

WINDOW_S: Final = 60
_REMEMBERED: Final = 50_000


class Window:
    """At most `limit` requests a minute; a minute begins with the first request after the last one.

    A fixed window, since it can say exactly how many are left and until when.
    """

    __slots__ = ("_ends_at", "_left", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._left = limit
        self._ends_at = 0.0

    def take(self, now: datetime) -> Rate:
        """Count one request; raises `RateLimited`, which counts nothing."""
        now_s = now.timestamp()
        if not self._ends_at - WINDOW_S <= now_s < self._ends_at:  # over, or the clock was set back
            self._ends_at = now_s + WINDOW_S
            self._left = self.limit
        resets_at_s = math.ceil(self._ends_at)
        if self._left == 0:
            rate = Rate(limit=self.limit, remaining=0, resets_at_s=resets_at_s)
            raise RateLimited(rate=rate, retry_after_s=max(1, math.ceil(self._ends_at - now_s)))
        self._left -= 1
        return Rate(limit=self.limit, remaining=self._left, resets_at_s=resets_at_s)


class Windows:
    """A window for each of many, by name."""

    def __init__(self, limit: int, *, remembered: int = _REMEMBERED) -> None:
        self.limit = limit
        self._remembered = remembered
        self._windows: OrderedDict[str, Window] = OrderedDict()

    def take(self, name: str, now: datetime) -> Rate:
        """Count one request of `name`; raises `RateLimited`."""
        window = self._windows.get(name)
        if window is None:
            window = self._windows[name] = Window(self.limit)
        self._windows.move_to_end(name)
        if len(self._windows) > self._remembered:
            self._windows.popitem(last=False)
        return window.take(now)


class Bucket(msgspec.Struct):
    """What a bucket holds, and as of when."""

    tokens: float
    at_s: float


class Buckets:
    """A bucket of tokens for each of many: full at first, refilled at a steady pace.

    Args:
        capacity: how many may be taken at once.
        refill_s: how long one token takes to come back.
    """

    def __init__(self, capacity: int, *, refill_s: float, remembered: int = _REMEMBERED) -> None:
        self._capacity = float(capacity)
        self._refill_s = refill_s
        self._remembered = remembered
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def wait_s(self, name: str, now: datetime) -> float:
        """Return how long until a token can be taken; 0 when one can be now."""
        bucket = self._filled(name, now)
        return 0.0 if bucket is None else max(0.0, 1.0 - bucket.tokens) * self._refill_s

    def take(self, name: str, now: datetime) -> None:
        """Take a token, or what there is of one."""
        bucket = self._filled(name, now)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(self._capacity, now.timestamp())
        bucket.tokens = max(0.0, bucket.tokens - 1.0)
        self._buckets.move_to_end(name)
        if len(self._buckets) > self._remembered:
            self._buckets.popitem(last=False)

    def refund(self, name: str) -> None:
        """Fill a bucket: what was taken from it was well spent."""
        self._buckets.pop(name, None)

    def _filled(self, name: str, now: datetime) -> Bucket | None:
        bucket = self._buckets.get(name)
        if bucket is not None:
            now_s = now.timestamp()
            gained = max(0.0, now_s - bucket.at_s) / self._refill_s
            bucket.tokens = min(self._capacity, bucket.tokens + gained)
            bucket.at_s = now_s
        return bucket
