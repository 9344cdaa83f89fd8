"""A websocket between Hypercorn and the app, to the letter of RFC 6455.

Hypercorn's stream is used, with this added: a frame that breaks the protocol is answered with the
RFC's close code (Hypercorn drops the connection without a word); a refused handshake ends the
connection (Hypercorn forgets it, and with it an app that has begun); an answer to a ping is seen;
what the app has framed itself goes out as it is; nothing is compressed, since every compressor
costs 300 KB and the readers of one event could not share its bytes.
"""

from __future__ import annotations

import dataclasses
import math
import re
import struct
from collections.abc import Callable
from typing import Any, Final

import trio
from hypercorn.protocol.events import (
    Body,
    Data,
    EndBody,
    Event,
    Request,
    Response,
    StreamClosed,
)
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping, Pong
from wsproto.frame_protocol import CloseReason
from wsproto.handshake import WEBSOCKET_VERSION
from wsproto.utilities import LocalProtocolError

# An ASGI message of our own: `frames` are whole websocket frames, ready to be sent.
SEND_FRAMES: Final = "mooring.websocket.frames"

PING_INTERVAL_S: Final = 20.0
PONG_TIMEOUT_S: Final = 6.0
# Behind data it has not read yet, a client may not have come to the ping: then the transport's
# rule for slow readers holds.
_READING_S: Final = 5.0
SLOW_READER_S: Final = 90.0
# How long a client has to take its close frame before the connection goes.
_LINGER_S: Final = 1.0
_TEXT: Final = 0x81
# 16 bytes as base64.
_GOOD_KEY: Final = re.compile(rb"[A-Za-z0-9+/]{21}[AQgw]==")


def text_frame(payload: bytes) -> bytes:
    """Return the frame of one text message from the server; the same for every reader."""
    length = len(payload)
    if length < 126:
        return bytes((_TEXT, length)) + payload
    if length < 65_536:
        return struct.pack("!BBH", _TEXT, 126, length) + payload
    return struct.pack("!BBQ", _TEXT, 127, length) + payload


def _without_bad_key(request: Request) -> Request:
    """Return the request without a key that is none, so that it is refused for its lack."""
    headers = [
        (name, value)
        for name, value in request.headers
        if name != b"sec-websocket-key" or _GOOD_KEY.fullmatch(value.strip())
    ]
    return dataclasses.replace(request, headers=headers)


