"""What a store is, said as plainly as can be: the model that random programs are held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.errors import AliasTaken, CommitConflict, StaleEpoch
from engine.store import Alias, CatalogueRow, Commit, Due, Event, Loaded, Snapshot


class Model:
    """The state that a store must be in."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.epoch = 0
        self.events: dict[str, list[Event]] = {}
        self.epochs: dict[str, int] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.rows: dict[str, CatalogueRow] = {}
        self.aliases: dict[str, Alias] = {}

    def newest(self, stream: str) -> int:
        events = self.events.get(stream)
        return events[-1].seq if events else 0

    def commit(self, commit: Commit) -> int | type[Exception]:
        """Return the newest sequence, or the error that must be raised."""
        stream = commit.stream
        if commit.epoch < self.epochs.get(stream, 0):
            return StaleEpoch
        if commit.expected_seq != self.newest(stream):
            return CommitConflict
        holders = [self.resolve(claim.alias) for claim in commit.claims]
        if any(holder is not None and holder.stream != stream for holder in holders):
            return AliasTaken
        self.epochs[stream] = commit.epoch
        self.events.setdefault(stream, []).extend(commit.events)
        if commit.snapshot is not None:
            self.snapshots[stream] = commit.snapshot
        if commit.row is not None:
            self.rows[stream] = commit.row
        for name in commit.releases:
            if name in self.aliases and self.aliases[name].stream == stream:
                del self.aliases[name]
        for claim in commit.claims:
            self.aliases[claim.alias] = Alias(
                stream=stream, payload=claim.payload, expires_at_ms=claim.expires_at_ms
            )
        return self.newest(stream)

    def resolve(self, name: str) -> Alias | None:
        alias = self.aliases.get(name)
        expiry = None if alias is None else alias.expires_at_ms
        return None if expiry is not None and expiry <= self.now_ms else alias

    def load(self, stream: str) -> Loaded:
        return Loaded(
            seq=self.newest(stream),
            epoch=self.epochs.get(stream, 0),
            snapshot=self.snapshots.get(stream),
            row=self.rows.get(stream),
        )

    def prune(self, stream: str, types: frozenset[str], after: int, through: int) -> int:
        events, newest = self.events.get(stream, []), self.newest(stream)
        doomed = [
            event
            for event in events
            if event.type in types and after < event.seq <= through and event.seq < newest
        ]
        for event in doomed:
            events.remove(event)
        return len(doomed)

    def erase(self, stream: str, epoch: int) -> type[Exception] | None:
        if stream not in self.epochs:
            return None
        if epoch < self.epochs[stream]:
            return StaleEpoch
        for part in (self.events, self.epochs, self.snapshots, self.rows):
            part.pop(stream, None)
        self.aliases = {
            name: alias for name, alias in self.aliases.items() if alias.stream != stream
        }
        return None

    def forget_expired(self) -> int:
        gone = [name for name in self.aliases if self.resolve(name) is None]
        for name in gone:
            del self.aliases[name]
        return len(gone)

    def listed(
        self, kind: str, owner: str | None, status: str | None, tags: Mapping[str, str]
    ) -> Sequence[str]:
        """Streams of the rows that match, newest first."""
        found = [
            (row.created_at_ms, stream)
            for stream, row in self.rows.items()
            if stream.startswith(f"{kind}/")
            and owner in (None, row.owner)
            and status in (None, row.status)
            and tags.items() <= dict(row.tags).items()
        ]
        return [stream for _, stream in sorted(found, reverse=True)]

    def due(self, before_ms: int) -> Sequence[Due]:
        found = [
            (row.due_at_ms, stream)
            for stream, row in self.rows.items()
            if row.due_at_ms is not None and row.due_at_ms <= before_ms
        ]
        return [Due(due_at_ms=at, stream=stream) for at, stream in sorted(found)]
