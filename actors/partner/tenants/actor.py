"""The tenant as an actor: admits credentials, counts sessions, and writes down what must last.

Laws of this file: one inbox decides, so that a quota is exact whatever races. A create costs no
commit here: what exists is counted in memory, and counted anew from the catalogue when the tenant
comes to memory. Only what cannot be found out again is written down.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TypeAlias

import msgspec
import structlog
from msgspec.structs import replace

from actors.partner.errors import CredentialsRefused, NotFound, QuotaExceeded
from actors.partner.limits import Window
from actors.partner.settings import PartnerSettings
from actors.partner.tenants.admission import (
    AdmitCookie,
    AdmitKey,
    Admitted,
    AdmitUser,
    EnvironmentUsage,
    Fresh,
    ListKeys,
    ReadProfile,
    ReadUsage,
    ReadUser,
    SettleBooks,
    Usage,
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
    Refresh,
    ResetPassword,
    RevokeKey,
)
from actors.partner.tenants.decider import TenantDecider, stream_of
from actors.partner.tenants.decision import find_login, live_login
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
from actors.partner.tenants.ledger import Books, Found, Ledger, Limits
from actors.partner.tenants.places import Confirm, GiveBack, Reservation, Reserve, SessionEnded
from actors.partner.tenants.principal import Environment, Principal
from actors.partner.tenants.records import ApiKey, Limit, Login, Profile, QuotaReached
from actors.partner.tenants.tenant import Tenant, limit_name
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
# People click; pages ask several times for each click.
_COOKIE_REQUESTS_PER_MINUTE: Final = 600

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
        self._rate = Window(settings.rate_limit_per_minute)
        self._cookie_rate = Window(max(settings.rate_limit_per_minute, _COOKIE_REQUESTS_PER_MINUTE))
        self._ledger = Ledger(self._limits, Books(), clock.now())
        self._keys: dict[str, ApiKey] = {}  # by digest
        self._last_used: dict[str, str] = {}  # by key id, since the books were closed
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
            self._index_keys()
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

    def obey(self, message: Any) -> Any:  # noqa: PLR0911, PLR0912 - one line a message
        match message:
            case AdmitKey():
                return self._admit_key(message)
            case Reserve(environment=environment):
                return self._reserve(environment)
            case Confirm():
                return self._confirm(message)
            case GiveBack(token=token):
                return self._ledger.give_back(token)
            case SessionEnded(session_id=session_id):
                return self._ledger.end(session_id)
            case AdmitUser():
                return self._admit_user(message)
            case AdmitCookie():
                return self._admit_cookie(message)
            case ReadUser() | ReadProfile() | ListKeys() | ReadUsage():
                return self._read(message)
            case SettleBooks():
                return self.submit(self._books_to_close())
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
                case KeyCreated():
                    self._index_keys()
                case KeyRevoked(key_id=key_id):
                    self._index_keys()
                    self._last_used.pop(key_id, None)
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

    def _admit_key(self, message: AdmitKey) -> Admitted:
        key = self._keys.get(message.digest)
        if key is None:
            raise CredentialsRefused("Invalid API key")
        now = self.clock.now()
        rate = self._rate.take(now)
        self._last_used[key.key_id] = timestamp(now)
        self._plan_books()
        principal = Principal(
            tenant_id=self.tenant_id, kind="key", id=key.key_id, environment=key.environment
        )
        return Admitted(principal=principal, rate=rate)

    def _admit_user(self, message: AdmitUser) -> Admitted:
        now = self.clock.now()
        state = self.state
        login = None
        if state is not None:
            login = live_login(state, message.login_id, timestamp(now))
        if login is None or login.user_id != message.user_id or login.kind != "api":
            raise CredentialsRefused("Invalid or expired token")
        return self._admitted(login, self._rate, message.login_id)

    def _admit_cookie(self, message: AdmitCookie) -> Admitted:
        now = self.clock.now()
        login = None
        if self.state is not None:
            login = find_login(self.state, message.locator, timestamp(now))
        is_good = login is not None and hmac.compare_digest(login.secret, message.secret)
        if login is None or login.kind != "web" or not is_good:
            raise CredentialsRefused("The session has ended; log in again")
        return self._admitted(login, self._cookie_rate, login.login_id)

    def _admitted(self, login: Login, window: Window, login_id: str) -> Admitted:
        state = self.state
        user = None if state is None else state.users.get(login.user_id)
        if user is None:
            raise CredentialsRefused
        principal = Principal(
            tenant_id=self.tenant_id, kind="user", id=user.user_id, role=user.role
        )
        rate = window.take(self.clock.now())
        return Admitted(principal=principal, rate=rate, login_id=login_id)

    def _fresh(self, state: Tenant, message: Refresh) -> Fresh | None:
        """Return whose token was exchanged; None when an old one was, which has ended them all."""
        login = find_login(state, message.locator, timestamp(self.clock.now()))
        if login is None:
            return None
        return Fresh(user=state.users[login.user_id], login_id=login.login_id)

    def _index_keys(self) -> None:
        keys = {} if self.state is None else self.state.keys
        self._keys = {key.digest: key for key in keys.values()}

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
        return CloseBooks(books=self._ledger.close(), last_used=dict(self._last_used))

    def _close_books(self) -> None:
        self._books_due = False
        if self._looking:
            self._plan_books()
        elif self.state is not None and not self.stopping:
            self.submit_own(self._books_to_close())

    def _booked(self, books: Books, last_used: Mapping[str, str]) -> None:
        self._ledger.closed(books)
        self._last_used = {
            key_id: at for key_id, at in self._last_used.items() if at > last_used.get(key_id, "")
        }
        if self._ledger.unbooked or self._last_used:
            self._plan_books()
        self._index_keys()

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
                keys = () if state is None else state.keys.values()
                return tuple(sorted(map(self._with_last_use, keys), key=_age, reverse=True))
            case ReadUsage():
                return self._usage()

    def _with_last_use(self, key: ApiKey) -> ApiKey:
        last_used_at = self._last_used.get(key.key_id, key.last_used_at)
        return replace(key, last_used_at=last_used_at)

    def _usage(self) -> Usage:
        now = self.clock.now()
        month = self._ledger.month(now)
        return Usage(
            month=month.name,
            resets_at=timestamp(month.ends_at),
            sandbox=self._usage_of("sandbox"),
            production=self._usage_of("production"),
            active=self._ledger.active,
            max_active=self._limits.max_active,
            rate_limit_per_minute=self._rate.limit,
            days=self._ledger.days(),
        )

    def _usage_of(self, environment: Environment) -> EnvironmentUsage:
        used, limit = self._ledger.used(environment, self.clock.now()), self._limits.quotas
        remaining = max(0, limit[environment] - used)
        return EnvironmentUsage(used=used, limit=limit[environment], remaining=remaining)

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


def _age(key: ApiKey) -> tuple[str, str]:
    return key.created_at, key.key_id
