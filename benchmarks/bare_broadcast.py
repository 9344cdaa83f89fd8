"""The baselines of `benchmarks.streams`: a broadcast without a log, nothing kept, nothing resumed.

`python -m benchmarks.bare_broadcast quart|trio-websocket BYTES` serves rooms, `/stream/<room>` to
subscribers and `/publish/<room>` to writers, and prints its address. For each publication it sends
four texts of so many bytes to everybody in the room, all at one wake.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from datetime import UTC, datetime
from functools import partial

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import websocket
from quart_trio import QuartTrio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

EVENTS_PER_POST = 4
_ROOM_FOR = 1_000_000


class Broadcast:
    """Rooms, and a queue for each subscriber in them."""

    def __init__(self, size_bytes: int) -> None:
        self._rooms = defaultdict[str, set[trio.MemorySendChannel[str]]](set)
        self._filler = "x" * (size_bytes - len(_text("")))

    def enter(
        self, room: str
    ) -> tuple[trio.MemorySendChannel[str], trio.MemoryReceiveChannel[str]]:
        send, receive = trio.open_memory_channel[str](_ROOM_FOR)
        self._rooms[room].add(send)
        return send, receive

    def leave(self, room: str, send: trio.MemorySendChannel[str]) -> None:
        self._rooms[room].discard(send)

    def publish(self, room: str) -> None:
        texts = [_text(self._filler) for _ in range(EVENTS_PER_POST)]
        for subscriber in self._rooms[room]:
            for text in texts:
                subscriber.send_nowait(text)


def _text(filler: str) -> str:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")  # noqa: TID251 - no engine's clock
    return f'{{"seq":1,"type":"reply.delta","at":"{at}","data":"{filler}"}}'


def make_app(broadcast: Broadcast) -> QuartTrio:
    app = QuartTrio(__name__)

    @app.websocket("/stream/<room>")
    async def stream(room: str) -> None:
        send, receive = broadcast.enter(room)
        try:
            await websocket.send("ready")
            async for text in receive:
                await websocket.send(text)
        finally:
            broadcast.leave(room, send)

    @app.post("/publish/<room>")
    async def publish(room: str) -> str:
        broadcast.publish(room)
        return "{}"

    return app


async def serve_quart(broadcast: Broadcast) -> None:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.backlog = 1024
    config.accesslog = config.errorlog = None
    async with trio.open_nursery() as nursery:
        urls = await nursery.start(partial(serve, make_app(broadcast), config))
        print(urls[0], flush=True)


async def serve_trio_websocket(broadcast: Broadcast) -> None:
    async def handle(request: WebSocketRequest) -> None:
        socket = await request.accept()
        _, what, room = request.path.split("/")
        send, receive = broadcast.enter(room) if what == "stream" else (None, None)
        try:
            if send is None or receive is None:
                while await socket.get_message():
                    broadcast.publish(room)
                    await socket.send_message("done")
            else:
                await socket.send_message("ready")
                async for text in receive:
                    await socket.send_message(text)
        except ConnectionClosed:
            if send is not None:
                broadcast.leave(room, send)

    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(serve_websocket, handle, "127.0.0.1", 0, ssl_context=None)
        )
        print(f"http://127.0.0.1:{server.port}", flush=True)


if __name__ == "__main__":
    kinds = {"quart": serve_quart, "trio-websocket": serve_trio_websocket}
    trio.run(kinds[sys.argv[1]], Broadcast(int(sys.argv[2])))
