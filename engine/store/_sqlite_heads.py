"""Where each stream stands, as the writer knows it without asking.

Law of this file: what is remembered is what the tables hold. The writer is the only one that
changes them; should another connection have done so (an import, another process), SQLite's
`data_version` tells, and everything is forgotten.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final, TypeAlias

from engine.store._sqlite_rows import select_in
from engine.store._sqlite_tail import EventTail

# Some 400 bytes each; all are forgotten when there are more.
REMEMBERED: Final = 50_000

_SELECT: Final = """
    SELECT stream, no, epoch, newest, owner, status, created_at_ms, due_at_ms, tags
    FROM streams JOIN places USING (no) WHERE stream IN
"""

# owner, status, created_at_ms, due_at_ms, tags as JSON: what a row's indexes are made from
Indexed: TypeAlias = tuple[str, str, int, int | None, str]


class Head:
    """One stream's place; `no` is 0 until it has a number."""

    __slots__ = ("epoch", "indexed", "no", "seq")

    def __init__(self) -> None:
        self.no = 0
        self.epoch = 0
        self.seq = 0
        self.indexed: Indexed | None = None


class Heads:
    """The places of the streams that were written to last, and the next stream's number."""

    def __init__(self, connection: sqlite3.Connection, tail: EventTail) -> None:
        self._connection = connection
        self._tail = tail
        self._heads: dict[str, Head] = {}
        self._data_version = -1
        self._next_no = 1

    def refresh(self) -> None:
        """Forget everything if another connection has written. Call inside the transaction."""
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        if version != self._data_version:
            self._data_version = version
            self._heads.clear()
            self._tail.recount()
            (self._next_no,) = self._connection.execute(
                "SELECT 1 + max(coalesce((SELECT max(no) FROM streams), 0),"
                " coalesce((SELECT max(no) FROM graves), 0))"
            ).fetchone()
        elif len(self._heads) > REMEMBERED:
            self._heads.clear()

    def load(self, streams: Iterable[str]) -> None:
        """Know where these streams stand."""
        unknown = {stream: None for stream in streams if stream not in self._heads}
        if not unknown:
            return
        for stream, no, epoch, seq, *indexed in select_in(self._connection, _SELECT, [*unknown]):
            head = self._heads[stream] = Head()
            head.no, head.epoch, head.seq = no, epoch, seq
            head.indexed = tuple(indexed) if indexed[0] is not None else None
            del unknown[stream]
        for stream in unknown:
            self._heads[stream] = Head()

    def __getitem__(self, stream: str) -> Head:
        return self._heads[stream]

    def number(self, head: Head) -> None:
        """Give a new stream its number."""
        head.no = self._next_no
        self._next_no += 1

    def forget(self) -> None:
        """Forget everything: what was remembered may not have been written."""
        self._heads.clear()
        self._data_version = -1
