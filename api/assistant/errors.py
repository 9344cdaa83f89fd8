"""How the assistant's errors look: the shape of the framework that its contract was written for.

Laws of this file: `statusCode`, `message` and `error`, the status's own phrase; nothing of the
inside is given away.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from actors.assistant import errors as assistant
from engine.durable import AliasHeld, NotRecorded
from engine.errors import CursorInvalid, StoreError, TooManySubscribers

PREFIX: Final = "/api/sessions"


class NoActiveSession(assistant.ConversationNotFound):
    """The user has no session that is active at that business."""

    def __init__(self, business_id: str, user_id: str) -> None:
        super().__init__()
        self.args = (f"No active session for user {user_id} in business {business_id}",)


# An error's class, or the nearest of its bases here, decides.
STATUS: Final[Mapping[type[Exception], int]] = {
    assistant.ConversationError: 400,
    assistant.ConversationNotFound: 404,
    assistant.ConversationExists: 409,
    assistant.NotActive: 409,
    assistant.Busy: 409,
    assistant.VersionConflict: 412,
    assistant.IdempotencyMismatch: 422,
    assistant.FieldInvalid: 400,
    AliasHeld: 409,
    CursorInvalid: 400,
    NotRecorded: 503,
    StoreError: 503,
    TooManySubscribers: 503,
}

# What the engine says is not for callers; these words are.
WORDS: Final[Mapping[type[Exception], str]] = {
    AliasHeld: "Another session was opened at the same time; try again",
    CursorInvalid: "cursor does not belong to this list",
    NotRecorded: "The store is not available; try again",
    StoreError: "The store is not available",
    TooManySubscribers: "Too many subscribers",
}

# Seconds after which another try may go better.
RETRY_AFTER_S: Final[Mapping[type[Exception], int | None]] = {
    assistant.Busy: 1,
    AliasHeld: 1,
    NotRecorded: 1,
    StoreError: 5,
    CursorInvalid: None,  # no waiting mends it
    TooManySubscribers: 10,
}


def is_ours(path: str) -> bool:
    """Tell whether a path is one of the assistant's, whose errors have this file's shape."""
    return path == PREFIX or path.startswith(PREFIX + "/")


def shaped(status: int, message: str, **fields: Any) -> dict[str, Any]:
    """Return an error's body."""
    phrase = HTTPStatus(status).phrase
    return {"statusCode": status, "message": message, "error": phrase} | fields
