"""What can go wrong with a browser session, as its callers see it.

Laws of this file: every error here is an answer (a `DomainError`), carries its fields, and says in
`error` the words of the contract and in `details` the cause. No message ever holds a secret.
"""

from __future__ import annotations

from typing import Any, ClassVar

from engine.errors import DomainError


class BrowserSessionError(DomainError):
    """The root of what a caller of browser sessions can be told.

    Attributes:
        error: the contract's message.
        details: the cause, for people; None when there is nothing to add.
        fields: further fields of the answer.
    """

    error: ClassVar[str] = "Browser session failed"

    def __init__(self, details: str | None = None, **fields: Any) -> None:
        super().__init__(self.error if details is None else f"{self.error}: {details}")
        self.details = details
        self.fields = fields


class AuthenticationFailed(BrowserSessionError):
    """The portal refused the user name and password."""

    error = "Authentication failed"

    def __init__(self, details: str = "Invalid credentials", **fields: Any) -> None:
        super().__init__(details, **fields)


class PortalUnreachable(BrowserSessionError):
    """The portal did not answer, or answered with something that is not its page."""

    error = "Portal unreachable"


class CaptchaFailed(BrowserSessionError):
    """The captcha service did not give a token that the portal takes."""

    error = "Captcha could not be solved"


class LoginTimedOut(BrowserSessionError):
    """The login took longer than `login_timeout_s`."""

    error = "Login timed out"


class CapacityExhausted(BrowserSessionError):
    """Every session was in use or starting for all of `capacity_wait_s`."""

    error = "Failed to allocate session capacity"


class SessionNotFound(BrowserSessionError):
    """No session has this id (any more); `fields["reason"]` says why when it is known."""

    error = "Session not found"


class SessionClosed(BrowserSessionError):
    """The session was closed while this caller used it or waited for it."""

    error = "Session closed"


class NotWritten(BrowserSessionError):
    """It is done, but not on record yet: after a crash of the server it might be undone."""

    error = "The store is not available"


class NotKnown(BrowserSessionError):
    """Nobody can say now whether another server has the session."""

    error = "The store is not available"


class CloseFailed(BrowserSessionError):
    """The session cannot be ended: its Chromium does not even go when it is killed."""

    error = "Failed to close browser session"


class BrowserCrashed(BrowserSessionError):
    """Chromium went away under the operation; the session is being recovered."""

    error = "Browser crashed"


class LoginLost(BrowserSessionError):
    """The portal has forgotten the login; a portal's operation raises it to have it done again."""

    error = "Login lost"


class OperationTimedOut(BrowserSessionError):
    """The operation took longer than `operation_timeout_s`."""

    error = "Operation timed out"


class OperationFailed(BrowserSessionError):
    """The portal's page did not behave as the operation expects."""

    error = "Operation failed"


class NotAtPortal(BrowserSessionError):
    """What the operation was asked about does not exist at the portal."""

    error = "Not found at the portal"


class BrowserUnavailable(BrowserSessionError):
    """No Chromium could be started; the details say why."""

    error = "Browser could not be started"
