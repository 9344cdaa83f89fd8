"""Which browser sessions are this server's, where several servers share one store.

A session is owned by the server whose registry has it, live or waiting, from its first commit until
it has ended, is given up in order, or is lost. Where nobody else can have the store open all are
ours, under the epoch of this start, and nothing is taken.
"""

from __future__ import annotations

from actors.browser.place import stream_of
from engine.durable import Log
from engine.ownership import Ownership, Tenure


class Tenures:
    """The tenures of one server's browser sessions, by session."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._held: dict[str, Tenure] = {}

    @property
    def _ownership(self) -> Ownership | None:
        return None if self._log.store.exclusive else self._log.ownership

    async def take(self, session_id: str) -> Tenure | None:
        """Take a session; returns the tenure whose scope is to be lived in, None where none is.

        Raises:
            NotOwner: another server has it.
            StoreUnavailable: nobody can say.
        """
        if self._ownership is None:
            return None
        tenure = await self._ownership.take(stream_of(session_id))
        self._held[session_id] = tenure
        return tenure

    def may_write(self, session_id: str, *, epoch: int | None = None) -> bool:
        """Tell whether what is known of a session is still the truth; as it was under `epoch`."""
        if self._ownership is None:
            return True
        tenure = self._held.get(session_id)
        return tenure is not None and epoch in (None, tenure.epoch)

    def epoch_of(self, session_id: str) -> int:
        """Return what commits of a session are written under."""
        tenure = self._held.get(session_id)
        return self._log.epoch if tenure is None else tenure.epoch

    def has(self, session_id: str, tenure: Tenure) -> bool:
        """Tell whether a session is held by this very tenure."""
        return self._held.get(session_id) is tenure

    def let_go(self, session_id: str) -> None:
        """Give a session up; others may take it very soon."""
        tenure = self._held.pop(session_id, None)
        if tenure is not None and self._ownership is not None:
            self._ownership.let_go(tenure)
            tenure.scope.cancel()  # nobody need live in it any more

    def lose(self, session_id: str) -> None:
        """Take note that a session is another server's, or may be."""
        tenure = self._held.pop(session_id, None)
        if tenure is not None and self._ownership is not None:
            self._ownership.lost(tenure)
