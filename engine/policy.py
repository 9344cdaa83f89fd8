"""How an actor is supervised: the child specification, as data, and what follows from it."""

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


_DOUBLINGS: Final = 64  # of the back-off; more would leave the range of a float one day


class ActorPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor holds an actor to.

    At most `max_restarts` within `restart_window_s`; one more and the supervisor gives up. Before
    restart n it waits `backoff_s * 2**(n-1)`, at most `backoff_max_s`, of which up to half is
    jitter.

    Raises:
        ValueError: an inbox without room for one message.
    """

    restart: Restart = Restart.TEMPORARY
    max_restarts: int = 3
    restart_window_s: float = 30.0
    backoff_s: float = 0.1
    backoff_max_s: float = 5.0
    inbox_capacity: int = 1024
    start_timeout_s: float = 30.0
    stop_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if self.inbox_capacity < 1:
            raise ValueError(f"inbox_capacity is {self.inbox_capacity}, and must be at least 1")

    def restarts_after(self, crash: Exception | None) -> bool:
        """Return whether an actor that ended with `crash`, or by itself, is started again."""
        match self.restart:
            case Restart.PERMANENT:
                return True
            case Restart.TRANSIENT:
                return crash is not None
            case Restart.TEMPORARY:
                return False

    def backoff(self, restart: int, jitter: float) -> float:
        """Return how long to wait before the `restart`-th restart, `jitter` in [0, 1)."""
        full = min(self.backoff_s * 2.0 ** min(restart - 1, _DOUBLINGS), self.backoff_max_s)
        return full * (1.0 - jitter / 2)


class RestartHistory:
    """When an actor was restarted, as far back as its policy looks."""

    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at: tuple[float, ...] = ()

    def next_delay(self, policy: ActorPolicy, now: float, jitter: float) -> float | None:
        """Note a restart at `now`, and return how long to wait before it; None if one too many."""
        recent = tuple(at for at in self._at if now - at <= policy.restart_window_s)
        if len(recent) >= policy.max_restarts:
            return None
        self._at = (*recent, now)
        return policy.backoff(len(self._at), jitter)


DEFAULT_POLICY: Final = ActorPolicy()
