"""Prints `docs/api.md`: `python -m api.docs`."""

from __future__ import annotations

import sys

from actors.browser.portals.catalogue import make_portal
from actors.browser.portals.portal import operations_of
from actors.browser.settings import BrowserSettings
from api.docs.documents import make_documents
from api.docs.markdown import make_markdown


def text() -> str:
    """Return the page, with the shipped portal's operations."""
    portal = operations_of(make_portal(BrowserSettings().portal))
    return make_markdown(make_documents(portal, public_url="http://127.0.0.1:5010"))


if __name__ == "__main__":
    sys.stdout.write(text())
