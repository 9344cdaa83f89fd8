"""`mooring key`: look after the master key of a server that does not run."""

from __future__ import annotations

import os
from pathlib import Path

import click

from api.cli.options import config_file
from api.cli.store import or_exit
from api.config import load
from api.datadir import hold_data_dir
from api.rotation import Rotated, rotate
from engine.clock import SystemClock


@click.group()
def key() -> None:
    """Look after the master key that seals secrets. The server must not run meanwhile."""


@key.command("rotate")
@config_file
def rotate_key(*, file: Path | None) -> None:
    """Put a new master key in place of the old one, and seal everything anew.

    With MOORING_KEY=<new>,<old> everything is sealed anew under the first one. Interrupted, it can
    be run again. Exports and backups from before need the old key: keep it as long as them.

    Exits with 0 when all is well, 2 when a setting is wrong, 1 when anything else is.
    """

    async def run() -> Rotated:
        settings = load(flags={}, environ=os.environ, file=file).settings
        with hold_data_dir(Path(settings.data_dir)) as data_dir:
            return await rotate(settings, data_dir, SystemClock())

    for line in said(or_exit(run)):
        click.echo(line, err=True)


def said(done: Rotated) -> list[str]:
    """Return what is to be told of a rotation."""
    anew = ", ".join(f"{count} {kind}" for kind, count in done.changed.items()) or "nothing"
    lines = [f"sealed anew under key {done.key_id}: {anew}"]
    if done.unneeded:
        gone = "may be taken out of MOORING_KEY now" if done.given else "removed"
        lines.append(f"no longer needed, {gone}: {', '.join(done.unneeded)}")
    for key_id, kinds in done.needed.items():
        lines.append(f"kept, still needed by {', '.join(kinds)}: {key_id}")
    return lines
