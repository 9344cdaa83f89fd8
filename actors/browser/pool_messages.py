"""Everything that can be said to the pool of contexts, and what it says to their owners.

Laws of this file: frozen, keyword-only, tagged. A ref is an address, not a live object.
"""

from __future__ import annotations

import msgspec

from engine import ActorRef


class TakeContext(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask for a fresh context; answered with its id once it is there.

    `owner` hears `ContextLost` when the connection to it is lost, for as long as it has it.
    """

    owner: ActorRef


class ReturnContext(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signal: it is not needed any more, whatever state it is in."""

    context_id: str


class RegainContext(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask, after `ContextLost`, whether it is there again; waits while that is not known."""

    context_id: str


class ContextLost(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signalled to the owner: the connection to the context is lost, perhaps its Chromium too."""

    context_id: str


class PoolStatistics(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What the pool has: processes, contexts in use, whether a warm one waits.

    Attributes:
        waiting: sessions that wait for a context.
        failing: why no Chromium could be launched lately; empty when the last one was of use, and
            while a spare context waits, since then nobody is held up by it.
    """

    processes: int
    contexts: int
    spare: bool
    waiting: int
    failing: str = ""


class AskPoolStatistics(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask for `PoolStatistics`."""
