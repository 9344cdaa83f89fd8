"""What is wrong with the server, if anything, decided from its readings.

Laws of this file: pure. What it says is for everybody who may ask `/health`, so it holds words of
ours only, and nothing that a session, a client or a portal has said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from math import inf
from typing import Final, Literal, TypeAlias

import msgspec

from actors.browser.statistics import BrowserStatistics
from engine.store import StoreStatistics

Status: TypeAlias = Literal["healthy", "degraded", "unhealthy"]

# A batch that failed longer ago says nothing of the next one; somebody has to be let through.
_STORE_FAILED_S: Final = 15.0
_LOOP_DELAY_S: Final = 1.0
_CRASHES_WITHIN_S: Final = 300.0
_MANY_CRASHES: Final = 3


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong.

    Attributes:
        severe: the server cannot do what it is for.
    """

    code: str
    message: str
    severe: bool = False


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the diagnosis is made from.

    Attributes:
        now: on trio's clock.
        store: None where nothing is kept.
        browser: None when the family does not answer.
        loop_delay_s: the longest of the last half minute.
        crashes: browser sessions that crashed within the last five minutes.
    """

    now: float
    store: StoreStatistics | None
    browser: BrowserStatistics | None
    loop_delay_s: float
    crashes: int = 0


def status_of(problems: tuple[Problem, ...]) -> Status:
    """Return the word for what was found."""
    if any(problem.severe for problem in problems):
        return "unhealthy"
    return "degraded" if problems else "healthy"


def diagnose(facts: Facts) -> tuple[Problem, ...]:
    """Return what is wrong, the worst first."""
    found = (*_of_store(facts), *_of_browsers(facts), *_of_loop(facts))
    return tuple(sorted(found, key=lambda problem: not problem.severe))


def store_problem(store: StoreStatistics, now: float) -> Problem | None:
    """Return why the store takes nothing, if that is so."""
    if store.refusing is not None:
        text = "The store takes nothing more until the server is started again"
        return Problem(code="store_stopped", message=f"{text}: {store.refusing}", severe=True)
    if store.failing is not None and now - store.failed_at < _STORE_FAILED_S:
        text = f"The store could not take the newest events: {store.failing}"
        return Problem(code="store_failing", message=text, severe=True)
    return None


def _of_store(facts: Facts) -> Iterator[Problem]:
    problem = None if facts.store is None else store_problem(facts.store, facts.now)
    if problem is not None:
        yield problem
    if facts.store is not None and facts.store.damage is not None:
        text = f"A part of the database cannot be read: {facts.store.damage}"
        yield Problem(code="store_damaged", message=text)


def _of_browsers(facts: Facts) -> Iterator[Problem]:
    found = facts.browser
    if found is None:
        text = "The registry of browser sessions does not answer"
        yield Problem(code="registry_silent", message=text, severe=True)
        return
    if found.pool.failing:
        text = "Chromium cannot be started; the log says why"
        yield Problem(code="chromium_unavailable", message=text)
    if facts.crashes >= _MANY_CRASHES:
        text = f"{facts.crashes} browser sessions have crashed within five minutes"
        none_lives = not any(found.sessions.get(each) for each in ("live", "in_use", "refreshing"))
        yield Problem(code="sessions_crash", message=text, severe=none_lives)


def _of_loop(facts: Facts) -> Iterator[Problem]:
    if facts.loop_delay_s >= _LOOP_DELAY_S:
        text = f"The event loop was held up for {facts.loop_delay_s:.1f} s; the machine is too busy"
        yield Problem(code="loop_delayed", message=text)


class CrashWatch:
    """Turns a count that only grows into how much it grew lately; asked every few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque([(-inf, 0)])  # when each count was first seen

    def lately(self, count: int, now: float) -> int:
        """Return by how much the count has grown within the last five minutes."""
        if self._seen[-1][1] != count:
            self._seen.append((now, count))
        while len(self._seen) > 1 and self._seen[1][0] <= now - _CRASHES_WITHIN_S:
            self._seen.popleft()
        return count - self._seen[0][1]
