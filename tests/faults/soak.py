"""`make soak`: every fault, thirty rounds of each, again and again with other seeds, for so long.

Usage: python -m tests.faults.soak [MINUTES]. It stops by itself: no run is begun after that time,
and the exit code is 1 when any has failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import msgspec

_ROUNDS: Final = 30
_ROOT: Final = Path(__file__).parents[2]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One pass over all faults."""

    seed: int
    seconds: float
    passed: int
    failed: tuple[str, ...]
    counts: tuple[str, ...]


def run_once(seed: int, rounds: int) -> Run:
    """Try every fault, with moments drawn from `seed`."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mooring-soak-") as folder:
        results, report = Path(folder) / "results.xml", Path(folder) / "report"
        report.touch()
        env = os.environ | {
            "MOORING_FAULT_ROUNDS": str(rounds),
            "MOORING_FAULT_SEED": str(seed),
            "MOORING_FAULT_REPORT": str(report),
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, f"--junitxml={results}", "tests/faults"], cwd=_ROOT, env=env, check=False
        )
        passed, failed = _read(results)
        if done.returncode and not failed:
            failed = (f"pytest ended with {done.returncode}",)
        counts = tuple(report.read_text().splitlines())
    seconds = time.monotonic() - began
    return Run(seed=seed, seconds=seconds, passed=passed, failed=failed, counts=counts)


def _read(results: Path) -> tuple[int, tuple[str, ...]]:
    """Return how many tests passed, and which did not."""
    if not results.exists():
        return 0, ()
    failed, passed = [], 0
    for case in ElementTree.parse(results).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(f"{case.get('classname')}::{case.get('name')}")
        else:
            passed += 1
    return passed, tuple(failed)


def report(runs: list[Run]) -> str:
    """Return what the runs have come to, for people."""
    lines = ["", "== soak"]
    for run in runs:
        lines.append(
            f"seed {run.seed}: {run.passed} passed, {len(run.failed)} failed, {run.seconds:.0f} s"
        )
        lines += [f"  {count}" for count in run.counts]
    failures = Counter(name for run in runs for name in run.failed)
    lines += [f"FAILED {count} of {len(runs)} times: {name}" for name, count in failures.items()]
    passed, failed = sum(run.passed for run in runs), sum(len(run.failed) for run in runs)
    return "\n".join([*lines, f"{passed} passed, {failed} failed"])


def main() -> int:
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 30.0
    until = time.monotonic() + 60 * minutes
    rounds = int(os.environ.get("MOORING_FAULT_ROUNDS", _ROUNDS))
    seed = int(os.environ.get("MOORING_FAULT_SEED", "1"))
    runs: list[Run] = []
    while not runs or time.monotonic() < until:
        runs.append(run_once(seed + len(runs), rounds))
    print(report(runs), flush=True)
    return int(any(run.failed for run in runs))


if __name__ == "__main__":
    sys.exit(main())
