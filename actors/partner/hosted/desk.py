"""What the partner API and the pages ask of hosted sessions.

Commands go to the session, which comes to memory for them. What is only read is read from the
catalogue, and wakes nobody.

Guarantees: a create is one commit, of the session's own stream; when it returns, the session and
its place in the tenant's quota are durable. Of any number of creates under one Idempotency-Key,
at once or within a day, one makes a session and costs a place; all get its answer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Protocol

import msgspec
import trio

from actors.partner.hosted.actor import Look
from actors.partner.hosted.commands import Cancel, Command
from actors.partner.hosted.decider import KIND, decode_session, place_of, stream_of
from actors.partner.hosted.errors import IllegalTransition, SessionNotFound
from actors.partner.hosted.idempotency import recall
from actors.partner.hosted.opening import Opening, make_session
from actors.partner.hosted.receipts import Receipts
from actors.partner.hosted.records import Hosted, HostedSession
from actors.partner.hosted.states import NEXT, State
from actors.partner.hosted.tokens import alias_of, digest_of, is_token
from actors.partner.settings import PartnerSettings
from actors.partner.tenants.places import Confirm, GiveBack, Reservation, Reserve
from actors.partner.tenants.principal import Environment, Principal
from engine.activation import Activations
from engine.clock import Clock, timestamp
from engine.durable import Log
from engine.errors import AliasTaken, CommitUnknown, MooringError
from engine.seal import Sealer
from engine.store import CatalogueRow, ListQuery

_LONGEST_ID: Final = 64
# To give a place back, or to have it confirmed, after the create itself is decided.
_SETTLE_S: Final = 5.0
_ROUNDS: Final = 3
_ENCODER: Final = msgspec.json.Encoder()


class Tenants(Protocol):
    """What hosted sessions need of tenants."""

    async def ask(self, tenant_id: str, message: Any, *, timeout_s: float = 30.0) -> Any:
        """Ask a tenant; raises what it answers."""
        ...


class SessionPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of sessions, newest first, each as its tenant is sent it."""

    encoded: tuple[bytes, ...]
    next_cursor: str | None

    @property
    def sessions(self) -> tuple[HostedSession, ...]:
        return tuple(map(decode_session, self.encoded))


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a create, in JSON; `is_replay` when an earlier request under its key got it."""

    body: bytes
    is_replay: bool = False


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a session turned out; `receipt` is there once it has ended."""

    session: HostedSession
    receipt: str | None


