"""How many deliveries are sent at once: for one endpoint, and in all.

An endpoint that hangs holds its own few lanes and keeps nobody else waiting. Who finds too many
waiting before it is turned away, so that what waits in memory is bounded too. It is called back
when somebody has left; who cannot be, since so many were turned away, comes by its durable timer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import trio

from engine.errors import MooringError

# One tenant with all its endpoints hanging takes at most half of all lanes, and of all waiting.
PER_ENDPOINT: Final = 4
IN_ALL: Final = 128
WAITING_PER_ENDPOINT: Final = 250
WAITING_IN_ALL: Final = 8_000
# Of those turned away only an id is kept. So many an endpoint that answers takes in half a minute.
REMEMBERED_PER_ENDPOINT: Final = 1_000
REMEMBERED_IN_ALL: Final = 32_000


class Crowded(MooringError):
    """Too many wait already; come again in a while."""


class LaneStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What is being sent, and what waits for its turn."""

    sending: int
    waiting: int
    endpoints: int


class _Endpoint:
    """The lanes of one endpoint, for as long as anybody is in one or waits for one."""

    __slots__ = ("lanes", "present")

    def __init__(self, lanes: int) -> None:
        self.lanes = trio.CapacityLimiter(lanes)
        self.present = 0


class Lanes:
    """Hands out turns to send, in order of arrival for each endpoint.

    Args:
        call: called with who was turned away, once for each that leaves; must not wait.
    """

    def __init__(
        self,
        *,
        per_endpoint: int = PER_ENDPOINT,
        in_all: int = IN_ALL,
        call: Callable[[str], None] | None = None,
    ) -> None:
        self._per_endpoint = per_endpoint
        self._all = trio.CapacityLimiter(in_all)
        self._endpoints: dict[str, _Endpoint] = {}
        self._present = 0
        self._call = call
        self._turned_away: dict[str, dict[str, None]] = {}  # by endpoint, the first one first
        self._remembered = 0

    @asynccontextmanager
    async def lane(self, endpoint_id: str, *, who: str | None = None) -> AsyncIterator[None]:
        """Hold a lane for the length of a block, waiting for one.

        Args:
            who: is called back when it was turned away; None is not.

        Raises:
            Crowded: too many wait before this one.
        """
        endpoint = self._endpoints.get(endpoint_id)
        waiting = 0 if endpoint is None else endpoint.lanes.statistics().tasks_waiting
        if waiting >= WAITING_PER_ENDPOINT or self._waiting >= WAITING_IN_ALL:
            self._remember(endpoint_id, who)
            raise Crowded(f"too many deliveries to {endpoint_id} wait")
        endpoint = self._endpoints.setdefault(endpoint_id, _Endpoint(self._per_endpoint))
        self._enter(endpoint, 1)
        try:
            # Its own first: whoever waits behind a hanging endpoint holds nobody else's lane.
            async with endpoint.lanes, self._all:
                yield
        finally:
            self._enter(endpoint, -1)
            if endpoint.present == 0:
                del self._endpoints[endpoint_id]
            self._call_one(endpoint_id)

    def statistics(self) -> LaneStatistics:
        """Return what is being sent and what waits now."""
        return LaneStatistics(
            sending=self._all.statistics().borrowed_tokens,
            waiting=self._waiting,
            endpoints=len(self._endpoints),
        )

    @property
    def _waiting(self) -> int:
        return self._present - int(self._all.statistics().borrowed_tokens)

    def _remember(self, endpoint_id: str, who: str | None) -> None:
        if self._call is None or who is None or self._remembered >= REMEMBERED_IN_ALL:
            return
        away = self._turned_away.setdefault(endpoint_id, {})
        if len(away) < REMEMBERED_PER_ENDPOINT and who not in away:
            away[who] = None
            self._remembered += 1

    def _call_one(self, endpoint_id: str) -> None:
        away = self._turned_away.get(endpoint_id)
        if away is None or self._call is None:
            return
        who = next(iter(away))
        del away[who]
        self._remembered -= 1
        if not away:
            del self._turned_away[endpoint_id]
        self._call(who)

    def _enter(self, endpoint: _Endpoint, one: int) -> None:
        endpoint.present += one
        self._present += one