class WebsocketStream(WSStream):
    """One websocket. `Web` sends its pings, and cuts it when they are not answered."""

    # Sends what can be sent at once, and returns how many bytes; set by the connection.
    send_nowait: Callable[[bytes], int] = staticmethod(lambda data: 0)

    _failed = False
    _received_bytes = 0  # of the message that is arriving
    _handing: trio.CancelScope | None = None
    _heard_at = -math.inf
    _wrote_at = -math.inf  # infinity while a write is under way
    _pinged_at = -math.inf
    _unanswered = False

    async def handle(self, event: Event) -> None:
        if isinstance(event, Request):
            await super().handle(_without_bad_key(event))
            if self.closed:
                await self.send(StreamClosed(stream_id=self.stream_id))
            return
        if isinstance(event, Body | Data):
            if self._failed or self.closed:
                return
            if not self.handshake.accepted:
                await self._refuse_early_data()
                return
            if self.connection.state is ConnectionState.CLOSED:
                return  # what a client sends behind its close frame
            self._heard_at = trio.current_time()
        await super().handle(event)

    async def _refuse_early_data(self) -> None:
        """A client has to wait for the answer to its handshake (RFC 6455, 4.1)."""
        if self.state is not ASGIWebsocketState.HANDSHAKE:
            return  # it is being refused already
        self.closed = True
        if self.app_put is not None:
            self.task_group.spawn(self._tell_app, CloseReason.ABNORMAL_CLOSURE)
        await self._send_error_response(400)
        await self.send(StreamClosed(stream_id=self.stream_id))

    async def _send_error_response(self, status_code: int) -> None:
        if status_code != 400 or self.handshake.version == WEBSOCKET_VERSION:
            await super()._send_error_response(status_code)
            return
        headers = [
            (b"sec-websocket-version", WEBSOCKET_VERSION),
            (b"content-length", b"0"),
            (b"connection", b"close"),
        ]
        await self.send(Response(stream_id=self.stream_id, status_code=426, headers=headers))
        await self.send(EndBody(stream_id=self.stream_id))

    async def app_send(self, message: Any) -> None:
        if message is None:
            await self._app_ended()
        elif message["type"] == SEND_FRAMES:
            await self._send_frames(message["frames"])
        else:
            if message["type"] == "websocket.accept":
                self._pinged_at = trio.current_time()
                self.handshake.extensions = None
            await super().app_send(message)

    async def _app_ended(self) -> None:
        """Give the client time to take the close frame: a socket closed over unread input is
        reset, and the frame may go with it."""
        self.app_put = None
        if self._handing is not None:
            self._handing.cancel()
        if self._failed or self.closed:
            return
        closing = self.handshake.accepted and (
            self.connection.state is ConnectionState.LOCAL_CLOSING
        )
        if closing:
            self.task_group.spawn(self._linger)
        else:
            await super().app_send(None)

    # -- heartbeat -----------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        return not self.closed and not self._failed and self.state is ASGIWebsocketState.CONNECTED

    def is_lost(self, now: float) -> bool:
        """Tell whether the client should have answered the last ping by now."""
        if not self._awaits_pong:
            return False
        is_reading = self._wrote_at > self._pinged_at - _READING_S
        return now - self._pinged_at > (SLOW_READER_S if is_reading else PONG_TIMEOUT_S)

    def wants_ping(self, now: float) -> bool:
        return not self._awaits_pong and now - self._pinged_at >= PING_INTERVAL_S

    async def ping(self) -> None:
        """Send a ping; one at a time is on its way."""
        if self.is_open and not self._awaits_pong:
            self._pinged_at = trio.current_time()
            self._unanswered = True
            await self._send_wsproto_event(Ping())

    @property
    def _awaits_pong(self) -> bool:
        # Whatever a client sends shows that it is there.
        return self._unanswered and self._heard_at <= self._pinged_at

    # -- frames --------------------------------------------------------------------------------

    async def _send_frames(self, frames: bytes) -> None:
        if not self.is_open or self.connection.state is not ConnectionState.OPEN:
            await trio.lowlevel.checkpoint()
            return
        # Mostly there is room, and then all of Hypercorn's and Trio's waiting is not needed: it is
        # three quarters of what a frame costs.
        sent = self.send_nowait(frames)
        if sent == len(frames):
            self._wrote_at = trio.current_time()
            return
        self._wrote_at = math.inf
        try:
            # Half a frame must not be followed by anything but its other half.
            with trio.CancelScope(shield=True):
                await self.send(Data(stream_id=self.stream_id, data=frames[sent:]))
        finally:
            self._wrote_at = trio.current_time()

    async def _handle_events(self) -> None:
        for event in self.connection.events():
            match event:
                case Message():
                    if not await self._take(event):
                        return
                case Ping():
                    await self._send_wsproto_event(event.response())
                case Pong():
                    self._unanswered = False
                case CloseConnection():
                    await self._close(event)

    async def _take(self, event: Message[Any]) -> bool:
        """Take in a part of a message; False when it is too large."""
        data = event.data.encode() if isinstance(event.data, str) else event.data
        self._received_bytes += len(data)
        if self._received_bytes > self.buffer.max_length:
            await self._fail(CloseReason.MESSAGE_TOO_BIG, "the message is too large")
            return False
        self.buffer.extend(event)
        if event.message_finished:
            message = self.buffer.to_message()
            self.buffer.clear()
            self._received_bytes = 0
            await self._hand(message)
        return True

    async def _hand(self, message: Any) -> None:
        """Give the app a message, unless it ends before it has room for one."""
        if self.state is ASGIWebsocketState.CONNECTED and self.app_put is not None:
            with trio.CancelScope() as self._handing:
                await self.app_put(message)
            self._handing = None

    async def _close(self, event: CloseConnection) -> None:
        match self.connection.state:
            case ConnectionState.REMOTE_CLOSING:
                await self._send_wsproto_event(event.response())
                await self.send(StreamClosed(stream_id=self.stream_id))
            case ConnectionState.CLOSED:
                await self.send(StreamClosed(stream_id=self.stream_id))
            case _:  # a frame that is none
                await self._fail(event.code, "not a websocket frame")

    async def _fail(self, code: int, reason: str) -> None:
        """Close for the client's mistake: say so, tell the app, and let the client read it."""
        self._failed = True
        try:
            data = self.connection.send(CloseConnection(code=code, reason=reason))
        except LocalProtocolError:
            data = b""  # we were closing already
        if self.app_put is not None:
            self.task_group.spawn(self._tell_app, code)
        if data:
            await self.send(Data(stream_id=self.stream_id, data=data))
        self.task_group.spawn(self._linger)

    async def _tell_app(self, code: int) -> None:
        if self.app_put is not None:
            with trio.move_on_after(_LINGER_S):
                await self.app_put({"type": "websocket.disconnect", "code": code})

    async def _linger(self) -> None:
        await trio.sleep(_LINGER_S)
        if not self.closed:
            await self.send(StreamClosed(stream_id=self.stream_id))
