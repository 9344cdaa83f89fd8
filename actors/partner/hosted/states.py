"""The states of a hosted session, and which may follow which: a table that a test walks.

Laws of this file: nothing follows an end. What is `processing` can be neither cancelled nor expire:
the visitor has done everything and has been told that it is under way.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class State(StrEnum):
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


NEXT: Final[Mapping[State, frozenset[State]]] = {
    State.PENDING: frozenset({State.IN_PROGRESS, State.CANCELLED, State.EXPIRED}),
    State.IN_PROGRESS: frozenset({State.PROCESSING, State.CANCELLED, State.EXPIRED}),
    State.PROCESSING: frozenset({State.COMPLETED, State.FAILED}),
    State.COMPLETED: frozenset(),
    State.FAILED: frozenset(),
    State.EXPIRED: frozenset(),
    State.CANCELLED: frozenset(),
}

ENDS: Final = frozenset(state for state, following in NEXT.items() if not following)
UNFINISHED: Final = frozenset(NEXT) - ENDS
# What time, or a person who changes their mind, can still end.
OPEN: Final = frozenset({State.PENDING, State.IN_PROGRESS})
