"""Everything that changes a tenant durably.

Laws of this file: frozen, keyword-only, tagged; no callables, no live objects, no secret in the
clear. Ids are made by the sender, from the injected clock. `by` is a user's id or `operator`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from actors.partner.tenants.ledger import Books
from actors.partner.tenants.principal import Environment
from actors.partner.tenants.records import ApiKey, Limit, Login, LoginKind, User, WebhookDeed


class _Command(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    pass


class CreateTenant(_Command, frozen=True, kw_only=True):
    """Begin with one user, its owner."""

    tenant_id: str
    user: User
    by: str


class AddUser(_Command, frozen=True, kw_only=True):
    """Give a further person an account."""

    user: User
    by: str


class ResetPassword(_Command, frozen=True, kw_only=True):
    """Replace a password, and end every login of the user."""

    user_id: str
    password: str
    by: str


class LogIn(_Command, frozen=True, kw_only=True):
    """Begin a login; `password` is the hash that the person's password was found to match."""

    login: Login
    password: str


class Refresh(_Command, frozen=True, kw_only=True):
    """Exchange a refresh token; an old one ends the login. Answered with a `Fresh`, or None."""

    locator: str
    secret: str
    new_secret: str


class LogOut(_Command, frozen=True, kw_only=True):
    """End a login; idempotent."""

    login_id: str


class LogOutToken(_Command, frozen=True, kw_only=True):
    """End the login of a token or cookie; one that is not known is fine."""

    locator: str
    kind: LoginKind


class GenerateKey(_Command, frozen=True, kw_only=True):
    """Add a key; `key.created_by` asks for it."""

    key: ApiKey


class RevokeKey(_Command, frozen=True, kw_only=True):
    """Make a key void, at once and for good."""

    key_id: str
    by: str


class ChangeProfile(_Command, frozen=True, kw_only=True):
    """Set what is given; a logo of None is none."""

    name: str
    logo_url: str | UnsetType | None = UNSET
    by: str


class NoteWebhook(_Command, frozen=True, kw_only=True):
    """Put on record that a webhook is about to be created, rotated, enabled or deleted."""

    deed: WebhookDeed
    webhook_id: str
    host: str
    by: str


class NoteLimit(_Command, frozen=True, kw_only=True):
    """A quota is nearly or entirely used up; noted once for each month, environment and type."""

    notice: Limit
    environment: Environment
    month: str
    used: int
    limit: int


class LimitWasTold(_Command, frozen=True, kw_only=True):
    """What was noted with `of_seq` has been handed over."""

    of_seq: int


class CloseBooks(_Command, frozen=True, kw_only=True):
    """Write down what was counted, and when keys were used last that were since the last time."""

    books: Books
    last_used: Mapping[str, str]


Command: TypeAlias = (
    CreateTenant
    | AddUser
    | ResetPassword
    | LogIn
    | Refresh
    | LogOut
    | LogOutToken
    | GenerateKey
    | RevokeKey
    | ChangeProfile
    | NoteWebhook
    | NoteLimit
    | LimitWasTold
    | CloseBooks
)
