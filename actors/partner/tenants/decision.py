"""What a command makes happen to a tenant, or why not.

Laws of this file: it awaits nothing, reads no clock and knows neither store nor HTTP; time comes in
as `now`. It decides from the state alone. Digests are compared in constant time.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, assert_never

from msgspec import UNSET

from actors.partner.errors import (
    CredentialsRefused,
    FieldInvalid,
    NotAllowed,
    NotFound,
    PartnerError,
)
from actors.partner.tenants.commands import (
    AddUser,
    ChangeProfile,
    CloseBooks,
    Command,
    CreateTenant,
    GenerateKey,
    LimitWasTold,
    LogIn,
    LogOut,
    LogOutToken,
    NoteLimit,
    NoteWebhook,
    Refresh,
    ResetPassword,
    RevokeKey,
)
from actors.partner.tenants.events import (
    OPERATOR,
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
    WebhookEvent,
    WebhookRotated,
)
from actors.partner.tenants.records import (
    EndReason,
    Login,
    Profile,
    QuotaReached,
    WebhookDeed,
)
from actors.partner.tenants.tenant import Tenant, limit_name
from engine.clock import timestamp

MAX_KEYS: Final = 100
MAX_USERS: Final = 100
MAX_LOGINS: Final = 20  # of one user; the oldest one makes way
MAX_NAME_CHARS: Final = 100


class TenantExists(PartnerError):
    """The id belongs to a tenant already."""

    def __init__(self, tenant_id: str) -> None:
        super().__init__(f"tenant {tenant_id} exists already")
        self.tenant_id = tenant_id


def decide(state: Tenant | None, command: Command, now: datetime) -> Sequence[TenantEvent]:
    """Return the events that `command` causes, in order; none when it changes nothing.

    Raises:
        PartnerError: the command is refused, and nothing has happened.
    """
    at = timestamp(now)
    if isinstance(command, CreateTenant):
        if state is not None:
            raise TenantExists(state.tenant_id)
        return [
            TenantCreated(
                seq=1, at=at, tenant_id=command.tenant_id, by=command.by, user=command.user
            )
        ]
    if state is None and isinstance(command, Refresh | LogIn):
        raise CredentialsRefused
    if state is None:
        raise NotFound("Tenant")
    return _decide(state, command, at)


def live_login(state: Tenant, login_id: str, at: str) -> Login | None:
    """Return a login that goes on; None when it has ended, expired, or never was."""
    login = state.logins.get(login_id)
    return login if login is not None and at < login.expires_at else None


def find_login(state: Tenant, locator: str, at: str) -> Login | None:
    """Return the login that goes on under a token's locator; None for none."""
    found = None
    for login in state.logins.values():
        if hmac.compare_digest(login.locator, locator) and at < login.expires_at:
            found = login
    return found


def _decide(  # noqa: PLR0911, PLR0912 - one line a command
    state: Tenant, command: Command, at: str
) -> Sequence[TenantEvent]:
    seq = state.seq + 1
    match command:
        case CreateTenant():
            raise TenantExists(state.tenant_id)
        case AddUser(user=user, by=by):
            if len(state.users) >= MAX_USERS:
                raise NotAllowed(f"A tenant has at most {MAX_USERS} users")
            return [UserAdded(seq=seq, at=at, by=by, user=user)]
        case ResetPassword(user_id=user_id, password=password, by=by):
            _known(state, user_id)
            return [PasswordReset(seq=seq, at=at, by=by, user_id=user_id, password=password)]
        case LogIn():
            return _log_in(state, command, at)
        case Refresh():
            return _refresh(state, command, at)
        case LogOut(login_id=login_id):
            login = state.logins.get(login_id)
            return [] if login is None else [_ended(seq, at, login, "logout")]
        case LogOutToken(locator=locator, kind=kind):
            login = find_login(state, locator, at)
            is_meant = login is not None and login.kind == kind
            return [_ended(seq, at, login, "logout")] if login is not None and is_meant else []
        case GenerateKey():
            return _generate(state, command, at)
        case RevokeKey():
            return _revoke(state, command, at)
        case ChangeProfile():
            return _change_profile(state, command, at)
        case NoteWebhook():
            return _note_webhook(state, command, at)
        case NoteLimit():
            return _note(state, command, at)
        case LimitWasTold(of_seq=of_seq):
            is_known = any(it.seq == of_seq for it in state.untold)
            return [LimitTold(seq=seq, at=at, of_seq=of_seq)] if is_known else []
        case CloseBooks():
            return _close_books(state, command, at)
        case _:
            assert_never(command)


def _log_in(state: Tenant, command: LogIn, at: str) -> Sequence[TenantEvent]:
    login = command.login
    user = state.users.get(login.user_id)
    # A password that was reset while it was being checked is no longer good.
    if user is None or not hmac.compare_digest(user.password, command.password):
        raise CredentialsRefused
    others = [it for it in state.logins.values() if it.user_id == login.user_id]
    over = [it for it in others if it.expires_at <= at]
    going = sorted((it for it in others if it.expires_at > at), key=lambda it: it.created_at)
    gone = over + going[: max(0, len(going) - MAX_LOGINS + 1)]
    events: list[TenantEvent] = [
        _ended(state.seq + 1 + number, at, it, "replaced") for number, it in enumerate(gone)
    ]
    return [*events, LoggedIn(seq=state.seq + 1 + len(gone), at=at, login=login)]


