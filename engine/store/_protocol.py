"""What a store promises: the protocol that every store keeps, and what it gives back.

Guarantees:
- A commit is atomic. When `commit` returns, it survives a crash of process and machine, and every
  later read, list and resolve sees it.
- The commits of one stream are in one order, without a gap: of two that expect the same sequence,
  one wins and the other gets `CommitConflict`.
- A commit that has not begun can be cancelled, and then never happens. One that has begun is
  shielded: `commit` returns its outcome, and the cancellation comes at the next checkpoint.
- Every read sees one moment. Nothing here holds more in memory than its limits allow.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

import msgspec

from engine.histogram import HistogramStatistics
from engine.store._commit import CatalogueRow, Commit, Event, Snapshot

MAX_PAGE: Final = 1_000
PAGE_BYTES: Final = 1024 * 1024


class CommitDone(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The commit is durable; `seq` is the stream's newest sequence."""

    seq: int


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a stream's log.

    `through` is how far the log has been read: events up to there that are not in `events` have
    been pruned. Read on after `through`; there is nothing more when it is `newest_seq`.
    """

    events: tuple[Event, ...]
    through: int
    newest_seq: int


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stream stands; all zero and empty for one that does not exist."""

    seq: int = 0
    epoch: int = 0
    snapshot: Snapshot | None = None
    row: CatalogueRow | None = None


class ListQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which catalogue rows: all of a kind that match every filter given, by creation time.

    Rows created in the same millisecond are ordered by their stream's id. `cursor` goes on behind
    an earlier page of the same query; `limit` may differ.
    """

    kind: str
    owner: str | None = None
    status: str | None = None
    tags: Mapping[str, str] = {}
    newest_first: bool = True
    limit: int = 20
    cursor: str | None = None


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a list."""

    stream: str
    row: CatalogueRow


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a list; `next_cursor` is None on the last one."""

    entries: tuple[Listed, ...]
    next_cursor: str | None


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds an alias, and what was put there with it."""

    stream: str
    payload: bytes
    expires_at_ms: int | None


class Due(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A stream that wants to be woken."""

    due_at_ms: int
    stream: str


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found: nothing wrong when `problems` is empty (it names at most 100)."""

    problems: tuple[str, ...]
    streams: int
    events: int


class Transferred(msgspec.Struct, frozen=True, kw_only=True):
    """How much an import brought in."""

    streams: int
    events: int
    aliases: int


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows of the catalogue have this kind and status."""

    kind: str
    status: str
    count: int


class StoreStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a store has done since it was opened, and what waits now.

    Attributes:
        batch_sizes, batch_seconds: of the batches, however they ended.
        refusing: why it takes nothing more, for good; None while it does.
        failing: why the newest batch failed, or a commit could not begin in time, until a batch
            succeeds; None when nothing of that is so. It names nobody and no host.
        damage: what a read has found that is damaged since the store was opened; None is the rule.
        failed_at: when that was, on trio's clock.
    """

    commits: int
    refused: int
    failed: int
    events: int
    batches: int
    largest_batch: int
    reads: int
    waiting: int
    waiting_bytes: int
    batch_sizes: HistogramStatistics
    batch_seconds: HistogramStatistics
    refusing: str | None
    failing: str | None
    damage: str | None
    failed_at: float


class Store(Protocol):
    """The durable log of every session. Streams are named `kind/id`."""

    @property
    def exclusive(self) -> bool:
        """True when no other server can have it open: then a stream is owned without end."""
        ...

    async def begin_epoch(self) -> int:
        """Return an epoch newer than every one before: once at each start of a server."""
        ...

    async def commit(self, commit: Commit, *, timeout_s: float = 10.0) -> CommitDone:
        """Make `commit` durable, all of it or nothing.

        Args:
            timeout_s: how long it may wait to begin; once begun it is waited for.

        Raises:
            CommitInvalid, CommitConflict, StaleEpoch, AliasTaken: refused, nothing was written.
            StoreUnavailable: nothing was written; what is in `reason` may pass.
            CommitUnknown: the storage stalled; only the next start knows.
        """
        ...

    async def read(
        self, stream: str, *, after: int = 0, limit: int = 100, max_bytes: int = PAGE_BYTES
    ) -> Page:
        """Return the events after a sequence, in order: at most `limit`, and at least one of
        those there are even when it alone exceeds `max_bytes`."""
        ...

    async def newest(self, stream: str) -> int:
        """Return a stream's newest sequence, 0 when it has none."""
        ...

    async def load(self, stream: str) -> Loaded:
        """Return where a stream stands: what an actor needs to come back to life."""
        ...

    async def list_rows(self, query: ListQuery) -> Listing:
        """Return a page of the catalogue.

        Raises:
            CursorInvalid: the cursor is not one that this query was given by this store.
        """
        ...

    async def tally(self) -> tuple[Tally, ...]:
        """Return how many rows there are of each kind and status; looks at all of them."""
        ...

    async def resolve(self, alias: str) -> Alias | None:
        """Return who holds an alias; None when nobody does or it has expired."""
        ...

    async def due(
        self, before_ms: int, *, limit: int = 100, after: Due | None = None
    ) -> tuple[Due, ...]:
        """Return what is due at or before a time, earliest first; `after` pages on."""
        ...

    async def prune(self, stream: str, *, types: frozenset[str], after: int, through: int) -> int:
        """Remove events of these types with `after < seq <= through`, and return how many.

        The newest event always stays, so that the stream keeps its place. In steps; safe to repeat.
        """
        ...

    async def erase(self, stream: str, *, epoch: int) -> None:
        """Remove a stream without trace: log, snapshot, row and aliases.

        Gone for every reader at once; its bytes are overwritten by the time this returns, and after
        a crash by the next start. One that does not exist is fine.

        Raises:
            StaleEpoch: it belongs to a newer owner.
        """
        ...

    async def own(self, stream: str, *, node: str, lease_s: float) -> int:
        """Take a stream for a node, and return the epoch to commit under.

        A commit to a stream that is owned must have its owner's epoch, and come before the lease is
        over. A node may take a stream again that it owns, or has owned: under a newer epoch, which
        ends the earlier one. A store that only one server can open gives each stream at once, with
        the epoch that was begun last.

        Raises:
            OwnedElsewhere: another node has it, and its lease is not over.
        """
        ...

    async def renew(self, held: Mapping[str, int], *, node: str, lease_s: float) -> frozenset[str]:
        """Let the leases of streams, each owned under an epoch, begin anew; return which did."""
        ...

    async def disown(self, held: Mapping[str, int], *, node: str) -> None:
        """Let streams go, each if it is still owned under this epoch."""
        ...

    async def forget_expired(self, *, limit: int = 1_000) -> int:
        """Remove aliases that have expired, and return how many."""
        ...

    async def check(self) -> CheckReport:
        """Look for damage and contradictions; takes as long as reading everything does."""
        ...

    def export(self) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open everything there is, at one moment, as JSON lines."""
        ...

    async def import_lines(self, lines: AsyncIterable[bytes]) -> Transferred:
        """Bring in an export, all of it or nothing; only into an empty store.

        Raises:
            ImportRefused: the store is not empty, or the lines are not a whole export.
        """
        ...

    def statistics(self) -> StoreStatistics:
        """Return counts since the store was opened."""
        ...