class HostedSessions:
    """The hosted sessions of all tenants. Every call says for whom it is; made by `open_hosted`."""

    def __init__(
        self,
        settings: PartnerSettings,
        *,
        actors: Activations,
        log: Log,
        clock: Clock,
        sealer: Sealer,
        tenants: Tenants,
        receipts: Receipts,
        public_url: str,
        on_change: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.receipts = receipts
        self.public_url = public_url
        self.tenants = tenants
        self._actors = actors
        self._log = log
        self._clock = clock
        self._sealer = sealer
        self._on_change = on_change
        self._in_hand: dict[str, _Turn] = {}  # idempotency keys that are being looked at

    @property
    def activations(self) -> tuple[Activations, ...]:
        """Its kind of actors that come to memory and leave it, to be measured."""
        return (self._actors,)

    # -- for partners --------------------------------------------------------------------------

    async def create(self, principal: Principal, opening: Opening) -> Answered:
        """Make a session, or return what an earlier request under the same key has made.

        Args:
            opening: from `check_opening`.

        Raises:
            IdempotencyMismatch: the key was used for another request.
            LimitReached: the tenant may not have one more now; nothing was spent.
        """
        alias = opening.alias(principal.tenant_id)
        if alias is None:
            return await self._make(principal.tenant_id, opening)
        async with self._turn(alias):
            for _ in range(_ROUNDS):
                held = await self._log.store.resolve(alias)
                if held is not None:
                    body = recall(alias, held.payload, opening.body, self._sealer)
                    return Answered(body=body, is_replay=True)
                try:
                    return await self._make(principal.tenant_id, opening)
                except AliasTaken:
                    continue  # another server has just answered the same request
        raise SessionNotFound  # the session under the key is erased as fast as it is made

    async def get(self, principal: Principal, session_id: str) -> HostedSession:
        """Return a session as it stands.

        Raises:
            SessionNotFound: also where it is another tenant's, or not of a key's environment.
        """
        return decode_session((await self._row(principal, session_id)).summary)

    async def get_encoded(self, principal: Principal, session_id: str) -> bytes:
        """Return a session in JSON; as `get`."""
        return (await self._row(principal, session_id)).summary

    async def list(
        self,
        principal: Principal,
        *,
        state: State | None = None,
        environment: Environment | None = None,
        limit: int = 20,
        cursor: str | None = None,
    ) -> SessionPage:
        """Return a page of a tenant's sessions, newest first.

        Raises:
            CursorInvalid: the cursor is not from this list.
        """
        environment = principal.environment or environment
        tenant_id, place = principal.tenant_id, {}
        if environment is not None:
            place = {"place": place_of(tenant_id, environment)}
        query = ListQuery(
            kind=KIND,
            owner=None if place else tenant_id,
            status=None if state is None else state.value,
            tags=place,
            limit=limit,
            cursor=cursor,
        )
        listing = await self._log.store.list_rows(query)
        encoded = tuple(entry.row.summary for entry in listing.entries)
        return SessionPage(encoded=encoded, next_cursor=listing.next_cursor)

    async def cancel(self, principal: Principal, session_id: str) -> HostedSession:
        """End a session; idempotent.

        Raises:
            SessionNotFound.
            IllegalTransition: it is being processed, or has ended in another way.
        """
        await self._row(principal, session_id)
        state = await self.ask(session_id, Cancel(by="partner"))
        if state.session.state is not State.CANCELLED:  # its time was up at this very moment
            raise IllegalTransition(state.session.state, "cancelled")
        return state.session

    async def results(self, principal: Principal, session_id: str) -> Outcome:
        """Return how a session turned out; without result and receipt while it goes on.

        Raises:
            SessionNotFound.
        """
        session = await self.get(principal, session_id)
        if not session.has_ended:
            return Outcome(session=session, receipt=None)
        state = await self.look(session_id)
        return Outcome(session=state.session, receipt=await self.receipts.of(state))

    async def stream(self, principal: Principal, session_id: str) -> str:
        """Return the name of a session's stream.

        Raises:
            SessionNotFound.
        """
        await self._row(principal, session_id)
        return stream_of(session_id)

    # -- for visitors --------------------------------------------------------------------------

    async def find(self, token: str) -> str | None:
        """Return the id of the session that a link is for; None when there is none."""
        if not is_token(token):
            return None
        held = await self._log.store.resolve(alias_of(digest_of(token)))
        return None if held is None else held.stream.partition("/")[2]

    async def look(self, session_id: str) -> Hosted:
        """Return how a session stands, visitor's side included.

        Raises:
            SessionNotFound.
        """
        state: Hosted = await self._actors.ask(session_id, Look())
        return state

    async def ask(self, session_id: str, command: Command) -> Hosted:
        """Have a session do something; returns how it stands afterwards.

        Raises:
            PartnerError: it refuses; nothing has changed, unless its time was up.
        """
        state: Hosted = await self._actors.ask(session_id, command)
        return state

    # -- inside --------------------------------------------------------------------------------

    async def _row(self, principal: Principal, session_id: str) -> CatalogueRow:
        row = await self._load(session_id)
        if row is None or row.owner != principal.tenant_id:
            raise SessionNotFound
        if row.tags.get("place") not in _places(principal):
            raise SessionNotFound
        if row.due_at_ms is not None and NEXT.get(State(row.status)):
            session = decode_session(row.summary)
            if session.is_overdue(timestamp(self._clock.now())):
                # Nobody has woken it yet; what is answered here is never behind its own time.
                await self.look(session_id)
                row = await self._load(session_id)
                if row is None:
                    raise SessionNotFound
        return row

    async def _load(self, session_id: str) -> CatalogueRow | None:
        if len(session_id) > _LONGEST_ID or "/" in session_id or not session_id.isascii():
            return None
        return (await self._log.store.load(stream_of(session_id))).row

    async def _make(self, tenant_id: str, opening: Opening) -> Answered:
        reserve = Reserve(environment=opening.environment)
        place: Reservation = await self.tenants.ask(tenant_id, reserve)
        settle: Any = GiveBack(token=place.token)
        made = make_session(
            opening,
            tenant_id=tenant_id,
            created_at=place.created_at,
            ttl_s=self.settings.session_ttl_s,
            public_url=self.public_url,
            epoch=self._log.epoch,
            clock=self._clock,
            sealer=self._sealer,
        )
        try:
            await self._log.store.commit(made.commit)
            settle = Confirm(token=place.token, session_id=made.created.session_id)
        except CommitUnknown:
            settle = None  # it may be there: the place is the session's until somebody knows
            raise
        finally:
            if settle is not None:
                await self._settle(tenant_id, settle)
        self._log.publish(made.commit.stream, made.commit.events)
        self._on_change(tenant_id)
        return Answered(body=_ENCODER.encode(made.created))

    async def _settle(self, tenant_id: str, message: Any) -> None:
        """Say what became of a reservation; what is not said, the tenant finds out by itself."""
        with (
            trio.CancelScope(shield=True, deadline=trio.current_time() + _SETTLE_S),
            suppress(MooringError),
        ):
            await self.tenants.ask(tenant_id, message, timeout_s=_SETTLE_S)

    @asynccontextmanager
    async def _turn(self, alias: str) -> AsyncIterator[None]:
        """Let one request under a key be answered after the other."""
        turn = self._in_hand.setdefault(alias, _Turn())
        turn.waiting += 1
        try:
            async with turn.lock:
                yield
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                del self._in_hand[alias]


class _Turn:
    __slots__ = ("lock", "waiting")

    def __init__(self) -> None:
        self.lock = trio.Lock()
        self.waiting = 0


def _places(principal: Principal) -> frozenset[str]:
    """Return the places whose sessions a caller sees: a key's own, or both for a user."""
    both: tuple[Environment, ...] = ("sandbox", "production")
    return frozenset(place_of(principal.tenant_id, one) for one in both if principal.may_see(one))
