"""Starts the demo beside the server, as the portal and the captcha service are in earnest."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from api.demo.run import DemoUrls
from api.settings import StartError

_START_S: Final = 20.0
_END_S: Final = 2.0
_COMMAND: Final = (sys.executable, "-m", "api.demo")


@asynccontextmanager
async def open_demo_process(remember: Path | None = None) -> AsyncIterator[DemoUrls]:
    """Serve the demo from a process of its own until the scope ends.

    In the server's own process every page of the portal would take its turn with the engine. The
    demo ends when the pipe to it closes, so it does not outlive a server that is killed.

    Args:
        remember: a file of its own that it goes on from; None begins anew.

    Raises:
        StartError: it did not start.
    """
    arguments = () if remember is None else (str(remember),)
    process = await trio.lowlevel.open_process(
        (*_COMMAND, *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield await _read_urls(process)
    finally:
        with trio.CancelScope(shield=True):
            await _end(process)


async def _read_urls(process: trio.Process) -> DemoUrls:
    assert process.stdout is not None  # noqa: S101 - it was asked for
    line = b""
    with trio.move_on_after(_START_S):
        while not line.endswith(b"\n"):
            part = await process.stdout.receive_some()
            if not part:
                break
            line += part
    urls = line.decode().split()
    if len(urls) != len(DemoUrls._fields):
        raise StartError("the demo did not start; its own words are above")
    return DemoUrls(*urls)


async def _end(process: trio.Process) -> None:
    assert process.stdin is not None  # noqa: S101 - it was asked for
    assert process.stdout is not None  # noqa: S101 - likewise
    await process.stdin.aclose()
    await process.stdout.aclose()
    with trio.move_on_after(_END_S):
        await process.wait()
    if process.poll() is None:
        process.kill()
        await process.wait()
