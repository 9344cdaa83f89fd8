"""What a subscriber is sent, as JSON, and how SSE wraps it.

Laws of this file: pure. An event's body is what the log has, byte for byte, unless something else
is shown in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from api.server.websocket import text_frame
from engine.errors import BeyondNewest
from engine.store import Event

# What somebody may see of an event who may not see all of it.
Show: TypeAlias = Callable[[Event], bytes]

# How long an EventSource waits before it comes again.
SSE_RETRY: Final = b"retry: 2000\n"
SSE_HEARTBEAT: Final = b": still here\n\n"


def ready(*, newest: int, after: int) -> bytes:
    """Return the first frame: where the stream stands, and where the subscriber starts."""
    return msgspec.json.encode({"type": "ready", "seq": newest, "after": after})


def beyond(error: BeyondNewest) -> bytes:
    """Return the frame for who wants to go on from an event that is not there."""
    message = f"after={error.after} is beyond the newest event, {error.newest_seq}"
    return failure("beyond_newest", message, seq=error.newest_seq)


def failure(code: str, message: str, **fields: Any) -> bytes:
    """Return an error frame."""
    return msgspec.json.encode({"type": "error", "code": code, "message": message} | fields)


def answer(kind: str, frame_id: str | None, fields: Mapping[str, Any]) -> bytes:
    """Return the answer to a client's frame, which carries its id."""
    return msgspec.json.encode({"type": kind, "id": frame_id, **fields})


def text_frames(events: Sequence[Event], show: Show | None = None) -> bytes:
    """Return events as websocket frames, one after the other."""
    if show is not None:
        return b"".join([text_frame(show(event)) for event in events])
    return b"".join([text_frame(event.body) for event in events])


def sse_event(body: bytes, *, seq: int | None = None) -> bytes:
    """Return one SSE event; `seq` is where an EventSource goes on from after it."""
    name = b"" if seq is None else b"id: %d\n" % seq
    return b"%sdata: %s\n\n" % (name, body)


def sse_events(events: Sequence[Event], show: Show | None = None) -> bytes:
    """Return events in SSE's form."""
    if show is not None:
        return b"".join([sse_event(show(event), seq=event.seq) for event in events])
    return b"".join([sse_event(event.body, seq=event.seq) for event in events])
