"""What happens to a tenant: its log, from which `GET /api/v1/audit` is read too.

Laws of this file: what is encoded decodes to an equal event; an event holds no secret in the clear;
types are stored under names that never change. `by` is the user's id, or `operator` for whoever
runs the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from actors.partner.tenants.ledger import Books
from actors.partner.tenants.records import (
    ApiKey,
    EndReason,
    Login,
    Profile,
    QuotaReached,
    User,
)

OPERATOR: Final = "operator"


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    seq: int
    at: str


class TenantCreated(_Event, frozen=True, kw_only=True, tag="tenant.created"):
    tenant_id: str
    by: str
    user: User


class UserAdded(_Event, frozen=True, kw_only=True, tag="user.added"):
    by: str
    user: User


class PasswordReset(_Event, frozen=True, kw_only=True, tag="user.password_reset"):
    """Ends every login of the user."""

    by: str
    user_id: str
    password: str


class LoggedIn(_Event, frozen=True, kw_only=True, tag="user.logged_in"):
    login: Login


class Refreshed(_Event, frozen=True, kw_only=True, tag="user.refreshed"):
    login_id: str
    secret: str


class LoggedOut(_Event, frozen=True, kw_only=True, tag="user.logged_out"):
    user_id: str
    login_id: str
    reason: EndReason


class KeyCreated(_Event, frozen=True, kw_only=True, tag="key.created"):
    key: ApiKey


class KeyRevoked(_Event, frozen=True, kw_only=True, tag="key.revoked"):
    by: str
    key_id: str
    hint: str


class ProfileChanged(_Event, frozen=True, kw_only=True, tag="profile.changed"):
    by: str
    profile: Profile


class _OfWebhook(_Event, frozen=True, kw_only=True):
    """On record before it happens; of one that is deleted this is all that stays.

    Of the URL only the host is kept: the rest may well be somebody's secret.
    """

    by: str
    webhook_id: str
    host: str


class WebhookCreated(_OfWebhook, frozen=True, kw_only=True, tag="webhook.created"):
    pass


class WebhookRotated(_OfWebhook, frozen=True, kw_only=True, tag="webhook.rotated"):
    pass


class WebhookEnabled(_OfWebhook, frozen=True, kw_only=True, tag="webhook.enabled"):
    pass


class WebhookDeleted(_OfWebhook, frozen=True, kw_only=True, tag="webhook.deleted"):
    pass


class LimitNoted(_Event, frozen=True, kw_only=True, tag="quota.reached"):
    reached: QuotaReached


class LimitTold(_Event, frozen=True, kw_only=True, tag="quota.told"):
    """Every webhook that wants to know of `of_seq` will be told."""

    of_seq: int


class BooksClosed(_Event, frozen=True, kw_only=True, tag="books.closed"):
    """Whole, so that the newest one stands for all before it."""

    books: Books
    last_used: Mapping[str, str]  # by key id


WebhookEvent: TypeAlias = WebhookCreated | WebhookRotated | WebhookEnabled | WebhookDeleted
TenantEvent: TypeAlias = (
    TenantCreated
    | UserAdded
    | PasswordReset
    | LoggedIn
    | Refreshed
    | LoggedOut
    | KeyCreated
    | KeyRevoked
    | ProfileChanged
    | WebhookEvent
    | LimitNoted
    | LimitTold
    | BooksClosed
)

BOOKS_TYPES: Final = frozenset({"books.closed"})

_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final[msgspec.json.Decoder[TenantEvent]] = msgspec.json.Decoder(TenantEvent)


def encode_event(event: TenantEvent) -> bytes:
    """Return the event as the store keeps it."""
    return _ENCODER.encode(event)


def decode_event(body: bytes) -> TenantEvent:
    """Return the event that was encoded."""
    return _DECODER.decode(body)


def type_of(event: TenantEvent) -> str:
    """Return the name of the event's type."""
    return str(event.__struct_config__.tag)
