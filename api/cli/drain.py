"""`mooring drain`: let the server of a data directory finish what runs, and see it end."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import click
import httpx
import trio

from api.cli.options import config_file
from api.config import load
from api.datadir import Holder, find_holder
from api.serve import CLEANUP_S
from api.settings import StartError

# Beyond what the server allows itself: for its last lines, and a busy machine.
_MARGIN_S: Final = 10.0
_TELL_EVERY_S: Final = 1.0


@click.command()
@config_file
def drain(*, file: Path | None) -> None:
    """Let the server finish what it does, take nothing new, and end.

    Finds it by its data directory, tells what it still waits for, and returns when it has ended:
    with 0, with 1 when it has not ended in time or none runs, with 2 when a setting is wrong.
    """
    try:
        settings = load(flags={}, environ=os.environ, file=file).settings
        holder = _holder_of(Path(settings.data_dir).absolute())
        trio.run(_drain, holder, settings.drain_s + CLEANUP_S + _MARGIN_S)
    except StartError as error:
        click.echo(f"mooring: {error}", err=True)
        sys.exit(error.exit_code)


def _holder_of(folder: Path) -> Holder:
    holder = find_holder(folder)
    if holder is None:
        raise StartError(f"no server runs on {folder}")
    return holder


async def _drain(holder: Holder, within_s: float) -> None:
    """Ask the process to end, and return when it has.

    Raises:
        StartError: it cannot be asked, or has not ended in time.
    """
    began = trio.current_time()
    try:
        # A handle first: once the process has ended, its number may be another one's.
        handle = os.pidfd_open(holder.pid)
        signal.pidfd_send_signal(handle, signal.SIGTERM)
    except ProcessLookupError:
        return
    except PermissionError:
        raise StartError(f"process {holder.pid} is another user's; drain it as that one") from None
    with trio.move_on_after(within_s) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_tell, holder, began)
            await trio.lowlevel.wait_readable(handle)
            nursery.cancel_scope.cancel()
    os.close(handle)
    if scope.cancelled_caught:
        hint = "a second SIGTERM ends it at once"
        raise StartError(f"process {holder.pid} still runs after {within_s:g} s; {hint}")
    click.echo(f"ended after {trio.current_time() - began:.1f} s", err=True)


async def _tell(holder: Holder, began: float) -> None:
    """Say what is still going on, each second, until cancelled."""
    async with httpx.AsyncClient(trust_env=False, verify=False) as http:  # noqa: S501 - no secret
        while True:
            await trio.sleep(_TELL_EVERY_S)
            waited = f"draining process {holder.pid}: {trio.current_time() - began:.0f} s"
            click.echo(f"{waited}{await _in_use(http, holder)}", err=True)


async def _in_use(http: httpx.AsyncClient, holder: Holder) -> str:
    """Return what the server says of itself, if it says anything."""
    if holder.url is None:
        return ""
    try:
        answer = await http.get(f"{holder.url}/health", timeout=_TELL_EVERY_S)
        said: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError):
        return ""
    parts = [f"{said[name]} {text}" for name, text in _SAID.items() if said.get(name)]
    return "".join(f", {part}" for part in parts)


_SAID: Final = {"in_use": "sessions in use", "replies": "replies being written"}
