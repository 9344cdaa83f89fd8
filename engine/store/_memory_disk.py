"""What a store in memory keeps: the plainest form of the log, without a clock or a wait."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter

import msgspec

from engine.errors import CommitRefused, OwnedElsewhere, OwnershipLost, StaleEpoch
from engine.store._commit import CatalogueRow, Claim, Commit, Event, Snapshot, kind_of
from engine.store._cursor import KEY_BYTES, Place
from engine.store._jsonl import AliasRecord, Content, EventRecord, StreamRecord, event_record
from engine.store._protocol import Alias, CommitDone, Due, Listed, ListQuery, Loaded, Page, Tally
from engine.store._rules import matches, refusal

_SEQ = attrgetter("seq")


class _Log:
    """One stream."""

    __slots__ = ("epoch", "events", "row", "snapshot")

    def __init__(self) -> None:
        self.epoch = 0
        self.events: list[Event] = []
        self.snapshot: Snapshot | None = None
        self.row: CatalogueRow | None = None

    @property
    def seq(self) -> int:
        # The newest event is never pruned, so it says where the stream is.
        return self.events[-1].seq if self.events else 0


class _Owner(msgspec.Struct, frozen=True):
    """Who has a stream, and until when on the clock of whoever asks."""

    node: str
    epoch: int
    until_s: float


class MemoryDisk:
    """Everything that survives closing a store in memory.

    Args:
        shared: whether several stores may have it open at once, as nodes do.
    """

    def __init__(self, *, shared: bool = False) -> None:
        self.shared = shared
        self.epoch = 0
        self._owners: dict[str, _Owner] = {}
        self.cursor_key = bytes(KEY_BYTES)
        self._logs: dict[str, _Log] = {}
        self._aliases: dict[str, Alias] = {}

    def apply(self, commit: Commit, now_ms: int, now_s: float) -> CommitDone | CommitRefused:
        """Write all of a commit, or nothing and say why."""
        log = self._logs.get(commit.stream) or _Log()
        owner = self._owners.get(commit.stream)
        if owner is not None and (owner.epoch != commit.epoch or owner.until_s <= now_s):
            newest = owner.epoch
            return OwnershipLost(commit.stream, epoch=commit.epoch, newest_epoch=newest)

        def holder(name: str) -> str | None:
            alias = self.resolve(name, now_ms)
            return None if alias is None else alias.stream

        refused = refusal(commit, seq=log.seq, epoch=log.epoch, holder=holder)
        if refused is not None:
            return refused
        self._logs[commit.stream] = log
        log.epoch = commit.epoch
        log.events.extend(commit.events)
        log.snapshot = commit.snapshot or log.snapshot
        log.row = commit.row or log.row
        for name in commit.releases:
            self._release(name, commit.stream)
        for claim in commit.claims:
            self._claim(claim, commit.stream)
        return CommitDone(seq=log.seq)

    def read(self, stream: str, *, after: int, limit: int, max_bytes: int) -> Page:
        """See `Store.read`."""
        newest = self.load(stream).seq
        events = self._logs[stream].events if newest else []
        start = bisect_right(events, after, key=_SEQ)
        taken: list[Event] = []
        size = 0
        for event in events[start : start + limit]:
            size += len(event.body)
            if taken and size > max_bytes:
                break
            taken.append(event)
        return Page(
            events=tuple(taken), through=taken[-1].seq if taken else newest, newest_seq=newest
        )

    def load(self, stream: str) -> Loaded:
        """See `Store.load`."""
        log = self._logs.get(stream)
        if log is None:
            return Loaded()
        return Loaded(seq=log.seq, epoch=log.epoch, snapshot=log.snapshot, row=log.row)

    def rows(self, query: ListQuery, place: Place | None) -> Sequence[Listed]:
        """Return the query's rows behind `place`, all of them, in order."""
        found = [
            Listed(stream=stream, row=log.row)
            for stream, log in self._logs.items()
            if log.row is not None and kind_of(stream) == query.kind and matches(query, log.row)
        ]
        found.sort(key=_list_order, reverse=query.newest_first)
        if place is None:
            return found
        key = (place.created_at_ms, place.stream)
        if query.newest_first:
            return [one for one in found if _list_order(one) < key]
        return [one for one in found if _list_order(one) > key]

    def tally(self) -> tuple[Tally, ...]:
        """See `Store.tally`."""
        counts = Counter(
            (kind_of(stream), log.row.status)
            for stream, log in self._logs.items()
            if log.row is not None
        )
        return tuple(
            Tally(kind=kind, status=status, count=count)
            for (kind, status), count in sorted(counts.items())
        )

    def resolve(self, name: str, now_ms: int) -> Alias | None:
        """See `Store.resolve`."""
        alias = self._aliases.get(name)
        return None if alias is None or _has_expired(alias, now_ms) else alias

    def due(self, before_ms: int, after: Due | None) -> Sequence[Due]:
        """Return everything due behind `after`, earliest first."""
        found = [
            Due(due_at_ms=log.row.due_at_ms, stream=stream)
            for stream, log in self._logs.items()
            if log.row is not None
            and log.row.due_at_ms is not None
            and log.row.due_at_ms <= before_ms
        ]
        found.sort(key=_due_order)
        return [one for one in found if after is None or _due_order(one) > _due_order(after)]

    def prune(self, stream: str, types: frozenset[str], after: int, through: int) -> int:
        """See `Store.prune`."""
        log = self._logs.get(stream)
        if log is None:
            return 0
        newest = log.seq
        kept = [
            event
            for event in log.events
            if event.seq == newest or event.type not in types or not after < event.seq <= through
        ]
        pruned = len(log.events) - len(kept)
        log.events = kept
        return pruned

    def erase(self, stream: str, epoch: int) -> None:
        """See `Store.erase`."""
        log = self._logs.get(stream)
        if log is None:
            return
        if epoch < log.epoch:
            raise StaleEpoch(stream, epoch=epoch, newest_epoch=log.epoch)
        del self._logs[stream]
        self._aliases = {
            name: alias for name, alias in self._aliases.items() if alias.stream != stream
        }

    def own(self, stream: str, node: str, lease_s: float, now_s: float) -> int:
        """See `Store.own`."""
        if not self.shared:
            return self.epoch
        owner = self._owners.get(stream)
        if owner is not None and owner.node != node and owner.until_s > now_s:
            raise OwnedElsewhere(stream, node=owner.node, left_s=owner.until_s - now_s)
        self.epoch += 1
        self._owners[stream] = _Owner(node, self.epoch, now_s + lease_s)
        if stream in self._logs:
            self._logs[stream].epoch = self.epoch
        return self.epoch

    def renew(
        self, held: Mapping[str, int], node: str, lease_s: float, now_s: float
    ) -> frozenset[str]:
        """See `Store.renew`."""
        if not self.shared:
            return frozenset(held)
        still = frozenset(self._still_held(held, node))
        for stream in still:
            self._owners[stream] = _Owner(node, held[stream], now_s + lease_s)
        return still

    def disown(self, held: Mapping[str, int], node: str) -> None:
        """See `Store.disown`."""
        for stream in [*self._still_held(held, node)]:
            del self._owners[stream]

    def _still_held(self, held: Mapping[str, int], node: str) -> Iterator[str]:
        for stream, epoch in held.items():
            owner = self._owners.get(stream)
            if owner is not None and (owner.node, owner.epoch) == (node, epoch):
                yield stream

    def forget_expired(self, now_ms: int, limit: int) -> int:
        """See `Store.forget_expired`."""
        expired = [name for name, one in self._aliases.items() if _has_expired(one, now_ms)]
        for name in expired[:limit]:
            del self._aliases[name]
        return len(expired[:limit])

    def counts(self) -> tuple[int, int]:
        """Return how many streams and events there are."""
        return len(self._logs), sum(len(log.events) for log in self._logs.values())

    def records(self) -> Iterator[Content]:
        """Yield everything, as it is at each step; see `engine.store._jsonl`."""
        for stream, log in self._logs.items():
            yield StreamRecord(
                stream=stream, epoch=log.epoch, seq=log.seq, snapshot=log.snapshot, row=log.row
            )
            for name, alias in sorted(self._aliases.items(), key=itemgetter(0)):
                if alias.stream == stream:
                    yield AliasRecord(
                        claim=Claim(
                            alias=name, payload=alias.payload, expires_at_ms=alias.expires_at_ms
                        )
                    )
            yield from map(event_record, log.events)

    def restore(self, record: Content, stream: str) -> None:
        """Bring one record of `stream` in. Raises KeyError for what is there already."""
        match record:
            case StreamRecord():
                if stream in self._logs:
                    raise KeyError(stream)
                log = self._logs[stream] = _Log()
                log.epoch, log.snapshot, log.row = record.epoch, record.snapshot, record.row
            case AliasRecord():
                if record.claim.alias in self._aliases:
                    raise KeyError(record.claim.alias)
                self._claim(record.claim, stream)
            case EventRecord():
                self._logs[stream].events.append(record.event())

    def replace_if_empty(self, incoming: MemoryDisk, *, epoch: int) -> bool:
        """Take over everything of `incoming`, unless something is here already."""
        if self._logs:
            return False
        self.epoch = max(self.epoch, epoch)
        self._logs, self._aliases = incoming._logs, incoming._aliases
        return True

    def _release(self, name: str, stream: str) -> None:
        alias = self._aliases.get(name)
        if alias is not None and alias.stream == stream:
            del self._aliases[name]

    def _claim(self, claim: Claim, stream: str) -> None:
        self._aliases[claim.alias] = Alias(
            stream=stream, payload=claim.payload, expires_at_ms=claim.expires_at_ms
        )


def _list_order(one: Listed) -> tuple[int, str]:
    return one.row.created_at_ms, one.stream


def _due_order(one: Due) -> tuple[int, str]:
    return one.due_at_ms, one.stream


def _has_expired(alias: Alias, now_ms: int) -> bool:
    return alias.expires_at_ms is not None and alias.expires_at_ms <= now_ms
