"""Which Chromium takes the next context, when to launch another, and which may go.

Laws of this file: it awaits nothing and reads no clock; what it decides is carried out by the pool.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class PlacementSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and seconds.

    A Chromium that has served `recycle_contexts`, or has run for `recycle_s`, takes no new contexts
    and goes when its last one does: the memory of a browser that runs for weeks only grows.
    """

    per_process: int
    capacity: int
    recycle_contexts: int = 200
    recycle_s: float = 6 * 3600.0


class Process(msgspec.Struct, kw_only=True):
    """What the pool knows of one Chromium.

    Attributes:
        up: the driver is connected to it.
        opening: contexts that have been asked for and are not there yet.
        contexts: those that are there, in order of their making.
        served: how many it has ever been asked for.
        proven: it has opened one.
        failing: it could not open one.
        born_at: on trio's clock.
    """

    address: str
    born_at: float
    up: bool = False
    opening: int = 0
    served: int = 0
    proven: bool = False
    failing: bool = False
    contexts: dict[str, None] = msgspec.field(default_factory=dict)

    @property
    def load(self) -> int:
        return self.opening + len(self.contexts)


class Placement:
    """Decisions over the table of processes."""

    def __init__(self, settings: PlacementSettings) -> None:
        self.settings = settings

    def retiring(self, process: Process, now: float) -> bool:
        """Tell whether it takes no new contexts any more."""
        settings = self.settings
        worn = process.failing or process.served >= settings.recycle_contexts
        return worn or now - process.born_at >= settings.recycle_s

    def choose(self, processes: Iterable[Process], now: float) -> Process | None:
        """Return the process for the next context: a running one, the fullest that has room."""
        candidates = [it for it in self._open(processes, now) if it.up]
        return max(candidates, key=lambda it: it.load, default=None)

    def room(self, processes: Iterable[Process], now: float) -> int:
        """How many more contexts the processes can take, once those that start are up."""
        return sum(self.settings.per_process - it.load for it in self._open(processes, now))

    def launches(self, contexts: int) -> int:
        """How many processes to launch for contexts that find no room."""
        return max(0, -(-contexts // self.settings.per_process))

    def wants_spare(
        self, processes: Iterable[Process], *, used: int, waiting: int, now: float
    ) -> bool:
        """Tell whether a warm context should be kept.

        At full capacity only where a Chromium has room anyway: none is launched for it.

        Args:
            used: contexts that are taken or wanted.
            waiting: those among the wanted that no process has been asked for yet.
        """
        return used < self.settings.capacity or self.room(processes, now) > waiting

    def superfluous(
        self, processes: Iterable[Process], *, spare: bool, now: float
    ) -> list[Process]:
        """Return the empty processes that can go: worn out, or not needed for the next context.

        Args:
            spare: the next context is there already.
        """
        found: list[Process] = []
        provided = spare
        for process in sorted(processes, key=lambda it: -it.load):
            is_open = process in self._open([process], now)
            if process.up and not process.load and (not is_open or provided):
                found.append(process)
            provided |= is_open
        return found

    def _open(self, processes: Iterable[Process], now: float) -> list[Process]:
        return [
            it
            for it in processes
            if it.load < self.settings.per_process and not self.retiring(it, now)
        ]
