"""What a credential asks of its tenant, and what the tenant can be asked about itself.

Laws of this file: frozen, keyword-only, tagged; no callables, no live objects; digests, never the
credentials. Nothing here is written down.
"""

from __future__ import annotations

import msgspec

from actors.partner.rate import Rate
from actors.partner.tenants.ledger import DayUsage
from actors.partner.tenants.principal import Environment, Principal
from actors.partner.tenants.records import User


class _Ask(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    pass


class AdmitKey(_Ask, frozen=True, kw_only=True):
    """Whoever shows the API key of this digest; answered with `Admitted`.

    Refused with `CredentialsRefused` from the moment of its revocation on, and with `RateLimited`.
    """

    digest: str


class AdmitUser(_Ask, frozen=True, kw_only=True):
    """Whoever shows an access token of this login; as `AdmitKey`, refused once it has ended."""

    user_id: str
    login_id: str


class AdmitCookie(_Ask, frozen=True, kw_only=True):
    """Whoever shows a cookie; counted apart, so that a busy API does not shut its people out."""

    locator: str
    secret: str


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """Who it is, and how many more requests may come.

    Attributes:
        login_id: of a user; what a logout ends.
    """

    principal: Principal
    rate: Rate
    login_id: str | None = None


class Fresh(msgspec.Struct, frozen=True, kw_only=True):
    """A refresh token was exchanged; this is whose."""

    user: User
    login_id: str


class ReadUser(_Ask, frozen=True, kw_only=True):
    """Answered with the `User`, or None."""

    user_id: str


class ReadProfile(_Ask, frozen=True, kw_only=True):
    """Answered with the `Profile`; an empty one for a tenant that has not said."""


class ListKeys(_Ask, frozen=True, kw_only=True):
    """Answered with the keys that are good, newest first, each with its last use so far."""


class ReadUsage(_Ask, frozen=True, kw_only=True):
    """Answered with the `Usage` of this moment."""


class EnvironmentUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What is used of a month's quota."""

    used: int
    limit: int
    remaining: int


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant uses.

    Attributes:
        resets_at: when the next month begins, and quotas with it.
        active: unfinished sessions of both environments.
        days: the days that had sessions, oldest first.
    """

    month: str
    resets_at: str
    sandbox: EnvironmentUsage
    production: EnvironmentUsage
    active: int
    max_active: int
    rate_limit_per_minute: int
    days: tuple[DayUsage, ...]

    def of(self, environment: Environment) -> EnvironmentUsage:
        return self.sandbox if environment == "sandbox" else self.production
