"""Hosted sessions: a partner asks for one, its visitor finishes it, the result can be trusted.

Three kinds of durable actors, each a package with a door of its own: `tenants` (accounts, keys,
quota), `hosted` (the sessions) and `webhooks` (what is told to partners, and how it arrives).
"""

from actors.partner.errors import (
    CredentialsRefused,
    EmailTaken,
    FieldInvalid,
    IdempotencyMismatch,
    LimitReached,
    NotAllowed,
    NotFound,
    PartnerError,
    QuotaExceeded,
    RateLimited,
    SignupClosed,
    TooManyActive,
)
from actors.partner.settings import PartnerSettings, SignupPolicy

__all__ = [
    "CredentialsRefused",
    "EmailTaken",
    "FieldInvalid",
    "IdempotencyMismatch",
    "LimitReached",
    "NotAllowed",
    "NotFound",
    "PartnerError",
    "PartnerSettings",
    "QuotaExceeded",
    "RateLimited",
    "SignupClosed",
    "SignupPolicy",
    "TooManyActive",
]