def _refresh(state: Tenant, command: Refresh, at: str) -> Sequence[TenantEvent]:
    login = find_login(state, command.locator, at)
    if login is None or login.kind != "api":
        raise CredentialsRefused
    if not hmac.compare_digest(login.secret, command.secret):
        # Whoever knows the locator has had a token of this family: an old one is being used again.
        return [_ended(state.seq + 1, at, login, "reuse")]
    return [Refreshed(seq=state.seq + 1, at=at, login_id=login.login_id, secret=command.new_secret)]


def _generate(state: Tenant, command: GenerateKey, at: str) -> Sequence[TenantEvent]:
    _check_owner(state, command.key.created_by)
    if len(state.keys) >= MAX_KEYS:
        raise NotAllowed(f"A tenant has at most {MAX_KEYS} keys; revoke one first")
    check_name("name", command.key.name)
    return [KeyCreated(seq=state.seq + 1, at=at, key=command.key)]


def _revoke(state: Tenant, command: RevokeKey, at: str) -> Sequence[TenantEvent]:
    _check_owner(state, command.by)
    key = state.keys.get(command.key_id)
    if key is None:
        raise NotFound("API key")
    return [
        KeyRevoked(seq=state.seq + 1, at=at, by=command.by, key_id=command.key_id, hint=key.hint)
    ]


def _change_profile(state: Tenant, command: ChangeProfile, at: str) -> Sequence[TenantEvent]:
    _check_owner(state, command.by)
    check_name("name", command.name)
    if not command.name.strip():
        raise FieldInvalid("name", "must not be empty")
    logo_url = state.profile.logo_url if command.logo_url is UNSET else command.logo_url
    profile = Profile(name=command.name.strip(), logo_url=logo_url)
    if profile == state.profile:
        return []
    return [ProfileChanged(seq=state.seq + 1, at=at, by=command.by, profile=profile)]


_WEBHOOK_EVENTS: Final[Mapping[WebhookDeed, Callable[..., WebhookEvent]]] = {
    "created": WebhookCreated,
    "rotated": WebhookRotated,
    "enabled": WebhookEnabled,
    "deleted": WebhookDeleted,
}


def _note_webhook(state: Tenant, command: NoteWebhook, at: str) -> Sequence[TenantEvent]:
    _check_owner(state, command.by)
    event = _WEBHOOK_EVENTS[command.deed]
    return [
        event(
            seq=state.seq + 1,
            at=at,
            by=command.by,
            webhook_id=command.webhook_id,
            host=command.host,
        )
    ]


def _note(state: Tenant, command: NoteLimit, at: str) -> Sequence[TenantEvent]:
    name = limit_name(command.notice, command.environment)
    if state.reached.get(name) == command.month:
        return []
    seq = state.seq + 1
    reached = QuotaReached(
        seq=seq,
        at=at,
        type=command.notice,
        environment=command.environment,
        month=command.month,
        used=command.used,
        limit=command.limit,
    )
    return [LimitNoted(seq=seq, at=at, reached=reached)]


def _close_books(state: Tenant, command: CloseBooks, at: str) -> Sequence[TenantEvent]:
    """Write down all that books say, so that earlier ones may go."""
    before = {key_id: it.last_used_at for key_id, it in state.keys.items() if it.last_used_at}
    newer = {key_id: at for key_id, at in command.last_used.items() if key_id in state.keys}
    last_used = before | newer
    if command.books == state.books and last_used == before:
        return []
    return [BooksClosed(seq=state.seq + 1, at=at, books=command.books, last_used=last_used)]


def check_name(field: str, name: str) -> None:
    """Refuse a name for people to read that is too long or holds what is no text."""
    if len(name) > MAX_NAME_CHARS:
        raise FieldInvalid(field, f"must not be longer than {MAX_NAME_CHARS} characters")
    if any(letter < " " or "\x7f" <= letter <= "\x9f" for letter in name):
        raise FieldInvalid(field, "must not hold control characters")
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        raise FieldInvalid(field, "must be text")


def _known(state: Tenant, user_id: str) -> None:
    if user_id not in state.users:
        raise NotFound("User")


def _check_owner(state: Tenant, by: str) -> None:
    if by == OPERATOR:
        return
    user = state.users.get(by)
    if user is None:
        raise CredentialsRefused
    if user.role != "owner":
        raise NotAllowed("Only an owner of the account may change this")


def _ended(seq: int, at: str, login: Login, reason: EndReason) -> LoggedOut:
    return LoggedOut(seq=seq, at=at, user_id=login.user_id, login_id=login.login_id, reason=reason)
