"""The overview's websocket: it says when to look again, and nothing else."""

from __future__ import annotations

from typing import Final

import msgspec
import trio
from quart import Blueprint, websocket

from api.dashboard.feed import Bell, Feed
from api.dashboard.frame import Frame
from api.server.connection import Socket
from api.server.drain import Drain
from api.server.websocket import text_frame
from api.stream_client import StreamClient
from api.streams import SERVICE_RESTART

# Whatever happens, a page that is open is drawn again this often and no more.
_PACE_S: Final = 1.0
_MESSAGES_PER_S: Final = 1.0
_READY: Final = msgspec.json.encode({"type": "ready"})
_CHANGED: Final = msgspec.json.encode({"type": "changed", "seq": 0})


def add_live_view(routes: Blueprint, frame: Frame, feed: Feed, drain: Drain) -> None:
    """Add `/dashboard/live`."""

    async def live() -> None:
        person = await frame.person()
        socket: Socket = websocket._get_current_object()  # type: ignore[attr-defined]
        client = StreamClient(socket, None, messages_per_s=_MESSAGES_PER_S, path=socket.path)
        with feed.watch(person.tenant_id) as bell:
            socket.hear = client.hear
            await socket.accept()
            with drain.until_begun(), client.scope:
                await _say_each_change(socket, bell)
        await socket.close(*(client.ending or (SERVICE_RESTART, "the server is stopping")))

    routes.add_websocket("/live", "live", live)


async def _say_each_change(socket: Socket, bell: Bell) -> None:
    await socket.send_frames(text_frame(_READY))
    while True:
        await bell.heard()
        await socket.send_frames(text_frame(_CHANGED))
        await trio.sleep(_PACE_S)
