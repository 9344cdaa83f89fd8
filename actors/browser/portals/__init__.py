"""The portals that Mooring can log in to, one file each."""

from actors.browser.portals.catalogue import PORTALS, UnknownPortal, make_portal
from actors.browser.portals.portal import (
    CaptchaSolver,
    Credentials,
    Operation,
    Portal,
    operation,
    operations_of,
)

__all__ = [
    "PORTALS",
    "CaptchaSolver",
    "Credentials",
    "Operation",
    "Portal",
    "UnknownPortal",
    "make_portal",
    "operation",
    "operations_of",
]
