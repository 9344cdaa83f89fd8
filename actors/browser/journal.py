"""What happens to browser sessions, on the durable log: one stream for each session.

One actor writes for all of them, so a session never waits for the store. It gathers what comes
while it writes; the events of one session keep their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import structlog
import trio

from engine import Actor, Clock, JobEnded, StopReason
from engine.clock import timestamp
from engine.durable import Log
from engine.errors import StoreError
from engine.store import CatalogueRow, Commit, Event, milliseconds

KIND: Final = "browser"
CLOSED: Final = "session.closed"
EVENT_TYPES: Final = frozenset(
    {
        "session.created",
        "login.started",
        "login.succeeded",
        "login.failed",
        "captcha.solved",
        "refresh.started",
        "refresh.succeeded",
        "refresh.failed",
        "operation.started",
        "operation.finished",
        "lease.granted",
        "lease.released",
        "popup.blocked",
        "browser.crashed",
        "session.recovered",
        CLOSED,
    }
)

_LOG: Final = structlog.get_logger("mooring.browser")
_WRITE: Final = "write"
_RETRY_S: Final = 1.0
_MOST_WAITING: Final = 10_000  # events; while the store is away the oldest are given up


class Note(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signal: this has happened to a session. `data` holds no secret."""

    session_id: str
    event: str
    data: Mapping[str, Any] = {}


class _TryAgain(msgspec.Struct, frozen=True):
    pass


class _Stamped(msgspec.Struct, frozen=True):
    note: Note
    at: str
    at_ms: int


class _Place(msgspec.Struct):
    """Where a session's stream stands."""

    seq: int
    created_at_ms: int


def stream_of(session_id: str) -> str:
    """Return the stream of a browser session."""
    return f"{KIND}/{session_id}"


class BrowserJournal(Actor):
    """Writes `Note`s.

    Nothing is noted of a session before its `session.created` and after its `session.closed`.

    Args:
        log: where they go.
        clock: when they happened.
    """

    def __init__(self, log: Log, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._places: dict[str, _Place] = {}
        self._waiting: list[_Stamped] = []
        self._writing: list[_Stamped] = []

    def handle(self, message: Any) -> Any:
        match message:
            case Note():
                self._take(message)
            case _TryAgain():
                self._go_on()
            case _:
                raise TypeError(f"{self.ref.address} does not know {message!r}")

    def handle_job_end(self, end: JobEnded) -> None:
        if isinstance(end.error, StoreError):
            _LOG.warning("events_not_written", cause=str(end.error))
            self.set_timer("retry", _RETRY_S, _TryAgain())
        elif end.error is not None:
            raise end.error
        elif not end.cancelled:
            self._go_on()

    async def on_stop(self, reason: StopReason) -> None:
        """What has happened until now is written before the store closes."""
        while self._waiting or self._writing:
            await self._write()

    def _take(self, note: Note) -> None:
        now = self._clock.now()
        self._waiting.append(_Stamped(note, timestamp(now), milliseconds(now)))
        if len(self._waiting) > _MOST_WAITING:
            del self._waiting[0]
        self._go_on()

    def _go_on(self) -> None:
        if (self._waiting or self._writing) and not self._busy and not self.stopping:
            self._busy = True
            self.start_job(_WRITE, self._write_all)

    _busy = False

    async def _write_all(self) -> None:
        try:
            while self._waiting or self._writing:
                await self._write()
        finally:
            self._busy = False

    async def _write(self) -> None:
        """Write what waits: one commit for each session, all at once."""
        self._writing, self._waiting = self._writing + self._waiting, []
        by_session: dict[str, list[_Stamped]] = {}
        for stamped in self._writing:
            by_session.setdefault(stamped.note.session_id, []).append(stamped)
        failures: list[StoreError] = []
        async with trio.open_nursery() as nursery:
            for session_id, notes in by_session.items():
                nursery.start_soon(self._write_one, session_id, notes, failures)
        if failures:
            raise failures[0]

    async def _write_one(
        self, session_id: str, notes: Sequence[_Stamped], failures: list[StoreError]
    ) -> None:
        place = self._places.get(session_id)
        if place is None and notes[0].note.event == "session.created":
            place = _Place(seq=0, created_at_ms=notes[0].at_ms)
        if place is None:  # it has been closed
            self._forget(notes)
            return
        events = tuple(_encode(it, place.seq + n) for n, it in enumerate(notes, start=1))
        closed = notes[-1].note.event == CLOSED
        row = CatalogueRow(
            owner=KIND,
            status="closed" if closed else "active",
            created_at_ms=place.created_at_ms,
            updated_at_ms=notes[-1].at_ms,
        )
        stream = stream_of(session_id)
        commit = Commit(
            stream=stream, epoch=self._log.epoch, expected_seq=place.seq, events=events, row=row
        )
        try:
            await self._log.store.commit(commit)
        except StoreError as error:
            failures.append(error)
            return
        self._forget(notes)
        if closed:
            self._places.pop(session_id, None)
        else:
            self._places[session_id] = _Place(
                seq=commit.newest_seq, created_at_ms=place.created_at_ms
            )
        self._log.publish(stream, events)

    def _forget(self, notes: Sequence[_Stamped]) -> None:
        written = set(map(id, notes))
        self._writing = [it for it in self._writing if id(it) not in written]


def _encode(stamped: _Stamped, seq: int) -> Event:
    note = stamped.note
    frame = {"seq": seq, "type": note.event, "at": stamped.at, "data": note.data}
    return Event(seq=seq, type=note.event, at_ms=stamped.at_ms, body=msgspec.json.encode(frame))
