"""The body of an SSE answer: a subscription for as long as the client reads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Final

import structlog
import trio
from quart.wrappers.response import ResponseBody

from api import stream_frames as frames
from api.server.drain import Drain
from api.stream_frames import Show
from engine.errors import BeyondNewest, StoreError, StreamEnded, TooManySubscribers
from engine.stream import Cursor

HEARTBEAT_S: Final = 15.0
_BATCH: Final = 100
_log = structlog.get_logger("mooring.streams")


class EventStream(ResponseBody):
    """Subscribes when the client begins to read, and no earlier: an answer that is never sent
    leaves nothing behind.

    An object, since a generator cannot be left in the middle of a cancel scope.
    """

    def __init__(
        self,
        subscription: AbstractAsyncContextManager[Cursor],
        drain: Drain,
        show: Show | None = None,
    ) -> None:
        self._subscription = subscription
        self._drain = drain
        self._show = show
        self._stack = AsyncExitStack()
        self._next: Callable[[], Awaitable[bytes | None]] = self._begin
        self._cursor: Cursor | None = None

    async def __aenter__(self) -> EventStream:
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stack.aclose()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        chunk = None
        with self._drain.until_begun():
            chunk = await self._next()
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def _begin(self) -> bytes | None:
        self._next = self._go_on
        try:
            cursor = await self._stack.enter_async_context(self._subscription)
        except BeyondNewest as error:
            return self._end_with(frames.beyond(error))
        except TooManySubscribers:
            return self._end_with(frames.failure("too_many", "Too many subscribers"))
        self._cursor = cursor
        first = frames.ready(newest=cursor.newest, after=cursor.seq)
        return frames.SSE_RETRY + frames.sse_event(first, seq=cursor.seq)

    async def _go_on(self) -> bytes | None:
        assert self._cursor is not None  # noqa: S101 - it has begun
        try:
            with trio.move_on_after(HEARTBEAT_S):
                events = await self._cursor.next_batch(limit=_BATCH)
                return frames.sse_events(events, self._show)
        except StreamEnded:
            return None
        except StoreError as error:
            _log.warning("stream_cut", cause=str(error))
            return self._end_with(frames.failure("unavailable", "The log cannot be read now"))
        return frames.SSE_HEARTBEAT

    def _end_with(self, frame: bytes) -> bytes:
        self._next = self._over
        return frames.sse_event(frame)

    async def _over(self) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return None
