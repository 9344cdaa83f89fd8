"""How the family of partner sessions says no.

Laws of this file: every error here is an answer (a `DomainError`), carries its fields and composes
its message from them. No message repeats a secret, or tells one tenant what another one has.
"""

from __future__ import annotations

from datetime import datetime

from actors.partner.rate import Rate
from engine.errors import DomainError


class PartnerError(DomainError):
    """The root of what a caller of the partner API can be told."""


class FieldInvalid(PartnerError):
    """A field breaks its bounds; `field` is its name on the wire."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class NotFound(PartnerError):
    """There is no such thing, or it is another tenant's: the answer is the same."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} not found")
        self.what = what


class IdempotencyMismatch(PartnerError):
    """The idempotency key was used for a request with another body."""

    def __init__(self) -> None:
        super().__init__("The Idempotency-Key was used for a request with another body")


class CredentialsRefused(PartnerError):
    """No credential, one of the wrong kind, or one that is not good (any more)."""

    def __init__(self, problem: str = "Invalid credentials") -> None:
        super().__init__(problem)
        self.problem = problem


class NotAllowed(PartnerError):
    """The credential is good, and this is not for its holder."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class SignupClosed(NotAllowed):
    """Accounts are made from the command line here."""

    def __init__(self) -> None:
        super().__init__("Sign-up is closed; ask whoever runs this server for an account")


class EmailTaken(PartnerError):
    """There is an account with this e-mail address already."""

    def __init__(self) -> None:
        super().__init__("email: there is an account with this address already")


class LimitReached(PartnerError):
    """The root of what may go better later; nothing was spent.

    Attributes:
        retry_after_s: when, in whole seconds.
    """

    def __init__(self, text: str, *, retry_after_s: int) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s


class RateLimited(LimitReached):
    """More requests than may come in this time; `rate` is None where guesses are counted."""

    def __init__(self, *, retry_after_s: int, rate: Rate | None = None) -> None:
        super().__init__("API rate limit exceeded", retry_after_s=retry_after_s)
        self.rate = rate


class QuotaExceeded(LimitReached):
    """The month's sessions of one environment are used up; `resets_at` is the next month."""

    def __init__(self, *, limit: int, resets_at: datetime, retry_after_s: int) -> None:
        super().__init__("Usage quota exceeded", retry_after_s=retry_after_s)
        self.limit = limit
        self.resets_at = resets_at


class TooManyActive(LimitReached):
    """The tenant has as many unfinished sessions as it may have."""

    def __init__(self, *, limit: int, retry_after_s: int) -> None:
        super().__init__("Too many active sessions", retry_after_s=retry_after_s)
        self.limit = limit
