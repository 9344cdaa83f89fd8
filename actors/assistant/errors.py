"""How a conversation says no.

Laws of this file: every error here is an answer (a `DomainError`), carries its fields and composes
its message from them. No message repeats content.
"""

from __future__ import annotations

from engine.errors import DomainError


class ConversationError(DomainError):
    """The root of what a caller of conversations can be told."""


class ConversationNotFound(ConversationError):
    """There is no such conversation (any more)."""

    def __init__(self, session_id: str | None = None) -> None:
        super().__init__(
            "Session not found" if session_id is None else f"Session {session_id} not found"
        )
        self.session_id = session_id


class ConversationExists(ConversationError):
    """The id belongs to a conversation already."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"Session {session_id} exists already")
        self.session_id = session_id


class NotActive(ConversationError):
    """The conversation is closed, and a closed one never changes."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"Session {session_id} is closed")
        self.session_id = session_id


class Busy(ConversationError):
    """A reply is unfinished and the message should not wait, or too many wait already.

    Attributes:
        unfinished: how many replies run or stand in line.
        line_full: it was not the caller who would not wait: the line has no room.
    """

    def __init__(self, session_id: str, *, unfinished: int, line_full: bool) -> None:
        why = "too many messages wait for a reply" if line_full else "a reply is under way"
        super().__init__(f"Session {session_id} is busy: {why}")
        self.session_id = session_id
        self.unfinished = unfinished
        self.line_full = line_full


class VersionConflict(ConversationError):
    """The session has another version than the caller expects.

    Attributes:
        expected: negative when what the caller expects is no version at all.
    """

    def __init__(self, session_id: str, *, expected: int, version: int) -> None:
        instead = "" if expected < 0 else f", not {expected}"
        super().__init__(f"Session {session_id} has version {version}{instead}")
        self.session_id = session_id
        self.expected = expected
        self.version = version


class IdempotencyMismatch(ConversationError):
    """The key was used for another message; `message_id` is that one."""

    def __init__(self, key: str, *, message_id: str) -> None:
        super().__init__("The idempotency key was used for a message with another body")
        self.key = key
        self.message_id = message_id


class FieldInvalid(ConversationError):
    """A field of a command breaks its bounds; `field` is its name on the wire."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field} {problem}")
        self.field = field
        self.problem = problem
