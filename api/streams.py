"""Live streams over websocket and SSE: a session's log, read on for as long as it grows.

What is sent is decided by a cursor (`engine.stream`): history first, then live, in order, once. A
client that takes its time is waited for, in the send; nothing is queued for it meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

import structlog
from quart import Response, request, websocket
from quart_trio.wrappers import TrioResponse

from api import stream_frames as frames
from api.errors import NotAcceptable, ServerStopping
from api.query import take_sequence
from api.server.connection import Socket
from api.server.drain import Drain
from api.server.websocket import text_frame
from api.settings import StreamSettings
from api.sse import EventStream
from api.stream_client import Obey, StreamClient
from api.stream_frames import Show
from engine.errors import BeyondNewest, StoreError, StreamEnded
from engine.store import Store
from engine.stream import Cursor, StreamHub

NORMAL: Final = 1000
POLICY_VIOLATION: Final = 1008
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012
TRY_AGAIN_LATER: Final = 1013

_BATCH: Final = 100
_Closing: TypeAlias = tuple[int, str]
_log = structlog.get_logger("mooring.streams")


class Streams:
    """Serves the streams of one hub, until the drain begins."""

    def __init__(
        self, hub: StreamHub, store: Store, drain: Drain, settings: StreamSettings
    ) -> None:
        self._hub = hub
        self._store = store
        self._drain = drain
        self._settings = settings

    @property
    def drain(self) -> Drain:
        """What ends every stream."""
        return self._drain

    async def exists(self, stream: str) -> bool:
        """Tell whether there is such a stream."""
        return await self._store.newest(stream) > 0

    async def websocket(
        self, stream: str, obey: Obey | None = None, *, show: Show | None = None
    ) -> None:
        """Serve the websocket in hand; it has been closed when this returns.

        Args:
            obey: what the client's frames are for.
            show: returns what this client may see of an event, in place of the event's own body.

        Raises:
            FieldInvalid, TooManySubscribers, ServerStopping: before it was accepted.
        """
        after = self._start(websocket.args)
        socket: Socket = websocket._get_current_object()  # type: ignore[attr-defined]
        rate = self._settings.messages_per_s
        client = StreamClient(socket, obey, messages_per_s=rate, path=socket.path)
        try:
            async with self._hub.subscribe(stream, after=after) as cursor:
                socket.hear = client.hear
                await socket.accept()
                closing = await self._send_all(socket, cursor, client, show)
        except BeyondNewest as error:
            await socket.accept()
            await socket.send_frames(text_frame(frames.beyond(error)))
            closing = POLICY_VIOLATION, "after is beyond the newest event"
        await socket.close(*closing)

    async def _send_all(
        self, socket: Socket, cursor: Cursor, client: StreamClient, show: Show | None
    ) -> _Closing:
        """Send everything that there is and will be; returns how to close."""
        try:
            with self._drain.until_begun(), client.scope:
                first = frames.ready(newest=cursor.newest, after=cursor.seq)
                await socket.send_frames(text_frame(first))
                while True:
                    events = await cursor.next_batch(limit=_BATCH)
                    await socket.send_frames(frames.text_frames(events, show))
        except StreamEnded as ended:
            return NORMAL, ended.reason
        except StoreError as error:
            _log.warning("stream_cut", cause=str(error))
            return TRY_AGAIN_LATER, "the log cannot be read now"
        except Exception:
            _log.exception("stream_failed")
            return INTERNAL_ERROR, "the stream failed inside the server"
        return client.ending or (SERVICE_RESTART, "the server is stopping")

    async def sse(self, stream: str, *, show: Show | None = None) -> Response:
        """Return the answer that streams to the client of the request in hand.

        Args:
            show: as for `websocket`.

        Raises:
            FieldInvalid, NotAcceptable, ServerStopping.
        """
        accepted = request.accept_mimetypes
        if accepted and not accepted["text/event-stream"]:
            raise NotAcceptable("Accept: text/event-stream, or open a websocket")
        after = self._start(request.args)
        last = take_sequence({**request.headers}, "Last-Event-Id")
        if last is not None:
            after = last
            loaded = await self._store.load(stream)
            if loaded.row is not None and self._is_over(loaded.row.status) and last >= loaded.seq:
                return TrioResponse(status=204)  # keeps an EventSource from coming again
        body = EventStream(self._hub.subscribe(stream, after=after), self._drain, show)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return TrioResponse(body, headers=headers, content_type="text/event-stream")

    def _is_over(self, status: str) -> bool:
        """Tell whether a session of this status is never heard of again."""
        return f"session.{status}" in self._hub.final

    def _start(self, query: Mapping[str, str]) -> int | None:
        if self._drain.phase == "draining":
            raise ServerStopping("Connect again in a moment")
        return take_sequence(query, "after")
