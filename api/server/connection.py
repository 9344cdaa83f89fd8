"""One request or websocket between Hypercorn and Quart, with three faults of theirs mended.

Hypercorn announces `http.disconnect` from within the send of a response's last body message;
quart-trio answers that by cancelling the task which is in that very send. What would come after it
there never runs: a connection kept alive never idles out and holds up the server's stop, and one
that should be closed (after a 413) stays open with nobody behind it. And Quart routes by a path in
which an encoded slash is one like any other; see `segments.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, HTTPScope
from quart import Quart, Request
from quart_trio.asgi import TrioASGIHTTPConnection, TrioASGIWebsocketConnection
from quart_trio.wrappers import TrioWebsocket

from api.segments import routed_path
from api.server.websocket import SEND_FRAMES

# Longer than clients keep a connection in their pools, so that it is they who close it first. It
# also bounds how long a request's head may take.
KEEP_ALIVE_S: Final = 75

Hear: TypeAlias = Callable[[str | bytes], Awaitable[None]]


class HTTPConnection(TrioASGIHTTPConnection):
    """A request whose clean-up is finished even though it seems to have gone."""

    def __init__(self, app: Quart, scope: HTTPScope) -> None:
        if not scope["path"]:  # "GET ?x HTTP/1.1", at which Quart trips
            scope["path"] = "/"
        super().__init__(app, scope)

    def _create_request_from_scope(self, send: ASGISendCallable) -> Request:
        request = super()._create_request_from_scope(send)
        request.path = routed_path(request.path, self.scope["raw_path"])
        return request

    async def _send_response(self, send: ASGISendCallable, response: Any) -> None:
        await super()._send_response(partial(_send_to_the_end, send), response)


async def _send_to_the_end(send: ASGISendCallable, message: ASGISendEvent) -> None:
    """Send `message`; the last one of a body is not cancelled half-way.

    It is bounded all the same: the transport gives up on a client that takes nothing.
    """
    is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
    if not is_last:
        await send(message)
        return
    with trio.CancelScope(shield=True):
        await send(message)


class Socket(TrioWebsocket):
    """A websocket as the app sees it.

    Attributes:
        hear: gets every message of the client's, one after the other; set before `accept`. It is
            called in a task that does nothing else, so that a client's going is always noticed.
    """

    hear: Hear | None = None
    asgi_send: Any

    async def send_frames(self, frames: bytes) -> None:
        """Send whole frames as they are; waits while the client takes nothing.

        No checkpoint while there is room: who calls this in a loop must have one of its own.
        """
        await self.asgi_send({"type": SEND_FRAMES, "frames": frames})


class WebsocketConnection(TrioASGIWebsocketConnection):
    """A websocket whose messages go straight to who hears them, without a queue between."""

    _socket: Socket | None = None

    async def handle_messages(  # type: ignore[override]
        self, nursery: trio.Nursery, receive: ASGIReceiveCallable
    ) -> None:
        while True:
            event: Any = await receive()
            if event["type"] == "websocket.disconnect":
                break
            hear = None if self._socket is None else self._socket.hear
            if event["type"] == "websocket.receive" and hear is not None:
                text = event.get("text")
                await hear(event.get("bytes") or b"" if text is None else text)
        nursery.cancel_scope.cancel()

    def _create_websocket_from_scope(self, send: ASGISendCallable) -> Socket:
        socket = super()._create_websocket_from_scope(send)
        assert isinstance(socket, Socket)  # noqa: S101 - the app's websocket_class
        socket.asgi_send = send
        self._socket = socket
        return socket
