"""What a tenant is made of: people, keys, logins, profile.

Laws of this file: no record holds a password, a key, a token or an address in the clear. Keys and
tokens are digests, passwords argon2id hashes, addresses sealed for their place.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from actors.partner.tenants.principal import Environment, Role

# `api`: an access and a refresh token; `web`: a cookie of the dashboard.
LoginKind: TypeAlias = Literal["api", "web"]
# `reuse`: an old refresh token was shown, so somebody else has it too.
EndReason: TypeAlias = Literal["logout", "reuse", "password_reset", "replaced"]
WebhookDeed: TypeAlias = Literal["created", "rotated", "enabled", "deleted"]
Limit: TypeAlias = Literal["quota.warning", "quota.exceeded"]


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    pass


class Profile(_Record, frozen=True, kw_only=True):
    """Who the visitor is told is asking."""

    name: str = ""
    logo_url: str | None = None


class User(_Record, frozen=True, kw_only=True):
    """A person with an account.

    Attributes:
        email: sealed for `tenant/<tenant id>/email/<user id>`.
        email_digest: what the address is found by, as `Emails` makes it.
        password: an argon2id hash in its standard form.
    """

    user_id: str
    role: Role
    email: bytes
    email_digest: str
    password: str
    created_at: str


class ApiKey(_Record, frozen=True, kw_only=True):
    """A key that is good; a revoked one is gone.

    Attributes:
        hint: how the key begins and ends, for people to tell keys apart.
        digest: SHA-256 of the key, in hex.
    """

    key_id: str
    environment: Environment
    name: str
    hint: str
    digest: str
    created_at: str
    created_by: str
    last_used_at: str | None = None


class Login(_Record, frozen=True, kw_only=True):
    """One login that goes on: a family of refresh tokens, or a cookie.

    Attributes:
        locator: digest of the part of the token that stays as the token is exchanged.
        secret: digest of the part that changes; the newest one's only.
    """

    login_id: str
    user_id: str
    kind: LoginKind
    locator: str
    secret: str
    created_at: str
    expires_at: str


class QuotaReached(_Record, frozen=True, kw_only=True):
    """A month's quota is nearly, or entirely, used up; `seq` is the event that says so."""

    seq: int
    at: str
    type: Limit
    environment: Environment
    month: str
    used: int
    limit: int
