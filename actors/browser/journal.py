"""What happens to browser sessions, on the durable log: one stream for each session.

One actor writes for all of them, so a session waits for the store only where it must: when what is
saved of it is to be durable before somebody is answered. It gathers what comes while it writes; the
events of one session keep their order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import structlog
import trio

from actors.browser.errors import NotWritten
from actors.browser.journal_messages import (
    AskKept,
    Keep,
    KeptSession,
    KeptSessions,
    Note,
    Settle,
    Used,
)
from actors.browser.place import (
    CLOSED,
    KIND,
    PARKED,
    Change,
    News,
    Place,
    after,
    beginning,
    commit_of,
    place_in,
    until_closed,
)
from actors.browser.saved import SavedSession, Vault
from engine import DEFERRED, Actor, Clock, JobEnded, Reply, StopReason
from engine.clock import timestamp
from engine.durable import Log
from engine.errors import AliasTaken, CommitRefused, StoreError
from engine.seal import SealError
from engine.store import Commit, Listed, ListQuery, milliseconds

_LOG: Final = structlog.get_logger("mooring.browser")
_WRITE: Final = "write"
_RETRY_S: Final = 1.0
_USES_S: Final = 60.0
_PAGE: Final = 100
_MOST_WAITING: Final = 10_000  # events; while the store is away the oldest are given up
_MOST_AT_ONCE: Final = 500  # events of one commit


class _TryAgain(msgspec.Struct, frozen=True):
    pass


class _WriteUses(msgspec.Struct, frozen=True):
    pass


class BrowserJournal(Actor):
    """Writes `Note`s, and what is to be kept of sessions.

    Nothing is written of a session before its `session.created` and after its `session.closed`.

    Args:
        log: where they go.
        clock: when they happened.
        vault: seals what is kept; None keeps nothing.
        forget: end what an earlier server has left, as far as it was kept.
    """

    def __init__(
        self, log: Log, clock: Clock, *, vault: Vault | None = None, forget: bool = False
    ) -> None:
        self._log = log
        self._clock = clock
        self._vault = vault
        self._forgets = forget or vault is None
        self._places: dict[str, Place] = {}
        self._news: list[News] = []  # some of it may just be on its way to the store
        self._saves: dict[str, SavedSession] = {}  # the newest, where it is not written yet
        self._used: set[str] = set()  # places that the store does not have so
        self._replies: dict[str, list[Reply]] = {}
        self._busy = False

    # -- hooks ---------------------------------------------------------------------------------

    async def on_start(self) -> None:
        """Find every session that has not been closed."""
        for status in ("active", "waiting"):
            query = ListQuery(kind=KIND, status=status, limit=_PAGE)
            while True:
                page = await self._log.store.list_rows(query)
                for entry in page.entries:
                    await self._adopt(entry)
                if page.next_cursor is None:
                    break
                query = msgspec.structs.replace(query, cursor=page.next_cursor)

    def handle(self, message: Any) -> Any:
        match message:
            case Note(session_id=session_id):
                self._note(session_id, message.event, **message.data)
            case Used(session_id=session_id):
                self._note_use(session_id)
            case Keep(session_id=session_id):
                self._saves[session_id] = message.saved
                return self._promise(session_id)
            case Settle(session_id=session_id):
                return self._promise(session_id)
            case AskKept():
                return self._take_stock()
            case _TryAgain():
                self._go_on()
            case _WriteUses():
                self._go_on(with_uses=True)
            case _:
                raise TypeError(f"{self.ref.address} does not know {message!r}")
        return None

    def handle_job_end(self, end: JobEnded) -> None:
        self._busy = False
        if isinstance(end.error, StoreError):
            _LOG.warning("events_not_written", cause=str(end.error))
            self.set_timer("retry", _RETRY_S, _TryAgain())
        elif end.error is not None:
            raise end.error
        elif not end.cancelled:
            self._go_on()

    async def on_stop(self, reason: StopReason) -> None:
        """What has happened until now is written before the store closes."""
        while self._due or self._used:
            await self._write(with_uses=True)

    # -- what comes in -------------------------------------------------------------------------

    def _note(self, session_id: str, event: str, **data: Any) -> None:
        now = self._clock.now()
        self._news.append(
            News(
                session_id=session_id,
                event=event,
                data=data,
                at=timestamp(now),
                at_ms=milliseconds(now),
            )
        )
        if len(self._news) > _MOST_WAITING:
            del self._news[0]
        self._go_on()

    def _note_use(self, session_id: str) -> None:
        place = self._places.get(session_id)
        if place is not None and place.login is not None:
            now_ms = milliseconds(self._clock.now())
            self._places[session_id] = msgspec.structs.replace(place, used_ms=now_ms)
            if not self._used:
                self.set_timer("uses", _USES_S, _WriteUses())
            self._used.add(session_id)

    def _promise(self, session_id: str) -> Any:
        self._replies.setdefault(session_id, []).append(self.defer())
        self._go_on()
        return DEFERRED

    def _take_stock(self) -> KeptSessions:
        """Park what can be restored, and end the rest: whoever ran it has gone."""
        kept, ended = [], {}
        for session_id, place in self._places.items():
            if place.login is None or self._forgets:
                ended[session_id] = "crashed" if place.login is None else "closed"
                self._note(session_id, CLOSED, reason=ended[session_id])
                continue
            if place.status == "active":
                self._note(session_id, PARKED, reason="server_lost")
            kept.append(_kept(session_id, place, place.login))
        kept.sort(key=lambda it: it.last_used_ms)
        return KeptSessions(sessions=tuple(kept), ended=ended)

    async def _adopt(self, entry: Listed) -> None:
        session_id, summary = entry.stream.partition("/")[2], None
        if entry.row.summary and self._vault is not None and not self._forgets:
            try:
                summary = self._vault.open_summary(session_id, entry.row.summary)
            except SealError as error:
                # Perhaps the right key comes with the next start: nothing of it is touched.
                _LOG.error("browser_session_left_alone", session_id=session_id, cause=str(error))
                return
        seq = await self._log.store.newest(entry.stream)
        self._places[session_id] = place_in(entry.row, seq, summary)

    # -- writing -------------------------------------------------------------------------------

    @property
    def _due(self) -> bool:
        return bool(self._news or self._saves or self._replies)

    def _go_on(self, *, with_uses: bool = False) -> None:
        if (self._due or with_uses) and not self._busy and not self.stopping:
            self._busy = True
            self.start_job(_WRITE, self._write_all, with_uses)

    async def _write_all(self, with_uses: bool) -> None:
        while self._due or with_uses:
            await self._write(with_uses=with_uses)
            with_uses = False

    async def _write(self, *, with_uses: bool = False) -> None:
        """Write what waits, a commit for each session: first those that end and set names free."""
        changes = list(self._changes(with_uses=with_uses))
        # Who asks from here on asks for more than these changes.
        replies, self._replies = self._replies, {}
        failures: list[StoreError] = []
        for closing in (True, False):
            async with trio.open_nursery() as nursery:
                for change in changes:
                    if (change.now.status == "closed") is closing:
                        waiting = replies.get(change.session_id, ())
                        nursery.start_soon(self._write_one, change, waiting, failures)
        if failures:
            raise failures[0]

    def _changes(self, *, with_uses: bool) -> Iterator[Change]:
        news: dict[str, list[News]] = {}
        for each in self._news:
            news.setdefault(each.session_id, []).append(each)
        uses = self._used if with_uses else ()
        for session_id in dict.fromkeys((*news, *self._saves, *self._replies, *uses)):
            change = self._change(session_id, news.get(session_id, []))
            if change is None:
                self._done(session_id, news.get(session_id, []), kept=False)
            else:
                yield change

    def _change(self, session_id: str, news: Sequence[News]) -> Change | None:
        """Return what is to be written of a session; None when there is none to write of."""
        before = self._places.get(session_id)
        if before is None and news:
            before = beginning(news[0])
        if before is None:
            return None
        more = len(news) > _MOST_AT_ONCE
        news = until_closed(news[:_MOST_AT_ONCE])
        saved, login = self._saves.get(session_id), None
        if saved is not None and self._vault is not None:
            login = self._vault.logins(saved.credentials)[0]
        now = after(before, news, saved, login)
        return Change(
            session_id=session_id, before=before, now=now, news=news, saved=saved, more=more
        )

    async def _write_one(
        self, change: Change, replies: Sequence[Reply], failures: list[StoreError]
    ) -> None:
        now_ms = milliseconds(self._clock.now())
        commit = commit_of(change, self._vault, epoch=self._log.epoch, at_ms=now_ms)
        try:
            await self._commit(commit)
        except StoreError as error:
            for reply in replies:
                reply.refuse(NotWritten(str(error)))
            if not isinstance(error, CommitRefused) or isinstance(error, AliasTaken):
                failures.append(error)
                return
            # Somebody else writes there now: trying again would not help, and hold up the rest.
            _LOG.error("browser_session_given_up", stream=commit.stream, cause=str(error))
            self._places.pop(change.session_id, None)
            self._done(change.session_id, change.news, kept=False)
            return
        self._settle(change)
        if commit.events:
            self._log.publish(commit.stream, commit.events)
        if change.more and change.now.status != "closed":
            self._replies.setdefault(change.session_id, [])[:0] = replies
            return
        for reply in replies:
            reply.answer(change.now.login is not None)

    async def _commit(self, commit: Commit) -> None:
        try:
            await self._log.store.commit(commit)
        except AliasTaken as error:
            if error.holder.partition("/")[2] in self._places:
                raise  # it is about to be closed, and gives the name up
            _LOG.warning("browser_login_held_elsewhere", stream=commit.stream, by=error.holder)
            await self._log.store.commit(msgspec.structs.replace(commit, claims=()))

    def _settle(self, change: Change) -> None:
        """It is durable; what has come in meanwhile is not."""
        session_id, now = change.session_id, change.now
        if self._saves.get(session_id) is change.saved:
            self._saves.pop(session_id, None)
        there = self._places.get(session_id)
        if there is None or there is change.before:
            self._used.discard(session_id)
        else:  # it has been used meanwhile
            now = msgspec.structs.replace(now, used_ms=max(now.used_ms, there.used_ms))
        if now.status == "closed":
            self._places.pop(session_id, None)
        else:
            self._places[session_id] = now
        self._done(session_id, change.news)

    def _done(self, session_id: str, news: Sequence[News], *, kept: bool | None = None) -> None:
        done = set(map(id, news))
        self._news = [it for it in self._news if id(it) not in done]
        if kept is not None:
            self._saves.pop(session_id, None)
            self._used.discard(session_id)
            for reply in self._replies.pop(session_id, []):
                reply.answer(kept)


def _kept(session_id: str, place: Place, login: str) -> KeptSession:
    return KeptSession(
        session_id=session_id,
        login=login,
        username=place.username,
        url=place.url,
        created_at_ms=place.created_at_ms,
        last_used_ms=place.used_ms,
        last_refresh_ms=place.refreshed_ms,
    )
