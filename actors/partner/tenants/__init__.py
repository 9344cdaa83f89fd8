"""Tenants: accounts, keys and quota, each tenant one durable actor."""

from actors.partner.tenants.admission import (
    AdmitCookie,
    AdmitKey,
    Admitted,
    AdmitUser,
    EnvironmentUsage,
    Fresh,
    ListKeys,
    ReadProfile,
    ReadUsage,
    ReadUser,
    Usage,
)
from actors.partner.tenants.commands import (
    AddUser,
    ChangeProfile,
    CreateTenant,
    GenerateKey,
    LogIn,
    LogOut,
    LogOutToken,
    Refresh,
    ResetPassword,
    RevokeKey,
)
from actors.partner.tenants.events import OPERATOR
from actors.partner.tenants.family import Tenants, open_tenants
from actors.partner.tenants.ledger import DayUsage
from actors.partner.tenants.places import Confirm, GiveBack, Reservation, Reserve, SessionEnded
from actors.partner.tenants.principal import (
    ENVIRONMENTS,
    Environment,
    Principal,
    PrincipalKind,
    Role,
)
from actors.partner.tenants.records import ApiKey, Login, Profile, QuotaReached, User

__all__ = [
    "ENVIRONMENTS",
    "OPERATOR",
    "AddUser",
    "AdmitCookie",
    "AdmitKey",
    "AdmitUser",
    "Admitted",
    "ApiKey",
    "ChangeProfile",
    "Confirm",
    "CreateTenant",
    "DayUsage",
    "Environment",
    "EnvironmentUsage",
    "Fresh",
    "GenerateKey",
    "GiveBack",
    "ListKeys",
    "LogIn",
    "LogOut",
    "LogOutToken",
    "Login",
    "Principal",
    "PrincipalKind",
    "Profile",
    "QuotaReached",
    "ReadProfile",
    "ReadUsage",
    "ReadUser",
    "Refresh",
    "Reservation",
    "Reserve",
    "ResetPassword",
    "RevokeKey",
    "Role",
    "SessionEnded",
    "Tenants",
    "Usage",
    "User",
    "open_tenants",
]
