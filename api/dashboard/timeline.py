"""What happened to a session, from its log, in words.

Laws of this file: only what a tenant may see is read out of an event; what the visitor's side keeps
in it is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from actors.partner.hosted import HostedSession
from engine.store import Event, Store

# A session has some ten events; a visitor cannot bring about many more.
_MOST: Final = 500

_NAMES: Final[Mapping[str, str]] = {
    "session.created": "Created",
    "session.completed": "Completed",
    "session.failed": "Failed",
    "session.expired": "Expired",
    "session.cancelled": "Cancelled",
}


class TimelineEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event, for people."""

    seq: int
    at: str
    name: str
    note: str
    state: str


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """The events, oldest first; `seq` is where the stream goes on after them."""

    events: tuple[TimelineEvent, ...]
    seq: int


class _Shown(msgspec.Struct, frozen=True):
    """The part of an event that is shown."""

    seq: int
    type: str
    at: str
    data: HostedSession


_DECODER: Final = msgspec.json.Decoder(_Shown)


async def read_timeline(store: Store, stream: str) -> Timeline:
    """Return what happened to the session of a stream."""
    page = await store.read(stream, limit=_MOST)
    before: HostedSession | None = None
    events = []
    for event in page.events:
        shown = _decoded(event)
        events.append(_worded(shown, before))
        before = shown.data
    return Timeline(events=tuple(events), seq=page.through)


def _decoded(event: Event) -> _Shown:
    return _DECODER.decode(event.body)


def _worded(shown: _Shown, before: HostedSession | None) -> TimelineEvent:
    name = _NAMES.get(shown.type)
    if name is None:
        name = _change(shown.data, before)
    return TimelineEvent(
        seq=shown.seq,
        at=shown.at,
        name=name,
        note=_note(shown.data),
        state=shown.data.state.value,
    )


def _change(after: HostedSession, before: HostedSession | None) -> str:
    if before is not None and after.state == before.state:
        if after.expires_at != before.expires_at:
            return "Time extended"
        if after.progress == before.progress:
            return "Went on"
        return "Step done"
    return {"in_progress": "Begun", "processing": "Being checked"}.get(after.state, after.state)


def _note(session: HostedSession) -> str:
    if session.reason is not None:
        return session.reason.replace("_", " ")
    if session.state == "in_progress":
        done, of = session.progress.done, session.progress.of
        return f"{done} of {of} step{'' if of == 1 else 's'}"
    return ""
