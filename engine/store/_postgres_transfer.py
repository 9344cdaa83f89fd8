"""Export and import of a PostgreSQL store, piece by piece, each in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from typing import Any, Final

from engine.errors import ImportRefused
from engine.store._commit import Claim, Event, Snapshot, kind_of
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
from engine.store._postgres_batch import columns_of
from engine.store._postgres_check import LONG_S
from engine.store._postgres_connection import Connection, Denied
from engine.store._postgres_read import ROW, row_from
from engine.store._protocol import Transferred

_STEP_S: Final = 60.0
_PIECE_BYTES: Final = 1024 * 1024
_STREAMS_AT_ONCE: Final = 200
_EVENTS_AT_ONCE: Final = 2_000

_STREAMS: Final = f"""
    SELECT s.no, stream, epoch, s.seq, b.seq, b.body, {ROW}
    FROM streams s LEFT JOIN snapshots b USING (no) WHERE no > $1 ORDER BY no LIMIT $2
"""  # noqa: S608 - names of columns
_ALIASES: Final = """
    SELECT no, alias, payload, expires_at_ms FROM aliases WHERE no = ANY ($1) ORDER BY no, alias
"""
_EVENTS: Final = """
    SELECT no, seq, type, at_ms, body FROM (
        SELECT x.*, sum(octet_length(body)) OVER (ORDER BY no, seq) AS weight,
            row_number() OVER (ORDER BY no, seq) AS place
        FROM (SELECT * FROM events WHERE no = ANY ($1) AND (no, seq) > ($2, $3)
            ORDER BY no, seq LIMIT $4) x
    ) y WHERE weight <= $5 OR place = 1 ORDER BY no, seq
