"""What is spoken on a connection: HTTP/1.1 as Hypercorn speaks it, and our websockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import h11
from hypercorn.events import RawData
from hypercorn.protocol.events import Request
from hypercorn.protocol.h11 import STREAM_ID, H11Protocol, H11WSConnection

from api.server.websocket import WebsocketStream


class Protocol(H11Protocol):
    """HTTP/1.1, and websockets of our own kind; no HTTP/2, and no change to it.

    A head that says how long its body is waits for the body, and leaves with it: one packet and one
    turn of the loop where there would be three (a tenth of what a small answer costs).
    """

    send_nowait: Callable[[bytes], int]
    _head = b""  # what waits for its body

    async def _check_protocol(self, event: Any) -> None:
        """Stay with HTTP/1.1, whatever the request offers to change to."""

    async def _create_stream(self, request: Any) -> None:
        """Take over the connection for a websocket of ours; anything else as Hypercorn does."""
        if not _is_upgrade(request):
            await super()._create_stream(request)
            return
        self.stream = WebsocketStream(
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        self.stream.send_nowait = self.send_nowait
        self.connection = H11WSConnection(self.connection)  # type: ignore[arg-type]
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode(),
                method="GET",
                raw_path=request.target,
                state=self.connection_state,
            )
        )

    async def _send_h11_event(self, event: Any) -> None:
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        data, self._head = self._head + (data or b""), b""
        if isinstance(event, h11.Response) and _has_length(event):
            self._head = data
        elif data:
            await self.send(RawData(data=data))

    @property
    def websocket(self) -> WebsocketStream | None:
        """The websocket that this connection has become, while it is open."""
        stream = self.stream
        return stream if isinstance(stream, WebsocketStream) and stream.is_open else None


def _has_length(response: h11.Response) -> bool:
    """Tell whether a body follows at once, or the end; a stream may take its time."""
    return any(name == b"content-length" for name, _ in response.headers)


def _is_upgrade(request: Any) -> bool:
    """Tell whether a request asks to become a websocket."""
    named = {b"upgrade": b"", b"connection": b""}
    for name, value in request.headers:
        if name in named:
            named[name] = value.strip().lower()
    tokens = [token.strip() for token in named[b"connection"].split(b",")]
    return (
        b"upgrade" in tokens
        and named[b"upgrade"] == b"websocket"
        and bytes(request.method).upper() == b"GET"
    )
