"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

config_file: Final = click.option(
    "--config",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Settings, in place of mooring.toml.",
)
