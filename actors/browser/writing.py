"""Writing what waits of browser sessions: a commit for each, all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog
import trio

from actors.browser.errors import NotWritten
from actors.browser.outbox import Outbox
from actors.browser.place import Change, Place, commit_of, stream_of
from actors.browser.saved import Vault
from actors.browser.tenures import Tenures
from engine import Clock, Reply
from engine.durable import Log
from engine.errors import AliasTaken, CommitRefused, StoreError
from engine.ownership import Tenure
from engine.store import Commit, milliseconds

_LOG: Final = structlog.get_logger("mooring.browser")


class Writer:
    """Brings an outbox to the log; one task at a time may do so.

    Args:
        places: what the store has of each session, kept up to date.
        on_taken: called with a session that has become ours with its first commit, and its tenure.
        on_lost: called with a session that is another server's by now.
    """

    def __init__(
        self,
        log: Log,
        clock: Clock,
        vault: Vault | None,
        *,
        places: dict[str, Place],
        outbox: Outbox,
        tenures: Tenures,
        on_taken: Callable[[str, Tenure | None], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._log = log
        self._clock = clock
        self._vault = vault
        self._places = places
        self._outbox = outbox
        self._tenures = tenures
        self._on_taken = on_taken
        self._on_lost = on_lost

    async def write(self, *, with_uses: bool) -> None:
        """Write what waits, a commit for each session: first those that end and set names free."""
        changes, replies = self._outbox.take(with_uses=with_uses)
        failures: list[StoreError] = []
        for closing in (True, False):
            async with trio.open_nursery() as nursery:
                for change in changes:
                    if (change.now.status == "closed") is closing:
                        waiting = replies.get(change.session_id, ())
                        nursery.start_soon(self._write_one, change, waiting, failures)
        if failures:
            raise failures[0]

    async def _write_one(
        self, change: Change, replies: Sequence[Reply], failures: list[StoreError]
    ) -> None:
        session_id = change.session_id
        now_ms = milliseconds(self._clock.now())
        try:
            if not await self._may_write(change):
                self._on_lost(session_id)
                for reply in replies:
                    reply.answer(False)
                return
            epoch = self._tenures.epoch_of(session_id)
            commit = commit_of(change, self._vault, epoch=epoch, at_ms=now_ms)
            await self._commit(commit)
        except StoreError as error:
            for reply in replies:
                reply.refuse(NotWritten(str(error)))
            if not isinstance(error, CommitRefused) or isinstance(error, AliasTaken):
                failures.append(error)
            else:
                self._give_up(session_id, error)
        else:
            self._written(change, commit, replies)

    def _give_up(self, session_id: str, error: CommitRefused) -> None:
        """Somebody else writes there now: trying again would not help, and hold up the rest."""
        stream = stream_of(session_id)
        _LOG.error("browser_session_given_up", stream=stream, cause=str(error))
        self._on_lost(session_id)

    def _written(self, change: Change, commit: Commit, replies: Sequence[Reply]) -> None:
        self._outbox.written(change)
        if self._tenures.may_write(change.session_id, epoch=commit.epoch):
            self._settle(change)  # else nobody knows what has become of it since
        if commit.events:
            self._log.publish(commit.stream, commit.events)
        if change.more and change.now.status != "closed":
            self._outbox.promise(change.session_id, replies)
            return
        for reply in replies:
            reply.answer(change.now.login is not None)

    async def _may_write(self, change: Change) -> bool:
        """Tell whether a session is still ours; a new one is taken with its first commit."""
        if change.before.seq == 0 and not self._tenures.may_write(change.session_id):
            self._on_taken(change.session_id, await self._tenures.take(change.session_id))
        return self._tenures.may_write(change.session_id)

    async def _commit(self, commit: Commit) -> None:
        try:
            await self._log.store.commit(commit)
        except AliasTaken as error:
            if error.holder.partition("/")[2] in self._places:
                raise  # it is about to be closed, and gives the name up
            _LOG.warning("browser_login_held_elsewhere", stream=commit.stream, by=error.holder)
            await self._log.store.commit(msgspec.structs.replace(commit, claims=()))

    def _settle(self, change: Change) -> None:
        """Its place is where the change has put it; what has come in meanwhile is not there yet."""
        session_id, now = change.session_id, change.now
        there = self._places.get(session_id)
        if now.status == "closed":
            self._places.pop(session_id, None)
            self._tenures.let_go(session_id)
        else:  # it may have been used meanwhile
            used_ms = now.used_ms if there is None else max(now.used_ms, there.used_ms)
            self._places[session_id] = msgspec.structs.replace(now, used_ms=used_ms)
