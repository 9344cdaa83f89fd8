"""How an actor is supervised: the child specification, as data."""

from __future__ import annotations

from enum import Enum
from typing import Final

import msgspec


class Restart(Enum):
    """When an actor that has ended is started again (Erlang/OTP's terms)."""

    PERMANENT = "permanent"
    """Always, also when it stopped by itself."""
    TRANSIENT = "transient"
    """After a crash."""
    TEMPORARY = "temporary"
    """Never."""


class ActorPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor holds an actor to.

    At most `max_restarts` within `restart_window_s`; one more and the supervisor gives up. Before
    restart n it waits `backoff_s * 2**(n-1)`, at most `backoff_max_s`, of which up to half is
    jitter.
    """

    restart: Restart = Restart.TEMPORARY
    max_restarts: int = 3
    restart_window_s: float = 30.0
    backoff_s: float = 0.1
    backoff_max_s: float = 5.0
    inbox_capacity: int = 1024
    start_timeout_s: float = 30.0
    stop_timeout_s: float = 10.0

    def backoff(self, restart: int, jitter: float) -> float:
        """Return how long to wait before the `restart`-th restart, `jitter` in [0, 1)."""
        full = min(self.backoff_s * 2.0 ** (restart - 1), self.backoff_max_s)
        return full * (1.0 - jitter / 2)


DEFAULT_POLICY: Final = ActorPolicy()
