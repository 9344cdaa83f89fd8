"""A chart of sessions by day: bars on a plane of whole units, and the same in words.

Laws of this file: pure. The bars of a day stand on one another, and the highest day fills the
height.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final, Literal, TypeAlias

import msgspec

from api.dashboard.activity import Counts

Kind: TypeAlias = Literal["completed", "failed", "other"]

_SLOT: Final = 20
_GAP: Final = 3
_HEIGHT: Final = 120


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """A rectangle of the chart; y grows downwards."""

    kind: Kind
    x: int
    y: float
    width: int
    height: float


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """A day's bars, and what they say."""

    name: str
    says: str
    created: int
    completed: int
    failed: int
    bars: tuple[Bar, ...]


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A chart; `top` is what its height stands for."""

    days: tuple[Day, ...]
    top: int
    width: int
    height: int
    summary: str


def draw(days: Sequence[tuple[date, Counts]]) -> Chart:
    """Return the chart of these days, the oldest first."""
    top = _round_up(max(counts.created for _, counts in days))
    drawn = tuple(_day(at, when, counts, top) for at, (when, counts) in enumerate(days))
    return Chart(
        days=drawn,
        top=top,
        width=_SLOT * len(days),
        height=_HEIGHT,
        summary=_summary(days),
    )


def _day(at: int, when: date, counts: Counts, top: int) -> Day:
    bars, below = [], 0.0
    for kind, count in _stack(counts):
        height = round(_HEIGHT * count / top, 2)
        below += height
        if count:
            y = round(_HEIGHT - below, 2)
            bar = Bar(kind=kind, x=at * _SLOT + _GAP, y=y, width=_SLOT - 2 * _GAP, height=height)
            bars.append(bar)
    name = _name(when)
    return Day(
        name=name,
        says=f"{name}: {counts.created} created, {counts.completed} completed, "
        f"{counts.failed} failed",
        created=counts.created,
        completed=counts.completed,
        failed=counts.failed,
        bars=tuple(bars),
    )


def _stack(counts: Counts) -> tuple[tuple[Kind, int], ...]:
    other = counts.created - counts.completed - counts.failed
    return ("completed", counts.completed), ("failed", counts.failed), ("other", other)


def _summary(days: Sequence[tuple[date, Counts]]) -> str:
    total = sum(counts.created for _, counts in days)
    if total == 0:
        return "No session was created."
    best, counts = max(days, key=lambda day: day[1].created)
    sessions = "session" if total == 1 else "sessions"
    return f"{total} {sessions} created, most on {_name(best)}: {counts.created}."


def _name(when: date) -> str:
    return f"{when.day} {when:%b}"


def _round_up(count: int) -> int:
    """Return the next number that reads well on an axis: 4, 10, 20, 40, 100 …"""
    top = 4
    while top < count:
        # 4 → 10 → 20 → 40
        top = top * 5 // 2 if str(top).startswith("4") else top * 2
    return top
