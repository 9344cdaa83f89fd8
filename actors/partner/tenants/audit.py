"""The audit log: what people did with accounts, keys and webhooks, read from the tenant's own log.

Laws of this file: newest first; an entry never changes; of an event only what is listed here is
shown, so that nothing secret can get in by a field that is added to an event.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from actors.partner.tenants.decider import stream_of
from actors.partner.tenants.events import (
    KeyCreated,
    KeyRevoked,
    LimitNoted,
    LoggedIn,
    LoggedOut,
    PasswordReset,
    ProfileChanged,
    TenantCreated,
    TenantEvent,
    UserAdded,
    WebhookCreated,
    WebhookDeleted,
    WebhookEnabled,
    WebhookEvent,
    WebhookRotated,
    decode_event,
    type_of,
)
from engine.store import Store

# Small enough for a page of the store whatever its events are.
_WINDOW: Final = 50
# Of one request, however many events there are that the audit does not show.
_MOST_WINDOWS: Final = 40


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done.

    Attributes:
        actor: a user's id, or `operator` for whoever runs the server.
    """

    id: str
    at: str
    type: str
    actor: str | None
    details: Mapping[str, Any]


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the audit; `next_before` is None on the last one."""

    entries: tuple[AuditEntry, ...]
    next_before: int | None


async def read_audit(store: Store, tenant_id: str, *, before: int | None, limit: int) -> AuditPage:
    """Return the newest entries before a sequence, or the newest of all.

    Raises:
        StoreError: they cannot be read.
    """
    stream = stream_of(tenant_id)
    top = await store.newest(stream) + 1
    if before is not None:
        top = min(before, top)  # what is beyond the newest was made up
    entries: list[AuditEntry] = []
    for _ in range(_MOST_WINDOWS):
        bottom = max(0, top - 1 - _WINDOW)
        page = await store.read(stream, after=bottom, limit=_WINDOW)
        events = [decode_event(event.body) for event in page.events if event.seq < top]
        for event in reversed(events):
            entry = entry_of(event)
            if entry is not None:
                entries.append(entry)
            if len(entries) == limit:
                return AuditPage(entries=tuple(entries), next_before=_or_none(event.seq))
        top = bottom + 1
        if bottom == 0:
            return AuditPage(entries=tuple(entries), next_before=None)
    return AuditPage(entries=tuple(entries), next_before=_or_none(top))


def _or_none(before: int) -> int | None:
    return before if before > 1 else None


def entry_of(event: TenantEvent) -> AuditEntry | None:
    """Return what the audit shows of an event; None for what is nobody's doing."""
    shown = _SHOWN.get(type(event))
    if shown is None:
        return None
    actor, details = shown(event)
    return AuditEntry(
        id=str(event.seq), at=event.at, type=type_of(event), actor=actor, details=details
    )


def _created(it: TenantCreated) -> tuple[str, dict[str, Any]]:
    return it.by, {"user_id": it.user.user_id, "role": it.user.role}


def _added(it: UserAdded) -> tuple[str, dict[str, Any]]:
    return it.by, {"user_id": it.user.user_id, "role": it.user.role}


def _reset(it: PasswordReset) -> tuple[str, dict[str, Any]]:
    return it.by, {"user_id": it.user_id}


def _logged_in(it: LoggedIn) -> tuple[str, dict[str, Any]]:
    return it.login.user_id, {"login_id": it.login.login_id, "kind": it.login.kind}


def _logged_out(it: LoggedOut) -> tuple[str, dict[str, Any]]:
    return it.user_id, {"login_id": it.login_id, "reason": it.reason}


def _key_created(it: KeyCreated) -> tuple[str, dict[str, Any]]:
    key = it.key
    details = {"key_id": key.key_id, "environment": key.environment, "name": key.name}
    return key.created_by, details | {"hint": key.hint}


def _key_revoked(it: KeyRevoked) -> tuple[str, dict[str, Any]]:
    return it.by, {"key_id": it.key_id, "hint": it.hint}


def _profile_changed(it: ProfileChanged) -> tuple[str, dict[str, Any]]:
    return it.by, {"name": it.profile.name, "logo_url": it.profile.logo_url}


def _webhook(it: WebhookEvent) -> tuple[str, dict[str, Any]]:
    return it.by, {"webhook_id": it.webhook_id, "host": it.host}


def _limit_noted(it: LimitNoted) -> tuple[None, dict[str, Any]]:
    reached = it.reached
    return None, {
        "limit": reached.type,
        "environment": reached.environment,
        "month": reached.month,
        "used": reached.used,
    }


_SHOWN: Final[Mapping[type, Callable[[Any], tuple[str | None, dict[str, Any]]]]] = {
    TenantCreated: _created,
    UserAdded: _added,
    PasswordReset: _reset,
    LoggedIn: _logged_in,
    LoggedOut: _logged_out,
    KeyCreated: _key_created,
    KeyRevoked: _key_revoked,
    ProfileChanged: _profile_changed,
    WebhookCreated: _webhook,
    WebhookRotated: _webhook,
    WebhookEnabled: _webhook,
    WebhookDeleted: _webhook,
    LimitNoted: _limit_noted,
}