"""
_TABLES: Final = {
    "streams": "no stream kind seq epoch owner status created_at_ms updated_at_ms due_at_ms tags"
    " summary",
    "snapshots": "no seq body",
    "tags": "no name value kind status created_at_ms stream",
    "aliases": "alias no payload expires_at_ms",
    "events": "no seq type at_ms body",
}


async def lines_of(connection: Connection) -> AsyncGenerator[bytes]:
    """Yield an export of one moment; it holds the connection meanwhile."""
    writer = ExportWriter()
    async with connection.transaction(
        "ISOLATION LEVEL REPEATABLE READ READ ONLY", within_s=_STEP_S
    ):
        ((epoch,),) = await connection.fetch(
            "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM epochs", within_s=_STEP_S
        )
        yield writer.line(HeadRecord(format=FORMAT, epoch=epoch))
        after = 0
        while streams := await connection.fetch(
            _STREAMS, after, _STREAMS_AT_ONCE, within_s=_STEP_S
        ):
            async for record in _records(connection, streams):
                yield writer.line(record)
            after = streams[-1][0]
    yield writer.end()


async def _records(connection: Connection, streams: Sequence[Any]) -> AsyncGenerator[Content]:
    """Yield some streams whole, each with its aliases and events."""
    nos = [row[0] for row in streams]
    aliases: dict[int, list[AliasRecord]] = defaultdict(list)
    for no, alias, payload, expiry in await connection.fetch(_ALIASES, nos, within_s=_STEP_S):
        claim = Claim(alias=alias, payload=payload, expires_at_ms=expiry)
        aliases[no].append(AliasRecord(claim=claim))
    events = _events(connection, nos)
    ahead = await anext(events, None)
    for no, stream, epoch, seq, snapshot_seq, body, *row in streams:
        snapshot = None if snapshot_seq is None else Snapshot(seq=snapshot_seq, body=body)
        yield StreamRecord(
            stream=stream, epoch=epoch, seq=seq, snapshot=snapshot, row=row_from(*row)
        )
        for record in aliases[no]:
            yield record
        while ahead is not None and ahead[0] == no:
            yield event_record(ahead[1])
            ahead = await anext(events, None)


async def _events(connection: Connection, nos: Sequence[int]) -> AsyncGenerator[tuple[int, Event]]:
    place = (0, 0)
    while rows := await connection.fetch(
        _EVENTS, nos, *place, _EVENTS_AT_ONCE, _PIECE_BYTES, within_s=_STEP_S
    ):
        for no, seq, kind, at_ms, body in rows:
            yield no, Event(seq=seq, type=kind, at_ms=at_ms, body=body)
        place = rows[-1][0], rows[-1][1]


async def import_lines(connection: Connection, lines: AsyncIterable[bytes]) -> Transferred:
    """See `Store.import_lines`. Nobody else can write meanwhile."""
    reader = ExportReader()
    async with connection.transaction(within_s=LONG_S):
        importer = _Importer(connection)
        await importer.begin()
        size = 0
        async for line in lines:
            if (record := reader.read(line)) is not None:
                importer.add(record)
                size += len(line)
            if size > _PIECE_BYTES:
                await importer.write()
                size = 0
        transferred = reader.finish()
        await importer.write()
        await importer.finish(reader.epoch)
    return transferred


class _Importer:
    """Writes records into empty tables, in the transaction that is open."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._rows: dict[str, list[Any]] = defaultdict(list)
        self._stream = ""
        self._no = 0

    async def begin(self) -> None:
        """Raises: ImportRefused: something is there already."""
        connection = self._connection
        await connection.run("SET LOCAL statement_timeout = 0", within_s=_STEP_S)
        await connection.run("LOCK TABLE streams IN EXCLUSIVE MODE", within_s=_STEP_S)
        ((used, self._no),) = await connection.fetch(
            "SELECT EXISTS (SELECT FROM streams) OR EXISTS (SELECT FROM graves),"
            " nextval(pg_get_serial_sequence('streams', 'no'))",
            within_s=_STEP_S,
        )
        if used:
            raise ImportRefused("the store is not empty")

    def add(self, record: Content) -> None:
        """Take a record; it is written by the next `write`."""
        match record:
            case StreamRecord():
                self._add_stream(record)
            case AliasRecord():
                claim = record.claim
                self._rows["aliases"].append(
                    (claim.alias, self._no, claim.payload, claim.expires_at_ms)
                )
            case EventRecord():
                event = record.event()
                self._rows["events"].append(
                    (self._no, event.seq, event.type, event.at_ms, event.body)
                )

    async def write(self) -> None:
        """Write what was taken.

        Raises:
            ImportRefused: a stream or an alias is there twice.
        """
        rows, self._rows = self._rows, defaultdict(list)
        try:
            for table, columns in _TABLES.items():
                if rows[table]:
                    await self._connection.copy_in(
                        table, columns.split(), rows[table], within_s=_STEP_S
                    )
        except Denied as denied:
            if denied.code != "23505":
                raise
            # Its detail would name an alias, which may be made of a secret's digest.
            raise ImportRefused("a stream or an alias is there twice") from None

    async def finish(self, epoch: int) -> None:
        """Let numbers go on behind what came in; the epoch becomes at least the export's."""
        await self._connection.fetch(
            "SELECT setval(pg_get_serial_sequence('streams', 'no'), $1)",
            self._no,
            within_s=_STEP_S,
        )
        if epoch:
            await self._connection.fetch(
                "SELECT setval('epochs', greatest($1, CASE WHEN is_called THEN last_value END))"
                " FROM epochs",
                epoch,
                within_s=_STEP_S,
            )

    def _add_stream(self, record: StreamRecord) -> None:
        self._no += 1
        no, stream, kind = self._no, record.stream, kind_of(record.stream)
        row = record.row
        if row is not None:
            self._rows["tags"] += [
                (no, name, value, kind, row.status, row.created_at_ms, stream)
                for name, value in row.tags.items()
            ]
        if record.snapshot is not None:
            self._rows["snapshots"].append((no, record.snapshot.seq, record.snapshot.body))
        self._rows["streams"].append((no, stream, kind, record.seq, record.epoch, *columns_of(row)))
