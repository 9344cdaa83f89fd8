"""A family of sessions that is small enough to read: berths in a harbor, and the boats in them."""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

from engine import (
    DEFERRED,
    Actor,
    ActorPolicy,
    ActorRef,
    DomainError,
    JobEnded,
    Reply,
    Restart,
    SeededClock,
    Supervisor,
    open_supervisor,
)
from engine.admission import AdmissionSettings
from engine.effects import Grant, Refuse, Why
from engine.registry import (
    LeaseLapsed,
    LeaseReleased,
    Registry,
    SessionEnding,
    SessionFailed,
    SessionStarted,
)


class Plan(msgspec.Struct, frozen=True, kw_only=True, weakref=True):
    """How a boat will behave. Times are seconds."""

    start_s: float = 1.0
    outcome: str = "live"  # or "refused", "crash"
    remember_s: float = 0.0
    keep: bool = False  # what fails may be tried again
    clean_up_s: float = 0.0  # after each trip, however it ends, and after a start that is cut off


class Get(msgspec.Struct, frozen=True):
    """Ask for the boat of this key; answered with `Berth`."""

    key: str
    plan: Plan = Plan()


class Adopt(msgspec.Struct, frozen=True):
    """Ask for a boat of an earlier harbor to be taken over; answered with whether it was."""

    id: str
    key: str
    unused_s: float = 0.0


class Wake(msgspec.Struct, frozen=True):
    """Ask for a boat that waits to be started unasked; answered with whether it is."""

    id: str


class Parked(msgspec.Struct, frozen=True):
    """Ask for the boats of an earlier harbor that have no place now."""


class Sail(msgspec.Struct, frozen=True):
    """Ask for a trip of so many seconds, by key or by id; answered with the boat's id."""

    key: str
    trip_s: float
    by_id: bool = False
    plan: Plan = Plan()


class List(msgspec.Struct, frozen=True):
    """Ask for the ids of all boats, each with whether it is in use."""


class Close(msgspec.Struct, frozen=True):
    id: str


class Break(msgspec.Struct, frozen=True):
    """Make the registry crash."""


class Sink(msgspec.Struct, frozen=True):
    """Make a boat crash."""


class Leave(msgspec.Struct, frozen=True):
    """Make a boat end by itself."""


class Berth(msgspec.Struct, frozen=True):
    id: str
    is_new: bool


class Trip(msgspec.Struct, frozen=True):
    sail: Sail
    token: int


class Bell(msgspec.Struct, frozen=True):
    """Rings in the registry just after a boat has said that it is live."""


class NoBerth(DomainError):
    """The registry's refusal: carries why."""

    def __init__(self, why: str, detail: str | None = None) -> None:
        super().__init__(f"no berth: {why} ({detail})")
        self.why = why
        self.detail = detail


class Boat(Actor):
    """A session: starts by its plan, and makes as many trips at once as it is asked for."""

    def __init__(self, boat_id: str, plan: Plan, registry: ActorRef) -> None:
        self._id = boat_id
        self._plan = plan
        self._registry = registry
        self._trips: dict[str, tuple[int, Reply]] = {}

    async def on_start(self) -> None:
        self.start_job("start", self._start)

    def handle(self, message: Any) -> Any:
        match message:
            case Trip(sail, token):
                name = f"trip {token}"
                self._trips[name] = (token, self.defer())
                self.start_job(name, self._sail, sail.trip_s)
                return DEFERRED
            case LeaseReleased():
                self._registry.signal(message)
            case LeaseLapsed(token=token):
                self.cancel_job(f"trip {token}")
            case Sink():
                raise RuntimeError("sunk")
            case Leave():
                self._registry.signal(
                    SessionEnding(id=self._id, reason="left", error=NoBerth("left"))
                )
                self.stop()
        return None

    def handle_job_end(self, end: JobEnded) -> None:
        if end.name == "start":
            self._start_ended(end)
            return
        token, reply = self._trips.pop(end.name)
        if end.cancelled:
            reply.refuse(NoBerth("cut short"))
        else:
            reply.answer(self._id)
        self._registry.signal(LeaseReleased(token=token))

    def _start_ended(self, end: JobEnded) -> None:
        if isinstance(end.error, NoBerth):
            plan = self._plan
            self._registry.signal(
                SessionFailed(
                    id=self._id, error=end.error, remember_s=plan.remember_s, keep=plan.keep
                )
            )
            self.stop()
        elif end.error is not None:
            raise end.error
        elif not end.cancelled:
            self._registry.signal(SessionStarted(id=self._id))
            self._registry.signal(Bell())

    async def _start(self) -> None:
        try:
            await trio.sleep(self._plan.start_s)
        except trio.Cancelled:
            with trio.CancelScope(shield=True):
                await trio.sleep(self._plan.clean_up_s)
            raise
        if self._plan.outcome == "refused":
            raise NoBerth("refused", "by the plan")
        if self._plan.outcome == "crash":
            raise RuntimeError("sunk at the start")

    async def _sail(self, trip_s: float) -> None:
        try:
            await trio.sleep(trip_s)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(self._plan.clean_up_s)


