"""The conversation as a durable actor's pure part: its events as stored, its row, its aliases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from actors.assistant.commands import Command
from actors.assistant.conversation import Conversation, evolve
from actors.assistant.decision import decide
from actors.assistant.events import ConversationEvent, decode_event, encode_event, type_of
from actors.assistant.keys import alias_of, left_early
from actors.assistant.records import Session
from actors.assistant.snapshot import decode_snapshot, encode_snapshot
from engine import Clock
from engine.store import CatalogueRow, Claim, Event, milliseconds

KIND: Final = "conversation"
ENDED: Final = frozenset({"closed"})
"""The catalogue's statuses of conversations that are over for good."""


def stream_of(session_id: str) -> str:
    """Return the stream, and address, of a conversation."""
    return f"{KIND}/{session_id}"


def owner_of(business_id: str, user_id: str) -> str:
    """Return who a conversation belongs to, for lists; no two pairs have the same."""
    return msgspec.json.encode((business_id, user_id)).decode()


def active_alias(business_id: str, user_id: str) -> str:
    """Return the name that the one active conversation of a user holds."""
    return f"active-conversation/{owner_of(business_id, user_id)}"


def encode_session(session: Session) -> bytes:
    """Return a session as lists keep it."""
    return msgspec.json.encode(session)


def decode_session(summary: bytes) -> Session:
    """Return the session that a row of the catalogue shows."""
    return msgspec.json.decode(summary, type=Session)


class ConversationDecider:
    """Implements `engine.durable.Decider`."""

    def decide(
        self, state: Conversation | None, command: Command, clock: Clock
    ) -> Sequence[ConversationEvent]:
        return decide(state, command, clock.now())

    def evolve(self, state: Conversation | None, event: ConversationEvent) -> Conversation:
        return evolve(state, event)

    def encode(self, event: ConversationEvent) -> Event:
        return Event(
            seq=event.seq, type=type_of(event), at_ms=_ms(event.at), body=encode_event(event)
        )

    def decode(self, event: Event) -> ConversationEvent:
        return decode_event(event.body)

    def row(self, state: Conversation) -> CatalogueRow:
        session = state.session
        active_at = {"active_at": session.business_id} if state.active else {}
        return CatalogueRow(
            owner=owner_of(session.business_id, session.user_id),
            status=session.status,
            created_at_ms=_ms(session.created_at),
            updated_at_ms=max(_ms(session.updated_at), _ms(session.last_activity_at)),
            # What has an unfinished reply is due at once: a start looks for it.
            due_at_ms=_ms(session.last_activity_at) if state.unfinished else None,
            summary=encode_session(session),
            tags={"business": session.business_id} | active_at,
        )

    def claims(self, before: Conversation | None, after: Conversation) -> Sequence[Claim]:
        session, claims = after.session, []
        if before is None and after.active:
            claims.append(Claim(alias=active_alias(session.business_id, session.user_id)))
        if before is not None and before.keys is not after.keys:
            left = left_early(before.keys, after.keys, session.last_activity_at)
            claims += [
                Claim(
                    alias=alias_of(session.session_id, key),
                    payload=msgspec.msgpack.encode(record),
                    expires_at_ms=_ms(record.expires_at),
                )
                for key, record in left.items()
            ]
        return claims

    def releases(self, before: Conversation | None, after: Conversation) -> Sequence[str]:
        if before is not None and before.active and not after.active:
            return [active_alias(after.session.business_id, after.session.user_id)]
        return []

    def snapshot(self, state: Conversation) -> bytes:
        return encode_snapshot(state)

    def restore(self, body: bytes) -> Conversation | None:
        return decode_snapshot(body)


def _ms(at: str) -> int:
    return milliseconds(datetime.fromisoformat(at))
