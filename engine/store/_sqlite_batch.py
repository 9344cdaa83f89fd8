"""One batch of commits as one transaction, in the writer's thread.

Laws of this file: who is refused is decided before anything is written, so that one refused commit
harms no other of its batch; and an outcome is given only after COMMIT has returned.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from engine.errors import CommitInvalid, CommitUnknown, StoreError
from engine.store._commit import Commit
from engine.store._group_commit import Outcome
from engine.store._sqlite_file import is_of_the_storage, transaction, translated, write_back
from engine.store._sqlite_heads import Heads
from engine.store._sqlite_plan import Holder, Plan
from engine.store._sqlite_rows import change_in, put_rows, select_in
from engine.store._sqlite_tail import EventTail

_LOG: Final = logging.getLogger("mooring.engine")
_STREAMS: Final = """
    REPLACE INTO streams
        (no, stream, kind, epoch, owner, status, created_at_ms, due_at_ms, tags) VALUES
"""
_SUMMARIES: Final = "REPLACE INTO summaries (no, updated_at_ms, summary) VALUES"
_SNAPSHOTS: Final = "REPLACE INTO snapshots (no, seq, body) VALUES"
_UNTAG: Final = "DELETE FROM tags WHERE no IN"
_TAGS: Final = "INSERT INTO tags (no, name, value, kind, status, created_at_ms, stream) VALUES"
_RELEASE: Final = "DELETE FROM aliases WHERE alias IN"
_CLAIM: Final = "REPLACE INTO aliases (alias, no, payload, expires_at_ms) VALUES"
_HOLDERS: Final = """
    SELECT alias, stream, expires_at_ms FROM aliases JOIN streams USING (no) WHERE alias IN
"""


class BatchWriter:
    """Writes batches on the writer's connection; used by one thread at a time."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, now_ms: Callable[[], int]
    ) -> None:
        self._connection = connection
        self._path = path
        self._now_ms = now_ms
        self._tail = EventTail(connection)
        self.heads = Heads(connection, self._tail)
        self._committing = False

    def write(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        """Make a batch durable; return each commit's outcome, in order. Raises nothing."""
        try:
            return self._write(commits)
        except Exception as error:
            if self._connection.in_transaction:
                self._connection.rollback()
            self.heads.forget()
            if isinstance(error, sqlite3.Error) and is_of_the_storage(error):
                return [self._failed(commit, error) for commit in commits]
            if len(commits) == 1:
                return [CommitInvalid(commits[0].stream, reason=repr(error))]
            # What the database can't take in spite of all checks fails alone, not its batch.
            return [self.write([commit])[0] for commit in commits]

    def tidy(self) -> None:
        """Do what can wait until a batch has been answered: move entries, write the log back."""
        if not self._tail.is_long:
            return
        try:
            with write_back(self._connection), transaction(self._connection):
                self._tail.move()
        except sqlite3.Error:
            # Nothing is lost by waiting: the next batch will say what is wrong, and try again.
            self.heads.forget()
            _LOG.warning("store_not_tidied", exc_info=True)

    def _write(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        self._committing = False
        self._connection.execute("BEGIN IMMEDIATE")
        self.heads.refresh()
        self.heads.load(commit.stream for commit in commits)
        holders = self._holders(commits)
        plan = Plan(self.heads, holders, now_ms=self._now_ms(), next_id=self._tail.next_id)
        outcomes = [plan.take(commit) for commit in commits]
        self._put(plan)
        self._committing = True
        self._connection.execute("COMMIT")
        return outcomes

    def _holders(self, commits: Sequence[Commit]) -> dict[str, Holder]:
        names = [claim.alias for commit in commits for claim in commit.claims]
        names += [name for commit in commits for name in commit.releases]
        found = select_in(self._connection, _HOLDERS, names)
        return {alias: (stream, expires_at_ms) for alias, stream, expires_at_ms in found}

    def _put(self, plan: Plan) -> None:
        connection = self._connection
        self._tail.append(plan.events, plan.entries)
        put_rows(connection, _STREAMS, 9, plan.streams)
        put_rows(connection, _SUMMARIES, 3, plan.summaries)
        put_rows(connection, _SNAPSHOTS, 3, plan.snapshots)
        change_in(connection, _UNTAG, plan.retagged)
        put_rows(connection, _TAGS, 7, plan.tags)
        change_in(connection, _RELEASE, plan.released)
        put_rows(connection, _CLAIM, 4, plan.claimed)

    def _failed(self, commit: Commit, error: sqlite3.Error) -> StoreError:
        """Say what became of a commit. An I/O error in the middle of COMMIT leaves that open: the
        log may have reached the disk although it could not be flushed, and a second flush would
        report success without having written (https://lwn.net/Articles/752063/).
        """
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if self._committing and code == sqlite3.SQLITE_IOERR:
            return CommitUnknown(commit.stream, reason=f"the disk failed ({error})")
        return translated(error, self._path)
