"""A run repeats from its seed: on the spot, and in another process."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.engine.replay import allow_determinism, repeatable_trace

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def quiet_and_deterministic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    runner = trio._core._run
    monkeypatch.setattr(
        runner, "_ALLOW_DETERMINISTIC_SCHEDULING", runner._ALLOW_DETERMINISTIC_SCHEDULING
    )
    allow_determinism()
    state = runner._r.getstate()
    monkeypatch.setattr(logging.getLogger("mooring.engine"), "disabled", True)
    yield
    runner._r.setstate(state)


def test_seeded_runs_repeat_step_by_step() -> None:
    differing = 0
    for seed in range(100):
        trace = repeatable_trace(seed)
        assert trace == repeatable_trace(seed), seed
        differing += trace != repeatable_trace(seed, schedule=1)
    # Scheduling is part of what repeats: under another the same programs go other ways.
    assert differing > 10


def test_seeded_runs_repeat_in_other_processes_whatever_their_hash_seeds() -> None:
    outputs = {_run_in_process(hash_seed) for hash_seed in ("0", "1", "4711")}
    assert len(outputs) == 1
    events = int(outputs.pop().split()[0])
    assert events > 1000


def _run_in_process(hash_seed: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "tests.engine.replay", "0", "150"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout
