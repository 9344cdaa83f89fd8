"""Runs seeded programs so that they repeat, and prints what their traces amount to.

As a script: `python -m tests.engine.replay FIRST LAST`.
"""

from __future__ import annotations

import hashlib
import logging
import sys
from random import Random  # noqa: TID251 - seeded

import trio

from tests.engine.programs import random_program
from tests.engine.stage import Trace, run


def repeatable_trace(seed: int, *, schedule: int = 0) -> Trace:
    """Run the program of `seed` under the scheduling of `schedule`; needs `allow_determinism`."""
    trio._core._run._r.seed(schedule)  # type: ignore[attr-defined]
    return run(random_program(Random(seed)))


def allow_determinism() -> None:
    """Let Trio order each batch of tasks by their age before it shuffles them."""
    trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[attr-defined]


def main(first: int, last: int) -> None:
    logging.getLogger("mooring.engine").disabled = True
    allow_determinism()
    traces = [repeatable_trace(seed) for seed in range(first, last)]
    print(sum(map(len, traces)), hashlib.sha256(repr(traces).encode()).hexdigest())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
