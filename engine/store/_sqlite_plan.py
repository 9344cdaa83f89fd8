"""What a batch of commits comes to: who is refused, and which rows are to be written."""

from __future__ import annotations

from itertools import chain
from typing import Any, Final, TypeAlias

import msgspec

from engine.store._commit import CatalogueRow, Commit, kind_of
from engine.store._group_commit import Outcome
from engine.store._protocol import CommitDone
from engine.store._rules import refusal
from engine.store._sqlite_heads import Head, Heads, Indexed

Row: TypeAlias = tuple[Any, ...]
Holder: TypeAlias = tuple[str | None, int | None]  # a stream, and when it expires
_NOBODY: Final[Holder] = (None, None)
UNLISTED: Final = (None, None, None, None, None)


class Plan:
    """Takes commits in order; later ones build on earlier ones, of rows only the last remains.

    Args:
        holders: who holds the aliases that the commits name, and until when.
        now_ms: when aliases expire.
        next_id: the id of the next event.
    """

    def __init__(
        self, heads: Heads, holders: dict[str, Holder], *, now_ms: int, next_id: int
    ) -> None:
        self._heads = heads
        self._now_ms = now_ms
        self._holders = holders
        self._next_id = next_id
        # Rows one after another, as statements take them; of two for one key the later one wins.
        self.events: list[Any] = []
        self.entries: list[Any] = []
        self.streams: list[Any] = []
        self.summaries: list[Any] = []
        self.snapshots: list[Any] = []
        self._tags: dict[int, list[Row]] = {}
        self._aliases: dict[str, Row | None] = {}

    def take(self, commit: Commit) -> Outcome:
        """Plan to write all of a commit, or nothing and say why."""
        head = self._heads[commit.stream]
        refused = refusal(commit, seq=head.seq, epoch=head.epoch, holder=self._holder)
        if refused is not None:
            return refused
        if commit.row is not None or commit.epoch != head.epoch or not head.no:
            self._place(commit, head)
        no, number = head.no, self._next_id
        for event in commit.events:
            self.events += (number, no, event.seq, event.type, event.at_ms, event.body)
            self.entries += (no, event.seq, number)
            number += 1
        self._next_id = number
        head.seq += len(commit.events)
        if commit.snapshot is not None:
            self.snapshots += (no, commit.snapshot.seq, commit.snapshot.body)
        if commit.claims or commit.releases:
            self._name(commit, no)
        return CommitDone(seq=head.seq)

    @property
    def retagged(self) -> list[int]:
        """The streams whose tags are to be replaced."""
        return [*self._tags]

    @property
    def tags(self) -> list[Any]:
        """Values of `tags`."""
        return [*chain.from_iterable(chain.from_iterable(self._tags.values()))]

    @property
    def released(self) -> list[str]:
        """Aliases to remove."""
        return [name for name, row in self._aliases.items() if row is None]

    @property
    def claimed(self) -> list[Any]:
        """Values of `aliases`."""
        return [*chain.from_iterable(row for row in self._aliases.values() if row is not None)]

    def _name(self, commit: Commit, no: int) -> None:
        """Plan for releases, then for claims."""
        for name in commit.releases:
            if self._holders.get(name, _NOBODY)[0] == commit.stream:
                self._aliases[name] = None
                del self._holders[name]
        for claim in commit.claims:
            self._aliases[claim.alias] = (claim.alias, no, claim.payload, claim.expires_at_ms)
            self._holders[claim.alias] = commit.stream, claim.expires_at_ms

    def _holder(self, alias: str) -> str | None:
        stream, expires_at_ms = self._holders.get(alias, _NOBODY)
        return None if expires_at_ms is not None and expires_at_ms <= self._now_ms else stream

    def _place(self, commit: Commit, head: Head) -> None:
        """Plan for the stream's own row and its summary."""
        changed = commit.epoch != head.epoch or not head.no
        head.epoch = commit.epoch
        if not head.no:
            self._heads.number(head)
        row, no = commit.row, head.no
        if row is not None:
            self.summaries += (no, row.updated_at_ms, row.summary)
            indexed = indexed_of(row)
            if indexed != head.indexed:
                changed = True
                head.indexed = indexed
                self._tags[no] = tag_rows(commit.stream, no, row)
        if changed:
            rest = head.indexed or UNLISTED
            self.streams += (no, commit.stream, kind_of(commit.stream), head.epoch, *rest)


def indexed_of(row: CatalogueRow) -> Indexed:
    """Return the columns of `streams` that a row decides."""
    tags = msgspec.json.encode(row.tags, order="sorted").decode() if row.tags else "{}"
    return row.owner, row.status, row.created_at_ms, row.due_at_ms, tags


def tag_rows(stream: str, no: int, row: CatalogueRow) -> list[Row]:
    """Return the rows of `tags` that a row decides."""
    kind = kind_of(stream)
    return [
        (no, name, value, kind, row.status, row.created_at_ms, stream)
        for name, value in row.tags.items()
    ]
