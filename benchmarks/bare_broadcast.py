"""The baselines of `benchmarks.streams`: a broadcast without a log, nothing kept, nothing resumed.

`python -m benchmarks.bare_broadcast quart|trio-websocket` serves `/stream` to subscribers, prints
its port, and sends four texts to each of them for every message that a client of `/publish` sends.
"""

from __future__ import annotations

import sys
from functools import partial

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import websocket
from quart_trio import QuartTrio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

TEXT = '{"seq":1,"type":"reply.delta","at":"2026-01-01T00:00:00.000Z","data":"' + "x" * 150 + '"}'
EVENTS_PER_POST = 4


class Broadcast:
    def __init__(self) -> None:
        self.subscribers: set[trio.MemorySendChannel[str]] = set()

    def publish(self) -> None:
        for subscriber in tuple(self.subscribers):
            for _ in range(EVENTS_PER_POST):
                subscriber.send_nowait(TEXT)


def make_app(broadcast: Broadcast) -> QuartTrio:
    app = QuartTrio(__name__)

    @app.websocket("/stream")
    async def stream() -> None:
        send, receive = trio.open_memory_channel[str](1_000_000)
        broadcast.subscribers.add(send)
        try:
            await websocket.send("ready")
            async for text in receive:
                await websocket.send(text)
        finally:
            broadcast.subscribers.discard(send)

    @app.post("/publish")
    async def publish() -> str:
        broadcast.publish()
        return "{}"

    return app


async def serve_quart() -> None:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.accesslog = config.errorlog = None
    app = make_app(Broadcast())
    async with trio.open_nursery() as nursery:
        urls = await nursery.start(partial(serve, app, config))
        print(urls[0], flush=True)


async def serve_trio_websocket() -> None:
    broadcast = Broadcast()

    async def handle(request: WebSocketRequest) -> None:
        socket = await request.accept()
        if request.path == "/publish":
            try:
                while await socket.get_message():
                    broadcast.publish()
            except ConnectionClosed:
                return
        send, receive = trio.open_memory_channel[str](1_000_000)
        broadcast.subscribers.add(send)
        await socket.send_message("ready")
        try:
            async for text in receive:
                await socket.send_message(text)
        except ConnectionClosed:
            broadcast.subscribers.discard(send)

    async with trio.open_nursery() as nursery:
        server = await nursery.start(
            partial(serve_websocket, handle, "127.0.0.1", 0, ssl_context=None)
        )
        print(f"http://127.0.0.1:{server.port}", flush=True)


if __name__ == "__main__":
    trio.run(serve_quart if sys.argv[1] == "quart" else serve_trio_websocket)
