"""A table that forgets: bounded in size and in the life of each entry."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

import trio

_V = TypeVar("_V")


class Expiring(Generic[_V]):
    """Values by key, each for `ttl_s` seconds, at most `capacity` of them.

    When it is full the entry that was put or touched longest ago makes room. Age is measured on
    trio's clock.
    """

    def __init__(self, *, ttl_s: float, capacity: int = 10_000) -> None:
        self.ttl_s = ttl_s
        self._capacity = capacity
        # Key -> (value, when it was put or touched); the oldest first.
        self._entries: OrderedDict[str, tuple[_V, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: str, value: _V) -> None:
        self._entries.pop(key, None)
        while len(self._entries) >= self._capacity:
            self._entries.popitem(last=False)
        self._entries[key] = (value, trio.current_time())

    def peek(self, key: str) -> _V | None:
        """Return the value without prolonging its life; None when there is none any more."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, since = entry
        if trio.current_time() - since >= self.ttl_s:
            del self._entries[key]
            return None
        return value

    def touch(self, key: str) -> _V | None:
        """Return the value and begin its life anew."""
        value = self.peek(key)
        if value is not None:
            self.put(key, value)
        return value

    def take(self, key: str) -> _V | None:
        """Return the value and forget it: one-time codes and tokens."""
        value = self.peek(key)
        self._entries.pop(key, None)
        return value

    def items(self) -> list[tuple[str, _V]]:
        """Return what there is, the oldest first."""
        return [
            (key, value) for key in list(self._entries) if (value := self.peek(key)) is not None
        ]

    def clear(self) -> None:
        self._entries.clear()
