"""One HTTP request between Hypercorn and Quart, with two faults of theirs mended.

Hypercorn announces `http.disconnect` from within the send of a response's last body message;
quart-trio answers that by cancelling the task which is in that very send. What would come after it
there never runs: a connection kept alive never idles out and holds up the server's stop, and one
that should be closed (after a 413) stays open with nobody behind it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import trio
from hypercorn.typing import ASGISendCallable, ASGISendEvent, HTTPScope
from quart import Quart
from quart_trio.asgi import TrioASGIHTTPConnection


class HTTPConnection(TrioASGIHTTPConnection):
    """A request whose clean-up is finished even though it seems to have gone."""

    def __init__(self, app: Quart, scope: HTTPScope) -> None:
        if not scope["path"]:  # "GET ?x HTTP/1.1", at which Quart trips
            scope["path"] = "/"
        super().__init__(app, scope)

    async def _send_response(self, send: ASGISendCallable, response: Any) -> None:
        await super()._send_response(partial(_send_to_the_end, send), response)


async def _send_to_the_end(send: ASGISendCallable, message: ASGISendEvent) -> None:
    """Send `message`; the last one of a body is not cancelled half-way.

    It is bounded all the same: the transport gives up on a client that takes nothing.
    """
    is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
    with trio.CancelScope(shield=is_last):
        await send(message)
