"""The app as `mooring serve` puts it together, with browsers on paper, not served."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from api import serve
from api.address import Address
from api.app import App
from api.config import load
from api.server.drain import Drain
from api.server.listen import open_listener
from engine.seal import MasterKey
from tests.api.desk import open_desk


@asynccontextmanager
async def composed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    """Give the app of the composition root for the length of a block."""
    made: list[App] = []
    held, done = trio.Event(), trio.Event()

    def keep(**options: Any) -> App:
        made.append(App(**options))
        return made[0]

    async def hold(*_: Any) -> None:
        held.set()
        await done.wait()

    monkeypatch.setattr(serve, "App", keep)
    monkeypatch.setattr(serve, "_serve_web", hold)
    listener = open_listener(Address.at(0))
    plan = serve.Plan(
        config=load(flags={}, environ={}),
        demo=False,
        data_dir=tmp_path,
        keys=(MasterKey(b"m" * 32),),
        sockets=(listener,),
        tls=None,
        open_desk=open_desk,  # type: ignore[arg-type]
    )
    with listener:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve._serve, plan, Drain())
            await held.wait()
            yield made[0]
            done.set()
