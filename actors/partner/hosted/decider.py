"""The hosted session as a durable actor's pure part: its events as stored, its row, its aliases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from actors.partner.hosted.commands import Command
from actors.partner.hosted.decision import decide
from actors.partner.hosted.events import (
    Recorded,
    decode_event,
    encode_event,
    state_after,
)
from actors.partner.hosted.records import Hosted, HostedSession
from actors.partner.hosted.states import OPEN
from actors.partner.hosted.tokens import alias_of
from actors.partner.tenants.principal import Environment
from engine.clock import Clock
from engine.store import CatalogueRow, Claim, Event, milliseconds

KIND: Final = "hosted"
_ENCODER: Final = msgspec.json.Encoder()
_SESSION: Final = msgspec.json.Decoder(HostedSession)


def stream_of(session_id: str) -> str:
    """Return the stream, and address, of a hosted session."""
    return f"{KIND}/{session_id}"


def place_of(tenant_id: str, environment: Environment) -> str:
    """Return the tag `place` of a tenant's sessions of one environment: a list by it reads one
    index, whatever else the tenant has."""
    return f"{tenant_id}/{environment}"


def encode_session(session: HostedSession) -> bytes:
    """Return a session as its tenant is sent it, which is also how lists keep it."""
    return _ENCODER.encode(session)


def decode_session(summary: bytes) -> HostedSession:
    """Return the session that a row of the catalogue shows."""
    return _SESSION.decode(summary)


def row_of(state: Hosted, *, is_handed_over: bool = False) -> CatalogueRow:
    """Return the catalogue's row.

    What is open is due when its time is up, and everything else at once: what is being processed,
    and an end until webhooks and tenant have been told of it.
    """
    session = state.session
    due = session.expires_at if session.state in OPEN else session.updated_at
    return CatalogueRow(
        owner=state.visit.tenant_id,
        status=session.state.value,
        created_at_ms=ms_of(session.created_at),
        updated_at_ms=ms_of(session.updated_at),
        due_at_ms=None if is_handed_over else ms_of(due),
        summary=encode_session(session),
        tags={"place": place_of(state.visit.tenant_id, session.environment)},
    )


def stored(event: Recorded) -> Event:
    """Return an event as the log takes it."""
    return Event(seq=event.seq, type=event.type, at_ms=ms_of(event.at), body=encode_event(event))


def ms_of(at: str) -> int:
    """Return a record's time in the log's milliseconds."""
    return milliseconds(datetime.fromisoformat(at))


class HostedDecider:
    """Implements `engine.durable.Decider`."""

    def decide(self, state: Hosted | None, command: Command, clock: Clock) -> Sequence[Recorded]:
        return decide(state, command, clock.now())

    def evolve(self, state: Hosted | None, event: Recorded) -> Hosted:
        return state_after(event)

    def encode(self, event: Recorded) -> Event:
        return stored(event)

    def decode(self, event: Event) -> Recorded:
        return decode_event(event.body)

    def row(self, state: Hosted) -> CatalogueRow:
        return row_of(state)

    def claims(self, before: Hosted | None, after: Hosted) -> Sequence[Claim]:
        """Links to other devices are found as the session's own link is, also once they are used
        or too old: their pages say so."""
        known = () if before is None else before.visit.handovers
        return [Claim(alias=alias_of(it.digest)) for it in after.visit.handovers[len(known) :]]

    def releases(self, before: Hosted | None, after: Hosted) -> Sequence[str]:
        return []

    def snapshot(self, state: Hosted) -> bytes:
        return msgspec.msgpack.encode(state)

    def restore(self, body: bytes) -> Hosted | None:
        try:
            return msgspec.msgpack.decode(body, type=Hosted)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
