"""The audit log: what was done to the store itself, by whom, when and how much; never whose it was.

It is in the log as everything is, a stream for each start of a server or of a command, named
`audit/<epoch>`: nobody else writes to it, so it needs no owner. Nothing erases it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import trio

from engine.clock import Clock, timestamp
from engine.store import CatalogueRow, Commit, Event, Store, milliseconds

KIND: Final = "audit"
_OWNER: Final = "mooring"
_STATUS: Final = "kept"


class AuditLog:
    """Writes one start's audit events.

    Args:
        epoch: the writer's, and no one else's.
    """

    def __init__(self, store: Store, *, epoch: int, clock: Clock) -> None:
        self.stream = f"{KIND}/{epoch}"
        self._store = store
        self._epoch = epoch
        self._clock = clock
        self._seq = 0
        self._created_at_ms = milliseconds(clock.now())
        self._writing = trio.Lock()

    async def write(self, event: str, data: Mapping[str, Any]) -> None:
        """Make an event durable; `data` holds nothing that is about a person.

        Raises:
            StoreError: it is not written, or nobody knows.
        """
        async with self._writing:
            now = self._clock.now()
            seq, at_ms = self._seq + 1, milliseconds(now)
            frame = {"seq": seq, "type": event, "at": timestamp(now), "data": data}
            body = msgspec.json.encode(frame)
            await self._store.commit(
                Commit(
                    stream=self.stream,
                    epoch=self._epoch,
                    expected_seq=self._seq,
                    events=[Event(seq=seq, type=event, at_ms=at_ms, body=body)],
                    row=CatalogueRow(
                        owner=_OWNER,
                        status=_STATUS,
                        created_at_ms=self._created_at_ms,
                        updated_at_ms=at_ms,
                    ),
                )
            )
            self._seq = seq
