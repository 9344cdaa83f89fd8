"""Tenants: accounts, keys and quota, each tenant one durable actor."""

from actors.partner.tenants.places import Confirm, GiveBack, Reservation, Reserve, SessionEnded
from actors.partner.tenants.principal import Environment, Principal, PrincipalKind, Role

__all__ = [
    "Confirm",
    "Environment",
    "GiveBack",
    "Principal",
    "PrincipalKind",
    "Reservation",
    "Reserve",
    "Role",
    "SessionEnded",
]
