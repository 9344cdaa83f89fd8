"""`mooring partner rotate-signing-key`: another key for receipts, while no server runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

import click

from actors.partner.hosted import SigningKeys
from actors.partner.tenants.principal import ENVIRONMENTS, Environment
from api import log
from api.cli.options import config_file
from api.cli.store import or_exit
from api.config import load
from api.datadir import hold_data_dir
from api.keyfile import master_keys
from api.storage import open_store
from engine.clock import SystemClock
from engine.seal import Sealer


@click.command("rotate-signing-key")
@click.option(
    "--environment",
    type=click.Choice(list(ENVIRONMENTS)),
    required=True,
    help="Whose receipts are signed with another key from now on.",
)
@config_file
def rotate_signing_key(*, environment: str, file: Path | None) -> None:
    """Sign receipts with a new key. The server must not run meanwhile.

    The key before stays at /.well-known/jwks.json for as long as a receipt of its is good.
    """

    async def run() -> str:
        log.configure()
        settings, clock = load(flags={}, environ=os.environ, file=file).settings, SystemClock()
        with hold_data_dir(Path(settings.data_dir)) as data_dir:
            sealer = Sealer(master_keys(settings.key, data_dir, clock), clock)
            async with open_store(settings.store, data_dir=data_dir, clock=clock) as store:
                epoch = await store.begin_epoch()
                keys = SigningKeys(store, epoch=epoch, sealer=sealer, clock=clock)
                return (await keys.rotate(cast("Environment", environment))).key_id

    click.echo(f"key {or_exit(run)}")
