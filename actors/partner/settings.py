"""What can be set about hosted sessions, with the defaults of the contract."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

_DAY_S = 86_400.0

SignupPolicy: TypeAlias = Literal["open", "closed"]


class PartnerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`MOORING_PARTNER__*`.

    Attributes:
        session_ttl_s: life of a hosted session, in seconds.
        monthly_quota: sandbox sessions that a tenant may create in a month (UTC).
        production_quota: the same for production sessions.
        rate_limit_per_minute: requests of one tenant.
        max_active: unfinished hosted sessions of one tenant, of both environments together.
        signup: `closed`: accounts are made by `mooring partner add-user` only.
        webhook_allow_private: deliver to private, loopback and link-local addresses too.
    """

    session_ttl_s: Annotated[float, Meta(ge=1, le=31 * _DAY_S)] = 1800.0
    monthly_quota: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 100
    production_quota: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 10_000
    rate_limit_per_minute: Annotated[int, Meta(ge=1, le=10_000_000)] = 100
    max_active: Annotated[int, Meta(ge=1, le=1_000_000)] = 10
    signup: SignupPolicy = "open"
    webhook_allow_private: bool = False
