"""What a tenant uses, as figures."""

from __future__ import annotations

from datetime import datetime

from actors.partner.tenants.admission import EnvironmentUsage, Usage
from actors.partner.tenants.ledger import Ledger
from actors.partner.tenants.principal import Environment
from engine.clock import timestamp


def usage_of(ledger: Ledger, now: datetime, *, rate_limit: int) -> Usage:
    """Return the figures of this moment.

    Args:
        rate_limit: requests a minute.
    """
    month = ledger.month(now)
    return Usage(
        month=month.name,
        resets_at=timestamp(month.ends_at),
        sandbox=_of(ledger, "sandbox", now),
        production=_of(ledger, "production", now),
        active=ledger.active,
        max_active=ledger.limits.max_active,
        rate_limit_per_minute=rate_limit,
        days=ledger.days(),
    )


def _of(ledger: Ledger, environment: Environment, now: datetime) -> EnvironmentUsage:
    used, limit = ledger.used(environment, now), ledger.limits.quotas[environment]
    return EnvironmentUsage(used=used, limit=limit, remaining=max(0, limit - used))
