"""Which streams this node owns: taken before an actor is activated, kept by renewing, let go after.

Guarantees:
- Of all nodes on one store at most one owns a stream, and only its commits are taken: the store
  checks both by its own clock, in the commit's own transaction.
- An activation lives within a scope (`Tenure.scope`) that is cancelled before its lease is over, so
  a node that cannot reach the store stops by itself before another may begin.
- All leases of a node are renewed together. Those of a node that is gone end by themselves.
- A store that one server alone can have open gives streams for good: no lease, nothing to renew.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Final

import msgspec
import trio

from engine.errors import DomainError, OwnedElsewhere, StoreError
from engine.store import Store

_LOG: Final = logging.getLogger("mooring.engine")
_AT_ONCE: Final = 1_000
_CLOSE_S: Final = 5.0


LEASE_S: Final = 15.0
# Of a lease: how much earlier its activation is cancelled, for its clean-up and for clocks that do
# not run alike; and how often it is renewed.
_MARGIN: Final = 0.2
_RENEWAL: Final = 0.25


class NotOwner(DomainError):
    """Another node has the session; ask there, or again after `retry_after_s`."""

    def __init__(self, stream: str, *, retry_after_s: int) -> None:
        super().__init__("the session is on another server")
        self.stream = stream
        self.retry_after_s = retry_after_s


class Tenure(msgspec.Struct, eq=False, kw_only=True):
    """A stream that is ours, until its scope's deadline; to commit under `epoch`.

    The scope is for whoever acts on the stream to live in; entered once.
    """

    stream: str
    epoch: int
    scope: trio.CancelScope = msgspec.field(default_factory=trio.CancelScope)


class OwnershipStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What this node owns, and how that went."""

    owned: int
    taken: int
    refused: int
    lost: int


class Ownership:
    """The streams of one node; made by `open_ownership`."""

    def __init__(self, store: Store, node: str, lease_s: float) -> None:
        self._store = store
        self._node = node
        self._lease_s = lease_s
        self._tenures: dict[str, Tenure] = {}
        self._leaving: dict[str, int] = {}
        self._work = trio.Event()
        self._taken = self._refused = self._lost = 0

    async def take(self, stream: str) -> Tenure:
        """Take a stream for this node; an earlier tenure of its own ends with that.

        Raises:
            NotOwner: another node has it.
            StoreUnavailable: nobody can say.
        """
        asked_at = trio.current_time()
        try:
            epoch = await self._store.own(stream, node=self._node, lease_s=self._lease_s)
        except OwnedElsewhere as elsewhere:
            self._refused += 1
            raise self._not_owner(stream, elsewhere.left_s) from elsewhere
        tenure = Tenure(stream=stream, epoch=epoch)
        self._taken += 1
        self._end(stream)
        self._tenures[stream] = tenure
        tenure.scope.deadline = self._deadline(asked_at)
        self._work.set()
        return tenure

    def let_go(self, tenure: Tenure) -> None:
        """Give a stream up once whoever acted on it has ended; others may take it very soon."""
        if self._tenures.get(tenure.stream) is tenure:
            del self._tenures[tenure.stream]
            if not self._store.exclusive:
                self._leaving[tenure.stream] = tenure.epoch
                self._work.set()

    def lost(self, tenure: Tenure) -> NotOwner:
        """Take note that the store no longer accepts a tenure's commits; end it."""
        if self._tenures.get(tenure.stream) is tenure:
            self._lose(tenure.stream)
        return self._not_owner(tenure.stream, 0.0)

    def statistics(self) -> OwnershipStatistics:
        """Return what there is now."""
        return OwnershipStatistics(
            owned=len(self._tenures), taken=self._taken, refused=self._refused, lost=self._lost
        )

    async def run(self) -> None:
        """Renew what is owned and give up what was let go, until cancelled."""
        renew_at = trio.current_time()
        while True:
            self._work = trio.Event()
            await self._give_up()
            if trio.current_time() >= renew_at:
                renew_at = trio.current_time() + self._lease_s * _RENEWAL
                await self._renew_all()
            idle = self._store.exclusive or not self._tenures
            with trio.CancelScope(deadline=math.inf if idle else renew_at):
                await self._work.wait()

    async def close(self) -> None:
        """Give up everything, so that other nodes need not wait."""
        for tenure in tuple(self._tenures.values()):
            self.let_go(tenure)
        with trio.move_on_after(_CLOSE_S, shield=True):
            await self._give_up()

    async def _renew_all(self) -> None:
        """Renew in pieces; what could not be renewed now is renewed later, or ends in time."""
        if self._store.exclusive:
            return
        held = {stream: tenure.epoch for stream, tenure in self._tenures.items()}
        asked = iter(held.items())
        while piece := dict(islice(asked, _AT_ONCE)):
            began = trio.current_time()
            try:
                still = await self._store.renew(piece, node=self._node, lease_s=self._lease_s)
            except StoreError as error:
                _LOG.warning("leases_not_renewed", extra={"cause": str(error)})
                return
            for stream, epoch in piece.items():
                tenure = self._tenures.get(stream)
                if tenure is None or tenure.epoch != epoch:
                    continue  # let go, or taken anew, meanwhile
                if stream in still:
                    tenure.scope.deadline = self._deadline(began)
                else:
                    self._lose(stream)

    async def _give_up(self) -> None:
        while piece := dict(islice(self._leaving.items(), _AT_ONCE)):
            try:
                await self._store.disown(piece, node=self._node)
            except StoreError as error:
                # Their leases end by themselves; trying again would only keep others waiting.
                _LOG.warning("leases_not_given_up", extra={"cause": str(error)})
            for stream, epoch in piece.items():
                if self._leaving.get(stream) == epoch:
                    del self._leaving[stream]

    def _lose(self, stream: str) -> None:
        self._lost += 1
        _LOG.warning("ownership_lost", extra={"stream": stream})
        self._end(stream)

    def _end(self, stream: str) -> None:
        tenure = self._tenures.pop(stream, None)
        if tenure is not None:
            tenure.scope.cancel()

    def _deadline(self, asked_at: float) -> float:
        # Counted from before the store was asked, so it is earlier than the store's own.
        if self._store.exclusive:
            return math.inf
        return asked_at + self._lease_s * (1 - _MARGIN)

    def _not_owner(self, stream: str, left_s: float) -> NotOwner:
        return NotOwner(stream, retry_after_s=max(1, math.ceil(left_s)))


@asynccontextmanager
async def open_ownership(
    store: Store, *, node: str, lease_s: float = LEASE_S
) -> AsyncIterator[Ownership]:
    """Own streams for the length of a block; at its end all are given up.

    Args:
        node: this node's name, which no other may have. After a restart under the same name its
            streams are its own at once.
        lease_s: how long a stream stays taken without a word from its owner.
    """
    ownership = Ownership(store, node, lease_s)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ownership.run, name="ownership")
        try:
            yield ownership
        finally:
            nursery.cancel_scope.cancel()
            await ownership.close()