class Harbor(Registry):
    """The registry of boats; keeps what a test wants to look at."""

    def __init__(self, settings: AdmissionSettings, sessions: Supervisor, log: Log) -> None:
        super().__init__(settings, sessions)
        self._log = log
        log.registry = self

    def handle(self, message: Any) -> Any:  # noqa: PLR0911 - each answers in its own way
        match message:
            case Get(key, plan):
                return self.seek(key, plan)
            case Sail(key, by_id=True):
                return self.seek_id(key, use=message)
            case Sail(key, plan=plan):
                return self.seek(key, plan, use=message)
            case List():
                leases = self.admission.leases
                return {it.id: leases.count(it.id) > 0 for it in self.admission.visible()}
            case Close(boat_id):
                self.close_session(boat_id, "closed")
            case Adopt() | Wake() | Parked():
                return self._handle_parked(message)
            case Bell():
                self._log.on_bell()
            case Break():
                raise RuntimeError("broken")
            case _:
                return super().handle(message)
        return None

    def _handle_parked(self, message: Adopt | Wake | Parked) -> Any:
        match message:
            case Adopt(boat_id, key, unused_s):
                adopted = self.adopt_session(boat_id, key, unused_s=unused_s)
                self.look_around()
                return adopted
            case Wake(boat_id):
                return self.wake_session(boat_id)
            case Parked():
                return [entry.id for entry in self.admission.waiting()]

    def new_id(self) -> str:
        return f"{self.sessions.clock.random_bits(64):x}"

    def start_session(self, session_id: str, opening: Plan | None) -> ActorRef:
        registry, plan = self.ref, opening or Plan()
        self._log.starts.append(session_id)

        def build() -> Boat:
            boat = Boat(session_id, plan, registry)
            self._log.boats.append(weakref.ref(boat))
            return boat

        return self.sessions.spawn(build, f"boat/{session_id}", watcher=registry)

    def granted(self, grant: Grant) -> Berth:
        return Berth(grant.id, grant.is_new)

    def used(self, grant: Grant, use: Sail) -> Trip:
        self._log.on_grant()
        assert grant.token is not None
        return Trip(use, grant.token)

    def refused(self, refusal: Refuse) -> DomainError:
        if refusal.why is Why.FAILED:
            assert refusal.error is not None
            return refusal.error
        return NoBerth(refusal.why.value, refusal.reason)

    def crash_error(self) -> DomainError:
        return NoBerth("sunk")

    def session_gone(self, session_id: str) -> None:
        self._log.gone.append(session_id)

    def session_parked(self, session_id: str) -> None:
        self._log.parked.append(session_id)


class Log:
    """What a test sees of a harbor from inside, and where it reaches in."""

    registry: Harbor

    def __init__(self) -> None:
        self.starts: list[str] = []
        self.gone: list[str] = []
        self.parked: list[str] = []
        self.boats: list[weakref.ref[Boat]] = []
        self.on_grant: Callable[[], object] = lambda: None  # just before a trip is forwarded
        self.on_bell: Callable[[], object] = lambda: None  # just after, before the boat runs

    @property
    def tokens(self) -> list[int]:
        """Of all leases."""
        return list(self.registry.admission.leases._leases)


class OpenHarbor(msgspec.Struct, frozen=True, kw_only=True):
    ref: ActorRef
    boats: Supervisor
    log: Log

    async def ask(self, message: Any, *, timeout_s: float = 1000.0) -> Any:
        return await self.ref.ask(message, timeout_s=timeout_s)

    def boat(self, boat_id: str) -> ActorRef:
        ref = self.boats.lookup(f"boat/{boat_id}")
        assert ref is not None
        return ref


@asynccontextmanager
async def open_harbor(*, capacity: int = 2, wait_s: float = 0.0) -> AsyncIterator[OpenHarbor]:
    """Open a harbor whose idle time-out is 600 s and whose leases live 300 s."""
    settings = AdmissionSettings(
        capacity=capacity, idle_timeout_s=600.0, capacity_wait_s=wait_s, lease_life_s=300.0
    )
    log = Log()
    async with (
        open_supervisor("harbor", clock=SeededClock()) as outer,
        open_supervisor("boats", parent=outer) as boats,
    ):
        ref = outer.spawn(
            lambda: Harbor(settings, boats, log),
            "registry/boats",
            policy=ActorPolicy(restart=Restart.PERMANENT),
        )
        yield OpenHarbor(ref=ref, boats=boats, log=log)
