"""How often a fault is tried: a few times in `make test`, more where somebody asks for it."""

from __future__ import annotations

import os
from typing import Final

ROUNDS: Final = int(os.environ.get("MOORING_FAULT_ROUNDS", "3"))
