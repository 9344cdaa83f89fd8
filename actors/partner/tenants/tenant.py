"""The state of one tenant, and how each event changes it.

Laws of this file: it awaits nothing, reads no clock and knows neither store nor HTTP. The same
events give the same state, whether or not earlier books are still among them. The state is bounded:
what is revoked, ended or told leaves it, and `decision` bounds the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar, assert_never

import msgspec
from msgspec.structs import replace

from actors.partner.tenants.events import (
    BooksClosed,
    KeyCreated,
    KeyRevoked,
    LimitNoted,
    LimitTold,
    LoggedIn,
    LoggedOut,
    PasswordReset,
    ProfileChanged,
    Refreshed,
    TenantCreated,
    TenantEvent,
    UserAdded,
    WebhookCreated,
    WebhookDeleted,
    WebhookEnabled,
    WebhookRotated,
)
from actors.partner.tenants.ledger import Books
from actors.partner.tenants.records import ApiKey, Login, Profile, QuotaReached, User

V = TypeVar("V")


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that deciding needs.

    Attributes:
        seq: the sequence of the newest event.
        logins: those that have been neither ended nor replaced; they may have expired.
        reached: the month in which each limit was reached last, by `limit_name`.
        untold: what webhooks have not been told yet.
        books_seq: the newest event that closed the books; those before it say nothing more.
    """

    tenant_id: str
    seq: int
    created_at: str
    updated_at: str
    profile: Profile = Profile()
    users: Mapping[str, User] = {}
    keys: Mapping[str, ApiKey] = {}
    logins: Mapping[str, Login] = {}
    reached: Mapping[str, str] = {}
    untold: tuple[QuotaReached, ...] = ()
    books: Books = Books()
    books_seq: int = 0


def limit_name(type_: str, environment: str) -> str:
    """Return what `Tenant.reached` calls a limit."""
    return f"{type_}/{environment}"


def evolve(state: Tenant | None, event: TenantEvent) -> Tenant:
    """Return the state after `event`; the first event is `tenant.created`.

    Raises:
        ValueError: the event is not one that can come next: the log is not this tenant's.
    """
    if isinstance(event, TenantCreated) and state is None:
        return Tenant(
            tenant_id=event.tenant_id,
            seq=event.seq,
            created_at=event.at,
            updated_at=event.at,
            users={event.user.user_id: event.user},
        )
    if state is None or event.seq <= state.seq:
        raise ValueError(f"event {event.seq} cannot come next")
    return replace(_evolved(state, event), seq=event.seq, updated_at=event.at)


def _evolved(state: Tenant, event: TenantEvent) -> Tenant:  # noqa: PLR0911, PLR0912 - one line a type
    match event:
        case TenantCreated():
            raise ValueError(f"event {event.seq} begins what has begun")
        case UserAdded(user=user):
            return replace(state, users={**state.users, user.user_id: user})
        case PasswordReset():
            return _with_password(state, event)
        case LoggedIn(login=login):
            return replace(state, logins={**state.logins, login.login_id: login})
        case Refreshed(login_id=login_id, secret=secret):
            login = replace(state.logins[login_id], secret=secret)
            return replace(state, logins={**state.logins, login_id: login})
        case LoggedOut(login_id=login_id):
            return replace(state, logins=_without(state.logins, login_id))
        case KeyCreated(key=key):
            return replace(state, keys={**state.keys, key.key_id: key})
        case KeyRevoked(key_id=key_id):
            return replace(state, keys=_without(state.keys, key_id))
        case ProfileChanged(profile=profile):
            return replace(state, profile=profile)
        case WebhookCreated() | WebhookRotated() | WebhookEnabled() | WebhookDeleted():
            return state
        case LimitNoted(reached=reached):
            name = limit_name(reached.type, reached.environment)
            months = {**state.reached, name: reached.month}
            return replace(state, reached=months, untold=(*state.untold, reached))
        case LimitTold(of_seq=seq):
            untold = tuple(it for it in state.untold if it.seq != seq)
            return replace(state, untold=untold)
        case BooksClosed():
            return _booked(state, event)
        case _:
            assert_never(event)


def _with_password(state: Tenant, event: PasswordReset) -> Tenant:
    user = replace(state.users[event.user_id], password=event.password)
    logins = {key: it for key, it in state.logins.items() if it.user_id != event.user_id}
    return replace(state, users={**state.users, event.user_id: user}, logins=logins)


def _booked(state: Tenant, event: BooksClosed) -> Tenant:
    keys = {
        key_id: replace(key, last_used_at=event.last_used.get(key_id, key.last_used_at))
        for key_id, key in state.keys.items()
    }
    return replace(state, keys=keys, books=event.books, books_seq=event.seq)


def _without(table: Mapping[str, V], name: str) -> Mapping[str, V]:
    return {key: value for key, value in table.items() if key != name}
