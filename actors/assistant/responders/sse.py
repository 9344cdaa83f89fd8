"""Server-sent events, read strictly and within bounds.

Laws of this file: pure; bytes in, events out, however the bytes were cut. It never holds more than
one line and one event of bounded size. What the format does not know is an error and not ignored:
a server that answers with something else is told apart from one that says nothing.

Source: HTML Standard, "Server-sent events", parsing and interpreting an event stream.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from actors.assistant.responders.responder import ReplyGarbled

MAX_EVENT_BYTES: Final = 256 * 1024

_END_OF_LINE: Final = re.compile(rb"\r\n|\n|\r")
_BOM: Final = b"\xef\xbb\xbf"


class ServerSentEvent(msgspec.Struct, frozen=True):
    """One event: its type ("message" unless it says otherwise) and its data."""

    type: str
    data: str


class EventStream:
    """Turns the bytes of one stream into its events."""

    def __init__(self) -> None:
        self._line = bytearray()  # begun and not ended
        self._after_cr = False  # a line feed that comes next belongs to the line that has ended
        self._first = True
        self._type = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Yield the events that `chunk` completes; to be iterated to the end.

        Raises:
            ReplyGarbled: the stream breaks the format or its bounds, behind what was yielded.
        """
        for line in self._lines(chunk):
            if line:
                self._take(line)
                continue
            kind, data = self._type or "message", self._data
            self._type, self._data, self._size = "", [], 0
            if data:
                yield ServerSentEvent(kind, "\n".join(data))

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        if not chunk:
            self._after_cr = False
            return
        self._after_cr = chunk.endswith(b"\r")
        *ended, rest = _END_OF_LINE.split(chunk)
        for piece in ended:
            yield self._end_line(piece)
        self._grow_line(rest)

    def _end_line(self, piece: bytes) -> bytes:
        self._grow_line(piece)
        line = bytes(self._line)
        self._line.clear()
        if self._first:
            self._first = False
            line = line.removeprefix(_BOM)
        return line

    def _grow_line(self, piece: bytes) -> None:
        # What is held is this line and the data of this event; a comment is held no longer than it
        # lasts, however many come.
        if self._size + len(self._line) + len(piece) > MAX_EVENT_BYTES:
            raise ReplyGarbled(f"an event is longer than {MAX_EVENT_BYTES} bytes")
        self._line += piece

    def _take(self, line: bytes) -> None:
        try:
            field, _, value = line.decode().partition(":")
        except UnicodeDecodeError:
            raise ReplyGarbled("it is not UTF-8") from None
        value = value.removeprefix(" ")
        match field:
            case "data":
                self._data.append(value)
                self._size += len(line)
            case "event":
                self._type = value
            case "" | "id" | "retry":  # a comment, and what only matters when reconnecting
                pass
            case _:
                raise ReplyGarbled("it is not a stream of events")
