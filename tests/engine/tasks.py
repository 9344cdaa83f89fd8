"""Which tasks live in this run."""

from __future__ import annotations

from collections.abc import Iterator

import trio


def living_tasks() -> frozenset[trio.lowlevel.Task]:
    """Return every task of this run but Trio's own."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    return frozenset(_below(root))


def _below(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield child
            yield from _below(child)
