"""What happens to browser sessions, on the durable log: one stream for each session.

One actor writes for all of them, so a session waits for the store only where it must: when what is
saved of it is to be durable before somebody is answered. It gathers what comes while it writes; the
events of one session keep their order.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import msgspec
import structlog
import trio

from actors.browser.errors import NotKnown
from actors.browser.journal_messages import (
    AskKept,
    Found,
    Keep,
    KeptSession,
    KeptSessions,
    Looked,
    LookFor,
    Note,
    SessionMoved,
    Settle,
    Used,
)
from actors.browser.outbox import Outbox
from actors.browser.place import (
    CLOSED,
    KIND,
    PARKED,
    News,
    Place,
    place_in,
    stream_of,
)
from actors.browser.saved import Vault, alias_of
from actors.browser.tenures import Tenures
from actors.browser.writing import Writer
from engine import DEFERRED, Actor, ActorRef, Clock, JobEnded, Reply, StopReason
from engine.clock import timestamp
from engine.durable import Log
from engine.errors import StoreError, anew
from engine.ownership import NotOwner, Tenure
from engine.seal import SealError
from engine.store import CatalogueRow, ListQuery, milliseconds

_LOG: Final = structlog.get_logger("mooring.browser")
_WRITE: Final = "write"
_LOOK: Final = "look"
_HOLD: Final = "hold"
_RECLAIM: Final = "reclaim"
_RECLAIM_S: Final = 2.0
_RETRY_S: Final = 1.0
_USES_S: Final = 60.0
_PAGE: Final = 100


class _TryAgain(msgspec.Struct, frozen=True):
    pass


class _WriteUses(msgspec.Struct, frozen=True):
    pass


class _TryToReclaim(msgspec.Struct, frozen=True):
    pass


class BrowserJournal(Actor):
    """Writes `Note`s, and what is to be kept of sessions.

    Nothing is written of a session before its `session.created` and after its `session.closed`.
    Where several servers share the store it writes of those that are this one's, tells the registry
    when one is no longer, and looks for those that nobody has any more.

    Args:
        log: where they go.
        clock: when they happened.
        vault: seals what is kept; None keeps nothing.
        forget: end what an earlier server has left, as far as it was kept.
        registry: the one that has asked last, to be told of sessions; outlives a crash of this.
    """

    def __init__(
        self,
        log: Log,
        clock: Clock,
        *,
        vault: Vault | None = None,
        forget: bool = False,
        registry: list[ActorRef] | None = None,
    ) -> None:
        self._log = log
        self._clock = clock
        self._vault = vault
        self._forgets = forget or vault is None
        self._places: dict[str, Place] = {}
        self._outbox = Outbox(self._places, vault)
        self._busy = False
        self._tenures = Tenures(log)
        self._writer = Writer(
            log,
            clock,
            vault,
            places=self._places,
            outbox=self._outbox,
            tenures=self._tenures,
            on_taken=self._hold,
            on_lost=self._lose,
        )
        self._taking = trio.Lock()  # one session after the other is taken over
        self._registry = [] if registry is None else registry
        self._lost: set[str] = set()  # in an outage; perhaps nobody has them
        self._reclaiming = False
        self._looks: dict[str, tuple[LookFor, Reply]] = {}
        self._looked = 0

    # -- hooks ---------------------------------------------------------------------------------

    async def on_start(self) -> None:
        """Find every session that has not been closed, and that no other server has."""
        for status in ("active", "waiting"):
            query = ListQuery(kind=KIND, status=status, limit=_PAGE)
            while True:
                page = await self._log.store.list_rows(query)
                for entry in page.entries:
                    with suppress(NotOwner):
                        await self._take_over(entry.stream.partition("/")[2])
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
                self._outbox.save(session_id, message.saved)
                return self._promise(session_id)
            case Settle(session_id=session_id):
                return self._promise(session_id)
            case AskKept(registry=registry):
                self._registry[:] = [registry]
                return self._take_stock()
            case LookFor():
                return self._look_for(message)
            case _TryAgain():
                self._go_on()
            case _WriteUses():
                self._go_on(with_uses=True)
            case _TryToReclaim() if not self._reclaiming:
                self._reclaiming = True
                self.start_job(_RECLAIM, self._reclaim)
            case _TryToReclaim():
                pass  # it looks again when that has ended
            case _:
                raise TypeError(f"{self.ref.address} does not know {message!r}")
        return None

    def handle_job_end(self, end: JobEnded) -> None:
        match end.name.partition("/")[0]:
            case "look":
                self._tell_found(end)
            case "hold":
                self._tenure_ended(end)
            case "reclaim":
                self._reclaimed(end)
            case _:
                self._write_ended(end)

    def _write_ended(self, end: JobEnded) -> None:
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
        while not self._outbox.is_empty:
            await self._writer.write(with_uses=True)

    # -- what comes in -------------------------------------------------------------------------

    def _note(self, session_id: str, event: str, **data: Any) -> None:
        now = self._clock.now()
        self._outbox.note(
            News(
                session_id=session_id,
                event=event,
                data=data,
                at=timestamp(now),
                at_ms=milliseconds(now),
            )
        )
        self._go_on()

    def _note_use(self, session_id: str) -> None:
        place = self._places.get(session_id)
        if place is not None and place.login is not None:
            now_ms = milliseconds(self._clock.now())
            self._places[session_id] = msgspec.structs.replace(place, used_ms=now_ms)
            if self._outbox.use(session_id):
                self.set_timer("uses", _USES_S, _WriteUses())

    def _promise(self, session_id: str) -> Any:
        self._outbox.promise(session_id, [self.defer()])
        self._go_on()
        return DEFERRED

    def _take_stock(self) -> KeptSessions:
        """Park what can be restored, and end the rest: whoever ran it has gone."""
        kept, ended = [], {}
        for session_id, place in self._places.items():
            found = self._stock(session_id, place)
            if found is None:
                ended[session_id] = self._why_over(place)
            else:
                kept.append(found)
        kept.sort(key=lambda it: it.last_used_ms)
        return KeptSessions(sessions=tuple(kept), ended=ended)

    def _stock(self, session_id: str, place: Place) -> KeptSession | None:
        """Park one session; end it, and return None, when it can't be restored."""
        if place.login is None or self._forgets:
            self._note(session_id, CLOSED, reason=self._why_over(place))
            return None
        if place.status == "active":
            self._note(session_id, PARKED, reason="server_lost")
        return _kept(session_id, place, place.login)

    def _why_over(self, place: Place) -> str:
        return "crashed" if place.login is None else "closed"

    # -- whose a session is --------------------------------------------------------------------

    async def _take_over(self, session_id: str) -> Place | None:
        """Have a session as whoever had it before has left it; None when there is none to have.

        Raises:
            NotOwner: another server has it.
            StoreError: nobody can say.
        """
        tenure = await self._tenures.take(session_id)
        loaded = await self._log.store.load(stream_of(session_id))
        if loaded.row is None or loaded.row.status == "closed":
            self._tenures.let_go(session_id)
            return None
        self._hold(session_id, tenure)
        return self._adopt(session_id, loaded.row, loaded.seq)

    def _adopt(self, session_id: str, row: CatalogueRow, seq: int) -> Place | None:
        summary = None
        if row.summary and self._vault is not None and not self._forgets:
            try:
                summary = self._vault.open_summary(session_id, row.summary)
            except SealError as error:
                # Perhaps the right key comes with the next start: nothing of it is touched.
                _LOG.error("browser_session_left_alone", session_id=session_id, cause=str(error))
                self._tenures.let_go(session_id)
                return None
        self._places[session_id] = place_in(row, seq, summary)
        return self._places[session_id]

    def _hold(self, session_id: str, tenure: Tenure | None) -> None:
        """Notice when a session is ours no longer."""
        if tenure is not None:
            self.start_job(f"{_HOLD}/{tenure.epoch}", self._live_in, session_id, tenure)

    async def _live_in(self, session_id: str, tenure: Tenure) -> tuple[str, Tenure]:
        with tenure.scope:
            await trio.sleep_forever()
        return session_id, tenure

    def _tenure_ended(self, end: JobEnded) -> None:
        if end.error is not None:
            raise end.error
        if end.value is not None and self._tenures.has(*end.value):
            session_id, _ = end.value
            self._lose(session_id)
            self._lost.add(session_id)
            self.set_timer(_RECLAIM, _RECLAIM_S, _TryToReclaim())

    def _lose(self, session_id: str) -> None:
        """Forget a session: what is known of it may no longer be so, and nothing is written."""
        self._tenures.lose(session_id)
        self._places.pop(session_id, None)
        self._outbox.drop(session_id)
        for registry in self._registry:
            registry.signal(SessionMoved(session_id=session_id))

    def _look_for(self, message: LookFor) -> Any:
        self._looked += 1
        name = f"{_LOOK}/{self._looked}"
        self._looks[name] = message, self.defer()
        self.start_job(name, self._look, message)
        return DEFERRED

    async def _look(self, message: LookFor) -> KeptSession | None:
        """Find a session that was another server's, and take it over."""
        store = self._log.store
        if message.session_id is not None:
            row = (await store.load(stream_of(message.session_id))).row
            if row is not None and row.status != "closed":
                return await self._found(message.session_id)
        for login in message.logins:
            alias = await store.resolve(alias_of(login))
            if alias is not None:
                return await self._found(alias.stream.partition("/")[2])
        return None

    async def _found(self, session_id: str) -> KeptSession | None:
        async with self._taking:
            place = self._places.get(session_id)
            if place is None:
                place = await self._take_over(session_id)
                return None if place is None else self._stock(session_id, place)
        # Somebody has just found it already, or the registry does not know it any more.
        if place.login is None or self._outbox.ends(session_id):
            return None
        return _kept(session_id, place, place.login)

    async def _reclaim(self) -> None:
        """Have again what was lost in an outage, unless another server has it by now."""
        for session_id in tuple(self._lost):
            with suppress(NotOwner):
                if (found := await self._found(session_id)) is not None:
                    for registry in self._registry:
                        registry.signal(Found(kept=found))
            self._lost.discard(session_id)

    def _reclaimed(self, end: JobEnded) -> None:
        self._reclaiming = False
        if end.error is not None and not isinstance(end.error, StoreError):
            raise end.error
        if self._lost:
            self.set_timer(_RECLAIM, _RECLAIM_S, _TryToReclaim())

    def _tell_found(self, end: JobEnded) -> None:
        message, reply = self._looks.pop(end.name)
        if isinstance(end.error, StoreError):
            reply.refuse(NotKnown("it can't be told which server has the session"))
        elif isinstance(end.error, NotOwner):
            reply.refuse(anew(end.error))
        elif end.error is not None:
            raise end.error
        elif not end.cancelled:
            (registry,) = self._registry
            if end.value is not None:
                registry.signal(Found(kept=end.value))
            reply.forward(registry, Looked(message=message.message))

    # -- writing -------------------------------------------------------------------------------

    def _go_on(self, *, with_uses: bool = False) -> None:
        if (self._outbox.is_due or with_uses) and not self._busy and not self.stopping:
            self._busy = True
            self.start_job(_WRITE, self._write_all, with_uses)

    async def _write_all(self, with_uses: bool) -> None:
        while self._outbox.is_due or with_uses:
            await self._writer.write(with_uses=with_uses)
            with_uses = False


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
