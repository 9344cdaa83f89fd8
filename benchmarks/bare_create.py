"""The baseline of creates: a bare Quart-Trio route that only decodes, and answers the same JSON.

`python -m benchmarks.bare_create` prints its URL and serves until it is ended.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from quart import request
from quart_trio import QuartTrio

# What Mooring answers a create with, of the same size.
ANSWER = {
    "session_id": "0b5c2f3e-5d5f-4a57-9a0f-7a3c1c1f5e11",
    "session_url": "http://127.0.0.1:5010/s/0123456789abcdefghijklmnopqrstuv",
    "expires_at": "2026-01-01T00:30:00.000Z",
    "state": "pending",
    "environment": "sandbox",
    "flow": "consent",
    "created_at": "2026-01-01T00:00:00.000Z",
}


def make_app() -> QuartTrio:
    app = QuartTrio(__name__)

    @app.post("/api/v1/sessions/create")
    async def create() -> tuple[dict[str, Any], int]:
        await request.get_json()
        return ANSWER, 201

    return app


async def main() -> None:
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.backlog = 1024
    config.accesslog = config.errorlog = None
    async with trio.open_nursery() as nursery:
        urls = await nursery.start(partial(serve, make_app(), config))
        print(urls[0], flush=True)


if __name__ == "__main__":
    trio.run(main)
