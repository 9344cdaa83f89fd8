"""Leases: `in_use` as a counted, fenced scope with a longest life.

A boolean that somebody sets and somebody else forgets to clear blocks a session for ever; a lease
is released by the job that holds it, however the job ends, and lapses when even that fails.

Laws of this file: it awaits nothing and reads no clock; `now` never goes back. Tokens only grow; a
token that was released or has lapsed never works again. No call looks at more than it changes.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import takewhile

import msgspec


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """The right to be undisturbed in one session.

    Attributes:
        holder: the id of what is leased.
        token: the fencing token; a later lease has a higher one.
        lapses_at: when it ends by itself, on trio's clock, unless renewed.
    """

    holder: str
    token: int
    lapses_at: float


class LeaseTable:
    """All leases of one registry.

    Args:
        life_s: how long a lease lives unless renewed; the same for all.
        newest_token: no token of an earlier table is higher than this.
    """

    def __init__(self, life_s: float, *, newest_token: int = 0) -> None:
        self._life_s = life_s
        self._newest = newest_token
        # Soonest to lapse first: as all have the same life, the end is where a new one belongs.
        self._leases: OrderedDict[int, Lease] = OrderedDict()
        self._by_holder: dict[str, set[int]] = {}

    def grant(self, holder: str, *, now: float) -> Lease:
        """Lease `holder` once more."""
        self._newest += 1
        lease = Lease(holder=holder, token=self._newest, lapses_at=now + self._life_s)
        self._leases[lease.token] = lease
        self._by_holder.setdefault(holder, set()).add(lease.token)
        return lease

    def renew(self, token: int, *, now: float) -> bool:
        """Give a lease a whole life from now; False when it is no longer one."""
        lease = self._leases.get(token)
        if lease is None:
            return False
        self._leases[token] = msgspec.structs.replace(lease, lapses_at=now + self._life_s)
        self._leases.move_to_end(token)
        return True

    def release(self, token: int) -> Lease | None:
        """End a lease; None when it had already ended."""
        lease = self._leases.pop(token, None)
        if lease is not None:
            tokens = self._by_holder[lease.holder]
            tokens.discard(token)
            if not tokens:
                del self._by_holder[lease.holder]
        return lease

    def release_all(self, holder: str) -> None:
        """End every lease on `holder`."""
        for token in self._by_holder.pop(holder, ()):
            del self._leases[token]

    def count(self, holder: str) -> int:
        """How many leases are on `holder` now."""
        return len(self._by_holder.get(holder, ()))

    def lapsed(self, now: float) -> tuple[Lease, ...]:
        """The leases whose life is over, longest over first; they stay until released."""
        return tuple(takewhile(lambda lease: lease.lapses_at <= now, self._leases.values()))

    def next_lapse(self) -> float | None:
        """When the next lease lapses."""
        for lease in self._leases.values():
            return lease.lapses_at
        return None
