"""The tenant as an actor: admits credentials, counts sessions, and writes down what must last.

Laws of this file: one inbox decides, so that a quota is exact whatever races. A create costs no
commit here: what exists is counted in memory, and counted anew from the catalogue when the tenant
comes to memory. Only what cannot be found out again is written down.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TypeAlias

import msgspec
import structlog

from actors.partner.errors import NotFound, QuotaExceeded
from actors.partner.settings import PartnerSettings
from actors.partner.tenants.admission import (
    AdmitCookie,
    AdmitKey,
    Admitted,
    AdmitUser,
    Fresh,
    ListKeys,
    ReadProfile,
    ReadUsage,
    ReadUser,
)
from actors.partner.tenants.census import read_sessions
from actors.partner.tenants.commands import (
    AddUser,
    ChangeProfile,
    CloseBooks,
    Command,
    CreateTenant,
    GenerateKey,
    LimitWasTold,
    LogIn,
    LogOut,
    LogOutToken,
    NoteLimit,
    NoteWebhook,
    Refresh,
    ResetPassword,
    RevokeKey,
)
from actors.partner.tenants.decider import TenantDecider, stream_of
from actors.partner.tenants.decision import find_login
from actors.partner.tenants.events import (
    BOOKS_TYPES,
    BooksClosed,
    KeyCreated,
    KeyRevoked,
    LimitNoted,
    LimitTold,
    TenantCreated,
    TenantEvent,
)
from actors.partner.tenants.gate import Gate
from actors.partner.tenants.ledger import Books, Found, Ledger, Limits
from actors.partner.tenants.places import Confirm, GiveBack, Reservation, Reserve, SessionEnded
from actors.partner.tenants.principal import Environment
from actors.partner.tenants.records import Limit, Profile, QuotaReached
from actors.partner.tenants.tenant import Tenant, limit_name
from actors.partner.tenants.usage import usage_of
from engine import Clock, JobEnded, MooringError
from engine.activation import ActivatedActor
from engine.clock import timestamp
from engine.durable import Log

_LOG: Final = structlog.get_logger("mooring.partner")
IDLE_S: Final = 600.0
# A reserved session is committed within a part of this, or not at all.
RESERVATION_S: Final = 60.0
# How much of what keys were used last for a kill may cost, and how much there is to count after it.
BOOKS_EVERY_S: Final = 60.0
_RETRY_S: Final = 5.0
_WARN_AT: Final = 0.8

# Hands a limit over to webhooks; returns once that is durable.
Tell: TypeAlias = Callable[[str, QuotaReached], Awaitable[None]]


class _CloseBooksNow(msgspec.Struct, frozen=True):
    pass


class _Lapse(msgspec.Struct, frozen=True):
    pass


class _LookAgain(msgspec.Struct, frozen=True):
    pass


class _TellAgain(msgspec.Struct, frozen=True):
    pass


class TenantActor(ActivatedActor[Tenant, Command, TenantEvent]):
    """One tenant.

    Args:
        tenant_id: its id.
        settings: of all tenants.
        tell: how webhooks are told of limits.
    """

    idle_timeout_s = IDLE_S

    def __init__(
        self, tenant_id: str, *, settings: PartnerSettings, log: Log, clock: Clock, tell: Tell
    ) -> None:
        super().__init__(stream_of(tenant_id), TenantDecider(), log=log, clock=clock)
        self.tenant_id = tenant_id
        self._limits = limits_of(settings)
        self._tell = tell
        self._gate = Gate(tenant_id, requests_per_minute=settings.rate_limit_per_minute)
        self._ledger = Ledger(self._limits, Books(), clock.now())
        self._noting: set[str] = set()
        self._looking = False
        self._look_again = False
        self._books_due = False

    # -- hooks ---------------------------------------------------------------------------------

    async def on_start(self) -> None:
        await super().on_start()
        if self.state is not None:
            self._ledger = Ledger(self._limits, self.state.books, self.clock.now())
            sessions = await self._read_sessions()
            self._ledger.found(sessions)
            self._gate.take_over(self.state)
            self._tell_what_is_untold()
            # A session may still be made whose place was given by a life that has crashed since.
            self.set_timer("look", RESERVATION_S, _LookAgain())
            if self._ledger.unbooked:
                self._plan_books()

    def handle(self, message: Any) -> Any:
        match message:
            case _CloseBooksNow():
                self._close_books()
            case _LookAgain():
                self._look()
            case _Lapse():
                if self._ledger.unsettled:
                    self._look()
            case _TellAgain():
                self._tell_what_is_untold()
            case _:
                return super().handle(message)
        return None

    def obey(self, message: Any) -> Any:  # noqa: PLR0911 - one line a message
        match message:
            case AdmitKey() | AdmitUser() | AdmitCookie():
                return self._admit(message)
            case Reserve(environment=environment):
                return self._reserve(environment)
            case Confirm():
                return self._confirm(message)
            case GiveBack(token=token):
                return self._ledger.give_back(token)
            case SessionEnded(session_id=session_id):
                return self._ledger.end(session_id)
            case ReadUser() | ReadProfile() | ListKeys() | ReadUsage():
                return self._read(message)
            case Refresh():
                return self.submit(message, lambda state: self._fresh(state, message))
            case GenerateKey():
                return self.submit(message, lambda state: state.keys[message.key.key_id])
            case ChangeProfile():
                return self.submit(message, lambda state: state.profile)
            case (
                CreateTenant()
                | AddUser()
                | ResetPassword()
                | LogIn()
                | LogOut()
                | LogOutToken()
                | RevokeKey()
                | NoteWebhook()
            ):
                return self.submit(message)
            case _:
                return super().obey(message)

    def woken(self) -> None:
        self._tell_what_is_untold()

    def changed(self, events: Sequence[TenantEvent]) -> None:
        for event in events:
            match event:
                case TenantCreated():
                    self.restart_idle_timer()
                case KeyCreated() | KeyRevoked():
                    self._gate.take_over(self.state)
                case BooksClosed(books=books, last_used=last_used):
                    self._booked(books, last_used)
                case LimitNoted(reached=reached):
                    self._noting.discard(limit_name(reached.type, reached.environment))
                    self._tell_what_is_untold()
                case LimitTold():
                    self._telling = False
                    self._tell_what_is_untold()

    def handle_job_end(self, end: JobEnded) -> None:
        what, _, rest = end.name.partition(":")
        match what:
            case "look":
                self._looked(end)
            case "tell":
                self._told(end, int(rest))
            case "prune":
                if end.error is not None:
                    _LOG.warning("books not pruned", actor=self.stream, cause=str(end.error))
                self.let_go()
            case _:
                super().handle_job_end(end)

    # -- admitting -----------------------------------------------------------------------------

    def _admit(self, message: AdmitKey | AdmitUser | AdmitCookie) -> Admitted:
        admitted = self._gate.admit(self.state, message, self.clock.now())
        if isinstance(message, AdmitKey):
            self._plan_books()
        return admitted

    def _fresh(self, state: Tenant, message: Refresh) -> Fresh | None:
        """Return whose token was exchanged; None when an old one was, which has ended them all."""
        login = find_login(state, message.locator, timestamp(self.clock.now()))
        if login is None:
            return None
        return Fresh(user=state.users[login.user_id], login_id=login.login_id)

    # -- counting ------------------------------------------------------------------------------

    def _reserve(self, environment: Environment) -> Reservation:
        if self.state is None:
            raise NotFound("Tenant")
        now = self.clock.now()
        try:
            reservation = self._ledger.reserve(environment, now)
        except QuotaExceeded:
            self._note("quota.exceeded", environment)
            raise
        if self._ledger.unsettled == 1:
            self.set_timer("lapse", RESERVATION_S, _Lapse())
        return reservation

    def _confirm(self, message: Confirm) -> None:
        if not self._ledger.confirm(message.token, message.session_id):
            self._look()
        self._plan_books()
        now = self.clock.now()
        for environment, quota in self._limits.quotas.items():
            if quota and self._ledger.used(environment, now) >= quota * _WARN_AT:
                self._note("quota.warning", environment)

    async def _read_sessions(self) -> list[Found]:
        assert self.state is not None  # noqa: S101 - only a tenant has sessions
        store, after_ms = self._log.store, self.state.books.through_ms
        return await read_sessions(store, self.tenant_id, after_ms=after_ms)

    def _look(self) -> None:
        """Find out what became of places that nobody has settled."""
        if self._looking:
            self._look_again = True
        elif self.state is not None and not self.stopping:
            self._looking = True
            self._ledger.look()
            self.start_job("look", self._read_sessions)

    def _looked(self, end: JobEnded) -> None:
        self._looking = False
        if end.error is not None:
            _LOG.warning("sessions not counted", actor=self.stream, cause=str(end.error))
            self.set_timer("look", _RETRY_S, _LookAgain())
            return
        if end.cancelled:
            return
        before = self.clock.now() - timedelta(seconds=RESERVATION_S)
        self._ledger.found(end.value, lapse_before=before)
        if self._look_again:
            self._look_again = False
            self._look()
        elif self._ledger.unsettled:
            self.set_timer("lapse", RESERVATION_S, _Lapse())

    # -- books ---------------------------------------------------------------------------------

    def _plan_books(self) -> None:
        if not self._books_due:
            self._books_due = True
            self.set_timer("books", BOOKS_EVERY_S, _CloseBooksNow())

    def _books_to_close(self) -> CloseBooks:
        return CloseBooks(books=self._ledger.close(), last_used=dict(self._gate.last_used))

    def _close_books(self) -> None:
        self._books_due = False
        if self._looking:
            self._plan_books()
        elif self.state is not None and not self.stopping:
            self.submit_own(self._books_to_close())

    def _booked(self, books: Books, last_used: Mapping[str, str]) -> None:
        self._ledger.closed(books)
        self._gate.written_down(last_used)
        if self._ledger.unbooked or self._gate.last_used:
            self._plan_books()

    # -- telling of limits ---------------------------------------------------------------------

    def _note(self, notice: Limit, environment: Environment) -> None:
        """Write down, once a month, that a limit was reached; webhooks are told from the log."""
        state = self.state
        assert state is not None  # noqa: S101 - it has just counted
        now = self.clock.now()
        name, month = limit_name(notice, environment), self._ledger.month(now).name
        if state.reached.get(name) == month or name in self._noting or self.stopping:
            return
        self._noting.add(name)
        self.submit_own(
            NoteLimit(
                notice=notice,
                environment=environment,
                month=month,
                used=self._ledger.used(environment, now),
                limit=self._limits.quotas[environment],
            )
        )

    _telling = False

    def _tell_what_is_untold(self) -> None:
        if self.state is None or self._telling or self.stopping or not self.state.untold:
            return
        reached = self.state.untold[0]
        self._telling = True
        self.start_job(f"tell:{reached.seq}", self._tell, self.tenant_id, reached)

    def _told(self, end: JobEnded, seq: int) -> None:
        if end.cancelled or self.stopping:
            return
        if end.error is None:
            self.submit_own(LimitWasTold(of_seq=seq))
            return
        self._telling = False
        if not isinstance(end.error, MooringError):
            raise end.error
        _LOG.warning("limit not told", actor=self.stream, cause=str(end.error))
        self.set_timer("tell", _RETRY_S, _TellAgain())

    # -- reading -------------------------------------------------------------------------------

    def _read(self, message: ReadUser | ReadProfile | ListKeys | ReadUsage) -> Any:
        state = self.state
        match message:
            case ReadUser(user_id=user_id):
                return None if state is None else state.users.get(user_id)
            case ReadProfile():
                return Profile() if state is None else state.profile
            case ListKeys():
                return () if state is None else self._gate.keys(state)
            case ReadUsage():
                rate_limit = self._gate.requests_per_minute
                return usage_of(self._ledger, self.clock.now(), rate_limit=rate_limit)

    # -- leaving -------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        has_work = self._looking or self._telling or self._books_due
        return super().busy or has_work or bool(self._ledger.unsettled)

    def idled(self) -> None:
        if self.state is None or self.state.books_seq == 0:
            self.let_go()
        else:
            self.start_job("prune", self._prune)

    async def _prune(self) -> None:
        """Remove the books that newer ones stand for."""
        assert self.state is not None  # noqa: S101 - it has books
        through = self.state.books_seq - 1
        await self._log.store.prune(self.stream, types=BOOKS_TYPES, after=0, through=through)


def limits_of(settings: PartnerSettings) -> Limits:
    """Return what the settings say of sessions."""
    quotas: dict[Environment, int] = {
        "sandbox": settings.monthly_quota,
        "production": settings.production_quota,
    }
    return Limits(quotas=quotas, max_active=settings.max_active)
