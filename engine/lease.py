"""Leases: `in_use` as a counted, fenced scope with a longest life.

A boolean that somebody sets and somebody else forgets to clear blocks a session for ever; a lease
is released by the job that holds it, however the job ends, and lapses when even that fails.

Laws of this file: it awaits nothing and reads no clock. Tokens only grow; a token that was released
or has lapsed never works again.
"""

from __future__ import annotations

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
    """All leases of one registry."""

    def __init__(self) -> None:
        self._newest = 0
        self._leases: dict[int, Lease] = {}
        self._by_holder: dict[str, set[int]] = {}

    def grant(self, holder: str, *, now: float, life_s: float) -> Lease:
        """Lease `holder` once more, for at most `life_s`."""
        self._newest += 1
        lease = Lease(holder=holder, token=self._newest, lapses_at=now + life_s)
        self._leases[lease.token] = lease
        self._by_holder.setdefault(holder, set()).add(lease.token)
        return lease

    def renew(self, token: int, *, now: float, life_s: float) -> bool:
        """Give a lease a new life from now; False when it is no longer one."""
        lease = self._leases.get(token)
        if lease is None:
            return False
        self._leases[token] = msgspec.structs.replace(lease, lapses_at=now + life_s)
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
        for token in tuple(self._by_holder.get(holder, ())):
            self.release(token)

    def count(self, holder: str) -> int:
        """How many leases are on `holder` now."""
        return len(self._by_holder.get(holder, ()))

    @property
    def holders(self) -> int:
        """How many are leased at least once."""
        return len(self._by_holder)

    def lapsed(self, now: float) -> tuple[Lease, ...]:
        """The leases whose life is over, oldest first; they stay until released."""
        return tuple(lease for lease in self._leases.values() if lease.lapses_at <= now)

    def next_lapse(self) -> float | None:
        """When the next lease lapses."""
        return min((lease.lapses_at for lease in self._leases.values()), default=None)
