"""Letting go of what has ended: sessions with their logs, some time after their end or on request.

Laws of this file: it knows no kind of session; each family says by which statuses its sessions have
ended for good. One stream is erased at a time, with a pause after each, so that whoever commits
does not wait for it. What was begun is on the audit log before anything is erased, and how much it
was afterwards; a crash in between leaves the rest to the next sweep.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import structlog
import trio
from msgspec.structs import replace

from engine.audit import AuditLog
from engine.clock import Clock
from engine.errors import CommitRefused, StoreError
from engine.ownership import NotOwner, Ownership
from engine.store import Listed, ListQuery, Store, milliseconds

_log: Final = structlog.get_logger("mooring.retention")
_PAGE: Final = 100
_PAUSE_S: Final = 0.02
_SWEEP_EVERY_S: Final = 3600.0
BEGUN: Final = "erasure.begun"
DONE: Final = "erasure.done"


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """By which statuses of the catalogue the sessions of a kind have ended for good.

    Attributes:
        counted_by_month: how many were created this month is counted from what exists, so one that
            was created in the current month (UTC) stays.
    """

    kind: str
    statuses: frozenset[str]
    counted_by_month: bool = False


class Eraser:
    """Erases streams, and says so.

    Args:
        epoch: of whoever erases.
        ownership: where several nodes share the store; each stream is taken first, and one that
            another node has stays.
        end: called with each stream that is gone, and why; its subscribers are told.
    """

    def __init__(
        self,
        store: Store,
        *,
        epoch: int,
        audit: AuditLog,
        ownership: Ownership | None = None,
        end: Callable[[str, str], None] = lambda stream, reason: None,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._store = store
        self._epoch = epoch
        self._ownership = ownership
        self._audit = audit
        self._end = end
        self._pause_s = pause_s

    async def erase(
        self, streams: AsyncIterable[str], about: Mapping[str, Any]
    ) -> Mapping[str, int]:
        """Erase streams, and return how many of each kind there were.

        Args:
            about: who does it and by which rule; goes to the audit log.

        Raises:
            StoreError: the store failed; what had been erased by then is.
        """
        counts: Counter[str] = Counter()
        begun = False
        async for stream in streams:
            if not begun:
                await self._audit.write(BEGUN, about)
                begun = True
            if await self._erase_one(stream):
                counts[stream.partition("/")[0]] += 1
            await trio.sleep(self._pause_s)
        if begun:
            await self._audit.write(DONE, {**about, "erased": dict(sorted(counts.items()))})
        return counts

    async def _erase_one(self, stream: str) -> bool:
        try:
            await self._erase_as_owner(stream)
        except (CommitRefused, NotOwner):
            return False  # it is a newer node's, which has its own sweep
        self._end(stream, "erased")
        return True

    async def _erase_as_owner(self, stream: str) -> None:
        if self._ownership is None:
            await self._store.erase(stream, epoch=self._epoch)
            return
        # Whoever has acted on it since this node's start did so under a newer epoch than that's.
        tenure = await self._ownership.take(stream)
        try:
            await self._store.erase(stream, epoch=tenure.epoch)
        finally:
            self._ownership.let_go(tenure)


class Retention:
    """Erases what ended longer ago than `keep`.

    Args:
        rules: what has ended, for each kind; other kinds are kept.
    """

    def __init__(
        self, store: Store, eraser: Eraser, clock: Clock, *, keep: timedelta, rules: Sequence[Ended]
    ) -> None:
        self._store = store
        self._eraser = eraser
        self._clock = clock
        self._keep = keep
        self._rules = rules

    async def run(self) -> None:
        """Sweep at once and then each hour, until cancelled."""
        while True:
            try:
                erased = await self.sweep()
                if erased:
                    _log.info("retention_swept", erased=dict(erased))
            except StoreError as error:
                _log.warning("retention_failed", cause=str(error))
            await trio.sleep(_SWEEP_EVERY_S)

    async def sweep(self) -> Mapping[str, int]:
        """Erase all that ended too long ago, and return how many of each kind there were."""
        about = {"by": "retention", "days": self._keep.total_seconds() / 86_400}
        async with aclosing(self._due()) as streams:
            return await self._eraser.erase(streams, about)

    async def _due(self) -> AsyncGenerator[str, None]:
        now = self._clock.now()
        ended_by_ms = milliseconds(now - self._keep)
        for rule in self._rules:
            created_by_ms = ended_by_ms
            if rule.counted_by_month:
                created_by_ms = min(created_by_ms, milliseconds(_month_of(now)) - 1)
            for status in sorted(rule.statuses):
                query = ListQuery(kind=rule.kind, status=status, newest_first=False, limit=_PAGE)
                async with aclosing(rows(self._store, query)) as found:
                    async for entry in found:
                        if entry.row.created_at_ms > created_by_ms:
                            break  # nothing behind it can have ended earlier
                        # What is due has something left to do.
                        if entry.row.updated_at_ms <= ended_by_ms and entry.row.due_at_ms is None:
                            yield entry.stream


async def rows(store: Store, query: ListQuery) -> AsyncGenerator[Listed, None]:
    """Yield every row of a list, page by page; what is erased meanwhile shifts nothing."""
    while True:
        page = await store.list_rows(query)
        for entry in page.entries:
            yield entry
        if page.next_cursor is None:
            return
        query = replace(query, cursor=page.next_cursor)


async def owned_by(store: Store, owner: str, *, kinds: Sequence[str]) -> AsyncGenerator[str, None]:
    """Yield every stream of these kinds whose row has this owner, kind by kind."""
    for kind in kinds:
        async with aclosing(rows(store, ListQuery(kind=kind, owner=owner, limit=_PAGE))) as found:
            async for entry in found:
                yield entry.stream


def _month_of(now: datetime) -> datetime:
    return datetime(now.year, now.month, 1, tzinfo=UTC)
