"""An export as JSON lines: a head, each stream with its aliases and events, an end that seals it.

One line, one record, told apart by its `record` field. The end carries counts and the SHA-256 of
every line before it, so that what was cut short or edited is not taken for a whole. An event's body
stands as text where it is UTF-8, so that an export can be read and searched; else as base64.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from engine.errors import CommitInvalid, ImportRefused
from engine.store._commit import (
    MAX_COMMIT_BYTES,
    CatalogueRow,
    Claim,
    Commit,
    Event,
    Snapshot,
    size_of,
)
from engine.store._protocol import Transferred

FORMAT: Final = 1
_MAX_LINE: Final = 4 * MAX_COMMIT_BYTES


class HeadRecord(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="record", tag="store"
):
    """The first line. `epoch` is the newest that was ever begun."""

    format: int
    epoch: int


class StreamRecord(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="record", tag="stream"
):
    """A stream; its aliases and its events follow."""

    stream: str
    epoch: int
    seq: int
    snapshot: Snapshot | None = None
    row: CatalogueRow | None = None


class AliasRecord(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="record", tag="alias"
):
    """An alias of the stream above."""

    claim: Claim


class EventRecord(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="record", tag="event"
):
    """An event of the stream above, in order."""

    seq: int
    type: str
    at_ms: int
    text: str | None = None
    base64: bytes | None = None

    def event(self) -> Event:
        """Return the event that this line stands for."""
        body = self.base64 if self.text is None else self.text.encode()
        return Event(seq=self.seq, type=self.type, at_ms=self.at_ms, body=body or b"")


class EndRecord(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="record", tag="end"
):
    """The last line."""

    streams: int
    events: int
    aliases: int
    sha256: str


Record: TypeAlias = HeadRecord | StreamRecord | AliasRecord | EventRecord | EndRecord
Content: TypeAlias = StreamRecord | AliasRecord | EventRecord


def event_record(event: Event) -> EventRecord:
    """Return the line that stands for `event`."""
    try:
        text = event.body.decode()
    except UnicodeDecodeError:
        return EventRecord(seq=event.seq, type=event.type, at_ms=event.at_ms, base64=event.body)
    return EventRecord(seq=event.seq, type=event.type, at_ms=event.at_ms, text=text)


class _Tally:
    """Counts and digest, kept alike by who writes an export and who reads it."""

    def __init__(self) -> None:
        self.streams = self.aliases = self.events = 0
        self.digest = hashlib.sha256()

    def count(self, record: Record, line: bytes) -> None:
        self.streams += isinstance(record, StreamRecord)
        self.aliases += isinstance(record, AliasRecord)
        self.events += isinstance(record, EventRecord)
        self.digest.update(line)

    def end(self) -> EndRecord:
        return EndRecord(
            streams=self.streams,
            events=self.events,
            aliases=self.aliases,
            sha256=self.digest.hexdigest(),
        )


class ExportWriter:
    """Turns records into lines, and seals them with the end."""

    def __init__(self) -> None:
        # One content, one line: whatever order a store gives a row's tags in.
        self._encoder = msgspec.json.Encoder(order="deterministic")
        self._tally = _Tally()

    def line(self, record: HeadRecord | Content) -> bytes:
        """Return a record's line, with its line feed."""
        line = self._encoder.encode(record) + b"\n"
        self._tally.count(record, line)
        return line

    def end(self) -> bytes:
        """Return the last line."""
        return self._encoder.encode(self._tally.end()) + b"\n"


class ExportReader:
    """Turns lines into records, and refuses what is not a whole export of ours."""

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(Record)
        self._tally = _Tally()
        self._number = 0
        self._stream: StreamRecord | None = None
        self._seq = 0
        self._ended = False
        self.epoch = 0

    def read(self, line: bytes) -> Content | None:
        """Return what a line brings in; None for head and end.

        Raises:
            ImportRefused: with the line's number and what is wrong with it.
        """
        self._number += 1
        if self._ended:
            raise self._refused("something follows the end")
        if len(line) > _MAX_LINE:
            raise self._refused("the line is too long")
        try:
            record = self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise self._refused(f"not a record: {error}") from None
        try:
            return self._take(record, line if line.endswith(b"\n") else line + b"\n")
        except CommitInvalid as error:
            raise self._refused(error.reason) from None

    def finish(self) -> Transferred:
        """Return what came in, once the end has been read.

        Raises:
            ImportRefused: the end is missing.
        """
        if not self._ended:
            raise ImportRefused("the export is cut short: its last line is missing")
        tally = self._tally
        return Transferred(streams=tally.streams, events=tally.events, aliases=tally.aliases)

    def _take(self, record: Record, line: bytes) -> Content | None:
        if (self._number == 1) != isinstance(record, HeadRecord):
            raise self._refused("the first line, and only it, must be the head")
        match record:
            case HeadRecord():
                self._take_head(record)
            case StreamRecord():
                self._take_stream(record)
            case AliasRecord():
                self._check_part(claims=(record.claim,))
            case EventRecord():
                self._take_event(record.event())
            case EndRecord():
                self._take_end(record)
                return None
        self._tally.count(record, line)
        return None if isinstance(record, HeadRecord) else record

    def _take_head(self, head: HeadRecord) -> None:
        if head.format != FORMAT:
            raise self._refused(f"format {head.format} is not {FORMAT}")
        if head.epoch < 0:
            raise self._refused("the epoch is below zero")
        self.epoch = head.epoch

    def _take_stream(self, record: StreamRecord) -> None:
        self._close_stream()
        if record.epoch > self.epoch:
            raise self._refused("the stream's epoch is newer than the store's")
        self._stream, self._seq = record, 0
        self._check_part(snapshot=record.snapshot, row=record.row)

    def _take_event(self, event: Event) -> None:
        stream = self._stream
        if stream is None or not self._seq < event.seq <= stream.seq:
            raise self._refused(f"event {event.seq} is out of order")
        self._check_part(expected_seq=event.seq - 1, events=(event,))
        self._seq = event.seq

    def _take_end(self, end: EndRecord) -> None:
        self._close_stream()
        mine = self._tally.end()
        counts = (end.streams, end.events, end.aliases) == (mine.streams, mine.events, mine.aliases)
        if not counts or not hmac.compare_digest(end.sha256.encode(), mine.sha256.encode()):
            raise self._refused("the lines are not those that were exported")
        self._ended = True

    def _close_stream(self) -> None:
        if self._stream is not None and self._seq != self._stream.seq:
            raise self._refused(f"{self._stream.stream} has lost its newest event")

    def _check_part(self, **parts: object) -> None:
        """Hold a part of a stream against the rules of a commit that would have written it."""
        stream = self._stream
        if stream is None:
            raise self._refused("no stream has begun")
        rest = {"expected_seq": stream.seq, **parts}
        size_of(Commit(stream=stream.stream, epoch=stream.epoch, **rest))  # type: ignore[arg-type]

    def _refused(self, reason: str) -> ImportRefused:
        return ImportRefused(reason, line=self._number)
