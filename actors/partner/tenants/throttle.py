"""How many guesses at passwords are let through: few for a guesser, none lost for the owner.

Laws of this file: it awaits nothing and reads no clock. What may be guessed is bounded for each
account and client together, and for each account from clients that have never logged in to it; what
is being tried at once, for each client. Whoever has logged in to an account from a client is not
stopped by what others do there or elsewhere, so nobody can lock an account's people out.
"""

from __future__ import annotations

import ipaddress
import math
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from actors.partner.errors import RateLimited
from actors.partner.limits import Buckets

# From one place: ten at once, then one a minute.
PAIR_GUESSES: Final = 10
PAIR_REFILL_S: Final = 60.0
# From anywhere: a hundred at once, then one each ten seconds.
ACCOUNT_GUESSES: Final = 100
ACCOUNT_REFILL_S: Final = 10.0
# A password takes some 25 ms: whoever tries more at once makes others wait.
AT_ONCE: Final = 8
_AT_ONCE_RETRY_S: Final = 1
_KNOWN: Final = 50_000


class Throttle:
    """Counts guesses; `account` is a digest, `client` an address."""

    def __init__(self) -> None:
        self._pairs = Buckets(PAIR_GUESSES, refill_s=PAIR_REFILL_S)
        self._accounts = Buckets(ACCOUNT_GUESSES, refill_s=ACCOUNT_REFILL_S)
        self._known: OrderedDict[str, None] = OrderedDict()
        self._trying: Counter[str] = Counter()

    @contextmanager
    def trying(self, client: str, *, account: str | None = None) -> Iterator[None]:
        """Try a password, or make one, for the length of a block.

        Raises:
            RateLimited: the client tries as many as it may at once.
        """
        is_known = account is not None and _pair(account, client) in self._known
        name = client_name(client)
        if self._trying[name] >= AT_ONCE and not is_known:
            raise RateLimited(retry_after_s=_AT_ONCE_RETRY_S)
        self._trying[name] += 1
        try:
            yield
        finally:
            self._trying[name] -= 1
            if not self._trying[name]:
                del self._trying[name]

    def guess(self, account: str, client: str, now: datetime) -> None:
        """Count a guess before it is tried.

        Raises:
            RateLimited: not now.
        """
        pair = _pair(account, client)
        is_known = pair in self._known
        wait_s = self._pairs.wait_s(pair, now)
        if not is_known:
            wait_s = max(wait_s, self._accounts.wait_s(account, now))
        if wait_s > 0:
            raise RateLimited(retry_after_s=max(1, math.ceil(wait_s)))
        self._pairs.take(pair, now)
        if not is_known:
            self._accounts.take(account, now)

    def was_right(self, account: str, client: str) -> None:
        """The guess was the password: whoever is there has nothing to guess."""
        pair = _pair(account, client)
        self._pairs.refund(pair)
        self._known[pair] = None
        self._known.move_to_end(pair)
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)


def client_name(address: str) -> str:
    """Return what stands for a client: an IPv4 address, or the /64 that an IPv6 one lies in, all of
    which its holder may use."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(ip) >> 64 << 64, 64)))


def _pair(account: str, client: str) -> str:
    return f"{account}/{client_name(client)}"
