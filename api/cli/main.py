"""The command line: `mooring serve`, and `drain`, `key`, `partner` and `store` for its keeper."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path

import click

from actors.browser.family import open_browser_sessions
from api.cli.drain import drain
from api.cli.key import key
from api.cli.options import config_file
from api.cli.partner import partner
from api.cli.store import store
from api.config import load
from api.serve import run
from api.settings import StartError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("mooring"), prog_name="mooring", message="%(prog)s %(version)s")
def main() -> None:
    """Keep logged-in browser sessions alive, and reuse them over REST."""


main.add_command(drain)
main.add_command(key)
main.add_command(partner)
main.add_command(store)


@main.command()
@click.option("--demo", is_flag=True, help="Also serve a portal and a captcha server to try it on.")
@click.option(
    "--bind",
    metavar="ADDR",
    multiple=True,
    help="Where to listen, as 127.0.0.1:5010; may be given several times.",
)
@config_file
def serve(*, demo: bool, bind: tuple[str, ...], file: Path | None) -> None:
    """Serve until SIGTERM or SIGINT.

    Exits with 0 after a clean stop, 2 when a setting is wrong, 1 when anything else is.
    """
    try:
        config = load(flags={"bind": bind}, environ=os.environ, file=file)
        code = run(config, demo=demo, open_desk=open_browser_sessions)
    except StartError as error:
        click.echo(f"mooring: {error}", err=True)
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
