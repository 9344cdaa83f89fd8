"""The two documents of one server, put together."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, Final

import msgspec

from actors.browser.portals.portal import Operation as PortalOperation
from api.docs import accounts, assistant, browser, hosted, server, webhooks
from api.docs.asyncapi import asyncapi_document
from api.docs.openapi import openapi_document
from api.docs.operation import Operation
from api.docs.streams import STREAMS

TAGS: Final[Mapping[str, str]] = {
    browser.TAG: "Logged-in browsers, kept alive and reused. One route for each operation of the "
    "portal.",
    assistant.TAG: "Conversations with an assistant: one log, one line of replies.",
    accounts.TAG: "People, API keys, usage and the profile of a tenant.",
    hosted.TAG: "Pages that wait for their visitor, and end in a signed result.",
    webhooks.TAG: "Where a tenant's server is told what has happened. Each event is signed as "
    "Standard Webhooks has it.",
    server.TAG: "Probes, figures and these documents.",
}


class Documents(msgspec.Struct, frozen=True, kw_only=True):
    """What a server says of itself."""

    openapi: Mapping[str, Any]
    asyncapi: Mapping[str, Any]


def all_operations(portal: Mapping[str, PortalOperation]) -> tuple[Operation, ...]:
    """Return every route that is described.

    Args:
        portal: the operations of the portal that is served.
    """
    return (
        *browser.OPERATIONS,
        *browser.portal_operations(portal),
        *assistant.OPERATIONS,
        *accounts.OPERATIONS,
        *hosted.OPERATIONS,
        *webhooks.OPERATIONS,
        *server.OPERATIONS,
    )


def make_documents(portal: Mapping[str, PortalOperation], *, public_url: str) -> Documents:
    """Return the documents of a server that serves this portal under this URL."""
    release = version("mooring")
    return Documents(
        openapi=openapi_document(
            all_operations(portal), tags=TAGS, version=release, server_url=public_url
        ),
        asyncapi=asyncapi_document(STREAMS, version=release, server_url=public_url),
    )
