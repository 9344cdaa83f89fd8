"""Moving a whole store into another one, and finding that both hold the same."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import msgspec

from engine.errors import CopyDiffers
from engine.store._jsonl import EndRecord, EventRecord, Record, StreamRecord
from engine.store._protocol import Store, Transferred

_REPORT_EACH: Final = 1_000
_NAMED: Final = 10


class CopyProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a copy is: what has been read of the source, or read back from the target."""

    verifying: bool
    streams: int
    events: int


Report = Callable[[CopyProgress], None]


async def copy_store(source: Store, target: Store, *, report: Report) -> Transferred:
    """Bring all of `source`, as it is at one moment, into the empty `target`, or nothing of it.

    Then each stream is read back, and its digest is held against that of what was sent.

    Args:
        report: called after each thousand streams, and at the end of each of the two passes.

    Raises:
        ImportRefused: the target is not empty; it is left as it is.
        CopyDiffers: what the target gives back is not what it was sent.
    """
    sent, kept = _Digests(report, verifying=False), _Digests(report, verifying=True)
    async with source.export() as lines:
        transferred = await target.import_lines(sent.reading(lines))
    async with target.export() as lines:
        async for _ in kept.reading(lines):
            pass
    differing = [
        stream
        for stream in sent.by_stream.keys() | kept.by_stream.keys()
        if sent.by_stream.get(stream) != kept.by_stream.get(stream)
    ]
    if differing:
        raise CopyDiffers(tuple(sorted(differing)[:_NAMED]), count=len(differing))
    return transferred


class _Digests:
    """What is known of each stream that has passed by: a digest of its lines."""

    def __init__(self, report: Report, *, verifying: bool) -> None:
        self.by_stream: dict[str, bytes] = {}
        self._report = report
        self._verifying = verifying
        self._decoder = msgspec.json.Decoder(Record)
        self._digest = hashlib.sha256()
        self._stream = ""
        self._events = 0

    async def reading(self, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Hand lines on, and remember what they come to."""
        async for line in lines:
            record = self._decoder.decode(line)
            if isinstance(record, StreamRecord):
                self._close()
                self._stream = record.stream
            elif isinstance(record, EndRecord):
                self._close()
            self._events += isinstance(record, EventRecord)
            self._digest.update(line)
            yield line
        self._tell()

    def _close(self) -> None:
        """What came in since the last time was one stream; at first, it was the head."""
        if self._stream:
            self.by_stream[self._stream] = self._digest.digest()
            if len(self.by_stream) % _REPORT_EACH == 0:
                self._tell()
        self._stream, self._digest = "", hashlib.sha256()

    def _tell(self) -> None:
        streams, events = len(self.by_stream), self._events
        self._report(CopyProgress(verifying=self._verifying, streams=streams, events=events))
