"""Export and import of a SQLite store, piece by piece, each on a connection of its own."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterator,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import trio

from engine.errors import ImportRefused
from engine.store._commit import MAX_INTEGER, Claim, Event, Snapshot, kind_of
from engine.store._jsonl import (
    FORMAT,
    AliasRecord,
    Content,
    EventRecord,
    ExportReader,
    ExportWriter,
    HeadRecord,
    StreamRecord,
    event_record,
)
from engine.store._protocol import Transferred
from engine.store._sqlite_file import connect, translated
from engine.store._sqlite_plan import UNLISTED, indexed_of, tag_rows
from engine.store._sqlite_read import events_after, row_from
from engine.store._sqlite_rows import put_rows

_P = ParamSpec("_P")
_T = TypeVar("_T")
_PIECE_BYTES: Final = 256 * 1024

_STREAMS: Final = """
    SELECT s.no, stream, epoch, newest, b.seq, b.body,
        owner, status, created_at_ms, due_at_ms, tags, updated_at_ms, summary
    FROM streams s JOIN places USING (no)
    LEFT JOIN summaries USING (no) LEFT JOIN snapshots b USING (no) ORDER BY s.no
"""
_ALIASES: Final = """
    SELECT alias, payload, expires_at_ms FROM aliases WHERE no = ? ORDER BY alias
"""

_INSERTS: Final = {
    "stream": (
        "INSERT INTO streams"
        " (no, stream, kind, epoch, owner, status, created_at_ms, due_at_ms, tags) VALUES",
        9,
    ),
    "summary": ("INSERT INTO summaries (no, updated_at_ms, summary) VALUES", 3),
    "snapshot": ("INSERT INTO snapshots (no, seq, body) VALUES", 3),
    "tag": (
        "INSERT INTO tags (no, name, value, kind, status, created_at_ms, stream) VALUES",
        7,
    ),
    "alias": ("INSERT INTO aliases (alias, no, payload, expires_at_ms) VALUES", 4),
    "event": ("INSERT INTO events (id, no, seq, type, at_ms, body) VALUES", 6),
    "entry": ("INSERT INTO event_index (no, seq, id) VALUES", 3),
}


def _lines(connection: sqlite3.Connection) -> Iterator[bytes]:
    """Yield an export of the moment at which the first line is taken."""
    writer = ExportWriter()
    connection.execute("BEGIN")
    (epoch,) = connection.execute("SELECT value FROM meta WHERE name = 'epoch'").fetchone()
    yield writer.line(HeadRecord(format=FORMAT, epoch=epoch))
    for no, stream, epoch, seq, snapshot_seq, body, *row in connection.execute(_STREAMS):
        snapshot = None if snapshot_seq is None else Snapshot(seq=snapshot_seq, body=body)
        yield writer.line(
            StreamRecord(stream=stream, epoch=epoch, seq=seq, snapshot=snapshot, row=row_from(*row))
        )
        for alias, payload, expires_at_ms in connection.execute(_ALIASES, (no,)):
            claim = Claim(alias=alias, payload=payload, expires_at_ms=expires_at_ms)
            yield writer.line(AliasRecord(claim=claim))
        for event in events_after(connection, no, 0, MAX_INTEGER):
            yield writer.line(event_record(event))
    yield writer.end()


class Importer:
    """Writes records into an empty database, in one transaction that `finish` commits."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._stream = ""
        self._no = 0
        self._id = 0

    def begin(self) -> None:
        """Raises: ImportRefused: something is there already."""
        self._connection.execute("BEGIN IMMEDIATE")
        (streams,) = self._connection.execute(
            "SELECT (SELECT count(*) FROM streams) + (SELECT count(*) FROM graves)"
        ).fetchone()
        if streams:
            raise ImportRefused("the store is not empty")

    def add(self, records: Sequence[Content]) -> None:
        """Write records, in order.

        Raises:
            ImportRefused: a stream or an alias is there twice.
        """
        rows: dict[str, list[Any]] = defaultdict(list)
        for record in records:
            match record:
                case StreamRecord():
                    self._add_stream(rows, record)
                case AliasRecord():
                    claim = record.claim
                    rows["alias"] += (claim.alias, self._no, claim.payload, claim.expires_at_ms)
                case EventRecord():
                    self._add_event(rows, record.event())
        try:
            for name, (statement, width) in _INSERTS.items():
                put_rows(self._connection, statement, width, rows[name])
        except sqlite3.IntegrityError as error:
            raise ImportRefused(f"a stream or an alias is there twice ({error})") from None

    def finish(self, epoch: int) -> None:
        """Make it all durable; the store's epoch becomes at least the export's."""
        self._connection.execute(
            "UPDATE meta SET value = max(value, ?) WHERE name = 'epoch'", (epoch,)
        )
        self._connection.execute("COMMIT")

    def _add_stream(self, rows: dict[str, list[Any]], record: StreamRecord) -> None:
        self._no += 1
        self._stream, no, kind = record.stream, self._no, kind_of(record.stream)
        row, snapshot = record.row, record.snapshot
        indexed = UNLISTED if row is None else indexed_of(row)
        rows["stream"] += (no, record.stream, kind, record.epoch, *indexed)
        if row is not None:
            rows["summary"] += (no, row.updated_at_ms, row.summary)
            rows["tag"] += chain.from_iterable(tag_rows(record.stream, no, row))
        if snapshot is not None:
            rows["snapshot"] += (no, snapshot.seq, snapshot.body)

    def _add_event(self, rows: dict[str, list[Any]], event: Event) -> None:
        self._id += 1
        rows["event"] += (self._id, self._no, event.seq, event.type, event.at_ms, event.body)
        rows["entry"] += (self._no, event.seq, self._id)


@asynccontextmanager
async def export_lines(path: Path) -> AsyncIterator[AsyncIterator[bytes]]:
    """See `Store.export`. While it is open, the write-ahead log cannot be emptied, and grows."""
    connection = await trio.to_thread.run_sync(partial(connect, path, read_only=True))
    try:
        async with aclosing(_in_pieces(_lines(connection), path)) as lines:
            yield lines
    finally:
        connection.close()


async def import_lines(path: Path, lines: AsyncIterable[bytes]) -> Transferred:
    """See `Store.import_lines`. Nobody else can write meanwhile."""
    reader = ExportReader()
    connection = await trio.to_thread.run_sync(connect, path)
    try:
        importer = Importer(connection)
        await _in_thread(path, importer.begin)
        records: list[Content] = []
        size = 0
        async for line in lines:
            if (record := reader.read(line)) is not None:
                records.append(record)
                size += len(line)
            if size > _PIECE_BYTES:
                await _in_thread(path, importer.add, records)
                records, size = [], 0
        transferred = reader.finish()
        await _in_thread(path, importer.add, records)
        await _in_thread(path, importer.finish, reader.epoch)
    finally:
        connection.close()  # rolls back what was not finished
    return transferred


async def _in_pieces(lines: Iterator[bytes], path: Path) -> AsyncGenerator[bytes]:
    while piece := await _in_thread(path, _take_piece, lines):
        for line in piece:
            yield line


def _take_piece(lines: Iterator[bytes]) -> list[bytes]:
    piece: list[bytes] = []
    size = 0
    for line in lines:
        piece.append(line)
        size += len(line)
        if size > _PIECE_BYTES:
            break
    return piece


async def _in_thread(path: Path, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    def run() -> _T:
        try:
            return work(*args, **kwargs)
        except sqlite3.Error as error:
            raise translated(error, path) from error

    return await trio.to_thread.run_sync(run)
