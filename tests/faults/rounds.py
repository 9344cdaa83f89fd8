"""How often a fault is tried, by which chance, and where its counts go.

A few rounds of one seed in `make test`; more, of other seeds, where somebody asks for it.
"""

from __future__ import annotations

import os
import random  # noqa: TID251 - a seed, so that a failure repeats
from pathlib import Path
from typing import Final

ROUNDS: Final = int(os.environ.get("MOORING_FAULT_ROUNDS", "3"))
SEED: Final = int(os.environ.get("MOORING_FAULT_SEED", "11"))
_REPORT: Final = os.environ.get("MOORING_FAULT_REPORT")


def chance(of: str) -> random.Random:
    """Return what a fault's moments are drawn from: the same for the same seed."""
    return random.Random(f"{SEED} {of}")


def tell(counts: str) -> None:
    """Print what a fault's rounds have come to, and add it to the report that is being written."""
    print(counts)
    if _REPORT is not None:
        with Path(_REPORT).open("a") as file:
            file.write(counts + "\n")
