"""Which portals there are, by the name that the settings use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from actors.browser.portals.emodal import Emodal
from actors.browser.portals.portal import Portal
from engine.errors import MooringError

PORTALS: Final[Mapping[str, type[Portal]]] = {portal.name: portal for portal in (Emodal,)}


class UnknownPortal(MooringError):
    """No portal has this name; says which names there are."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no portal {name!r}; known: {', '.join(sorted(PORTALS))}")
        self.name = name


def make_portal(name: str, base_url: str | None = None) -> Portal:
    """Return the portal of that name, at `base_url` or at its own addresses.

    Raises:
        UnknownPortal: there is none of that name.
        ValueError: the portal cannot use that address.
    """
    try:
        portal = PORTALS[name]
    except KeyError:
        raise UnknownPortal(name) from None
    return portal(base_url)
