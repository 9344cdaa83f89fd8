"""`python -m benchmarks NAME…`: run benchmarks, print their tables, write `results/NAME.json`."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from typing import Any, Final

import trio

from benchmarks.report import Table, report

BENCHMARKS: Final = {
    "engine": "tells, asks, spawns and bytes of an actor, beside a bare channel and Pykka",
    "browser": "reusing and creating a session beside a bare script, and memory",
    "streams": "deliveries to many subscribers, lateness, memory, beside broadcasts without a log",
    "partner": "creates of hosted sessions beside a bare route, lists, first paint, a login flood",
    "sleeper": "a thousand subscribers of which one reads nothing for 45 s",
    "store": "the durable log beside one commit per event, idle and busy",
    "restoring": "ten browser sessions back after kill -9, beside logging in again",
    "streams_core": "fan-out inside the process: a cursor each beside one pump for all",
}
"""Each is a module of this package with `measure`, which returns tables or rows of one, or with
`main`, which prints what it finds itself; either may be async."""


def main(names: list[str]) -> int:
    """Run the benchmarks of those names; return the exit status."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if not names or unknown:
        print(*(f"no benchmark is called {name}" for name in unknown), sep="\n", file=sys.stderr)
        width = max(map(len, BENCHMARKS))
        print("usage: python -m benchmarks NAME…\n", file=sys.stderr)
        for name, what in BENCHMARKS.items():
            print(f"  {name:{width}}  {what}", file=sys.stderr)
        return 2
    for name in names:
        _run(name)
    return 0


def _run(name: str) -> None:
    module = import_module(f"benchmarks.{name}")
    found = _call(module.measure if hasattr(module, "measure") else module.main)
    if found is not None:
        print(f"written to {report(name, _tables(name, found)).name}")


def _call(run: Any) -> Any:
    return trio.run(run) if inspect.iscoroutinefunction(run) else run()


def _tables(name: str, found: Any) -> list[Table]:
    if isinstance(found, dict):
        return [Table(title=name, unit="see row", rows=found)]
    return list(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
