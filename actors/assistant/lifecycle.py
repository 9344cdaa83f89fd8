"""What a conversation does about itself: opening, changing, closing.

Laws of this file: those of `decision.py`. The version grows by one with each `session.updated` and
`session.closed`, and with nothing else. Closing is final, and leaves no reply unfinished.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from actors.assistant.bounds import check_id, check_metadata, check_title
from actors.assistant.commands import Create, Update
from actors.assistant.conversation import Conversation, evolve
from actors.assistant.errors import ConversationExists, NotActive, VersionConflict
from actors.assistant.events import (
    ConversationEvent,
    SessionClosed,
    SessionCreated,
    SessionUpdated,
)
from actors.assistant.records import CloseReason, Session
from actors.assistant.reply import cancel


def create(state: Conversation | None, command: Create, at: str) -> list[ConversationEvent]:
    """Open the conversation."""
    if state is not None:
        raise ConversationExists(state.session.session_id)
    check_create(command)
    session = Session(
        session_id=command.session_id,
        business_id=command.business_id,
        location_id=command.location_id,
        user_id=command.user_id,
        session_type=command.session_type,
        status="active",
        title=command.title,
        metadata=command.metadata,
        message_count=0,
        created_at=at,
        updated_at=at,
        last_activity_at=at,
        version=1,
    )
    return [SessionCreated(seq=1, at=at, data=session)]


def check_create(command: Create) -> None:
    """Refuse a create whose fields break their bounds, whether or not it will make anything.

    Raises:
        FieldInvalid.
    """
    check_id("sessionId", command.session_id)
    check_id("businessId", command.business_id)
    check_id("userId", command.user_id)
    check_id("locationId", command.location_id)
    check_id("sessionType", command.session_type)
    check_title(command.title)
    check_metadata(command.metadata)


def update(state: Conversation, command: Update, at: str) -> list[ConversationEvent]:
    """Set the session's fields; nothing when they are as they should be."""
    session = state.session
    if command.expected_version not in (None, session.version):
        raise VersionConflict(
            session.session_id, expected=command.expected_version, version=session.version
        )
    changes = _changes(session, command)
    if command.status == "closed" and state.active:
        return _close(state, replace(session, **changes), "closed", at)
    if not state.active and (changes or command.status == "active"):
        raise NotActive(session.session_id)
    if not changes:
        return []
    updated = replace(session, **changes, version=session.version + 1, updated_at=at)
    return [SessionUpdated(seq=state.seq + 1, at=at, data=updated)]


def close(state: Conversation, reason: CloseReason, at: str) -> list[ConversationEvent]:
    """End the conversation, and before it every unfinished reply; nothing when it has ended."""
    return _close(state, state.session, reason, at) if state.active else []


def _changes(session: Session, command: Update) -> dict[str, Any]:
    """Return the fields that the command really changes, checked."""
    if command.title is not UNSET:
        check_title(command.title)
    if command.metadata is not UNSET:
        check_metadata(command.metadata)
    if command.location_id is not UNSET:
        check_id("locationId", command.location_id)
    if command.session_type is not UNSET:
        check_id("sessionType", command.session_type)
    wanted = {
        "title": command.title,
        "metadata": command.metadata,
        "location_id": command.location_id,
        "session_type": command.session_type,
    }
    return {
        name: value
        for name, value in wanted.items()
        if value is not UNSET and not _same(value, getattr(session, name))
    }


def _same(one: Any, other: Any) -> bool:
    # As JSON, since Python takes 1, 1.0 and true for one and the same.
    encode = msgspec.json.Encoder(order="deterministic").encode
    return encode(one) == encode(other)


def _close(
    state: Conversation, session: Session, reason: CloseReason, at: str
) -> list[ConversationEvent]:
    events: list[ConversationEvent] = []
    for reply_id in state.unfinished:
        cancelled = cancel(state, reply_id, at)
        events.append(cancelled)
        state = evolve(state, cancelled)
    closed = replace(
        session,
        status="closed",
        closed_reason=reason,
        message_count=state.session.message_count,
        last_activity_at=state.session.last_activity_at,
        version=session.version + 1,
        updated_at=at,
    )
    return [*events, SessionClosed(seq=state.seq + 1, at=at, data=closed)]
