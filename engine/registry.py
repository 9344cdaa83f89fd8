"""The registry actor: the only one that starts, evicts and retires the sessions of one kind.

It carries out what `engine.admission` decides, and never waits: a list is answered at once while
ten starts run. A family subclasses it and says what its sessions are.

What it asks of a session's actor: policy TEMPORARY, and this registry as its watcher. It signals
`SessionStarted` once, or `SessionFailed` and stops; `SessionEnding` before it stops by itself; and
`LeaseReleased` once for each lease that it was given, also when it gets that message from its own
inbox, which means that the caller left before the work was begun.
"""

from __future__ import annotations

from math import inf
from typing import Any, Final, assert_never

import msgspec
import trio

from engine.actor import DEFERRED, Actor, StopReason
from engine.admission import Admission, AdmissionSettings
from engine.cell import ActorEnded
from engine.effects import Effect, Effects, Grant, Lapse, Park, Refuse, Start, Stop
from engine.errors import DomainError, SpawnError, anew
from engine.ref import ActorRef
from engine.reply import Reply
from engine.supervisor import Supervisor

_TICK: Final = "registry.tick"


class SessionStarted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signalled by a session that can be used now."""

    id: str


class SessionFailed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signalled by a session that could not start; its key is refused for `remember_s`.

    Args:
        reason: why the id has ended, if it was known before.
        keep: it was live before, and may be started again.
    """

    id: str
    error: DomainError
    remember_s: float = 0.0
    reason: str | None = None
    keep: bool = False


class SessionEnding(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signalled by a session that ends by itself."""

    id: str
    reason: str
    error: DomainError


class LeaseRenewed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signalled when the work that a lease is for begins: its longest life counts from now."""

    token: int


class LeaseReleased(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signalled when the work that a lease was for has ended, however it ended."""

    token: int


class LeaseLapsed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signalled to the session: a lease has outlived its life, and its work must end."""

    token: int


class AskRegistryStatistics(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask for `AdmissionStatistics`."""


class _Left(msgspec.Struct, frozen=True):
    ticket: int


class _Tick(msgspec.Struct, frozen=True):
    pass


class _Seeker:
    """One waiting caller, and what it wants the session for."""

    __slots__ = ("reply", "use")

    def __init__(self, reply: Reply, use: Any) -> None:
        self.reply = reply
        self.use = use


class Registry(Actor):
    """Base of the registries; a family implements `new_id`, `build` and the answers.

    Args:
        settings: the policy's figures.
        sessions: the supervisor that the sessions live in.
    """

    def __init__(self, settings: AdmissionSettings, sessions: Supervisor) -> None:
        # A restarted registry still hears from sessions of the one before: a token of theirs must
        # mean nothing to it. No registry grants a lease each nanosecond of its life.
        newest_token = int(trio.current_time() * 1e9)
        self.admission = Admission(settings, newest_token=newest_token)
        self.sessions = sessions
        self._refs: dict[str, ActorRef] = {}  # of all that have begun to start
        self._here: set[str] = set()  # those, and the parked ones
        # Parked again, their actors on the way out: an address is free only once its actor ended.
        self._leaving: set[str] = set()
        self._delayed: dict[str, Any] = {}  # to be started then, and their openings
        self._seekers: dict[int, _Seeker] = {}
        self._tickets = 0
        self._tick_at = inf  # when the timer goes off; never later than the next due

    # -- what a family says --------------------------------------------------------------------

    def new_id(self) -> str:
        """Return an id that nobody can guess."""
        raise NotImplementedError

    def start_session(self, session_id: str, opening: Any) -> ActorRef:
        """Spawn the session's actor, watched by this one."""
        raise NotImplementedError

    def granted(self, grant: Grant) -> Any:
        """Return the answer for a caller that only wanted to have the session."""
        raise NotImplementedError

    def used(self, grant: Grant, use: Any) -> Any:
        """Return the message that makes the session do `use`; it answers the caller itself."""
        raise NotImplementedError

    def refused(self, refusal: Refuse) -> DomainError:
        """Return the error for a caller that gets no session."""
        raise NotImplementedError

    def crash_error(self) -> DomainError:
        """Return the error for callers of a session whose actor crashed or could not be spawned."""
        raise NotImplementedError

    def session_gone(self, session_id: str) -> None:
        """Called once when an id that had begun to start, or was parked, has left for good."""

    def session_parked(self, session_id: str) -> None:
        """Called when a start has come to nothing, and the id waits to be asked for again."""

    # -- for a family's handler ----------------------------------------------------------------

    def seek(self, key: str, opening: Any, *, use: Any = None) -> Any:
        """Find or start the session of `key` for the ask in hand; return this from the handler."""
        effects = self.admission.ask(
            self._seat(use),
            key,
            self.new_id(),
            opening=opening,
            use=use is not None,
            now=trio.current_time(),
        )
        self._carry_out(effects)
        return DEFERRED

    def seek_id(self, session_id: str, *, use: Any = None) -> Any:
        """Find the session with this id for the ask in hand; return this from the handler."""
        ticket = self._seat(use)
        now = trio.current_time()
        self._carry_out(self.admission.ask_id(ticket, session_id, use=use is not None, now=now))
        return DEFERRED

    def adopt_session(self, session_id: str, key: str, *, unused_s: float) -> bool:
        """Park a session that was live before; False when its key or its id is here already."""
        last_used = trio.current_time() - unused_s
        adopted = self.admission.park(session_id, key, last_used=last_used)
        if adopted:
            self._here.add(session_id)
        return adopted

    def wake_session(self, session_id: str) -> bool:
        """Start a parked session that nobody has asked for; False when it can't be now."""
        effects = self.admission.wake(session_id, trio.current_time())
        self._carry_out(effects)
        return bool(effects)

    def look_around(self) -> None:
        """Do what is due by now."""
        self._carry_out(self.admission.tick(trio.current_time()))

    def close_session(self, session_id: str, reason: str) -> ActorRef | None:
        """Take a session out of the table and stop it; None when there is none of that id."""
        ref = self._refs.get(session_id)
        self._carry_out(self.admission.close(session_id, reason, trio.current_time()))
        return ref

    def session(self, session_id: str) -> ActorRef | None:
        """Return the ref of a session in the table."""
        return self._refs.get(session_id)

    # -- the actor -----------------------------------------------------------------------------

    def handle(self, message: Any) -> Any:
        now = trio.current_time()
        admission = self.admission
        match message:
            case SessionStarted(id=id_) | SessionFailed(id=id_) if id_ in self._leaving:
                pass  # it says so of the start that has come to nothing
            case SessionStarted():
                self._carry_out(admission.started(message.id, now))
            case SessionFailed():
                self._start_failed(message, now)
            case SessionEnding() if message.id in self._refs:
                effects = admission.ended(message.id, message.reason, message.error, now)
                self._forget(message.id)
                self._carry_out(effects)
            case SessionEnding():
                pass  # it was stopped from here, or by the registry before this one
            case LeaseRenewed():
                admission.leases.renew(message.token, now=now)
            case LeaseReleased():
                self._carry_out(admission.released(message.token, now))
            case ActorEnded():
                self._session_ended(message, now)
            case _Left():
                self._seekers.pop(message.ticket, None)
                self._carry_out(admission.left(message.ticket, now))
            case AskRegistryStatistics():
                return admission.statistics()
            case _Tick():
                self._tick_at = inf
                self._carry_out(admission.tick(now))
            case _:
                raise TypeError(f"{self.ref.address} does not know {message!r}")
        return None

    async def on_stop(self, reason: StopReason) -> None:
        # Sessions answer to their registry: without it they would live unseen.
        for ref in self._refs.values():
            self.sessions.stop_soon(ref)

    def _seat(self, use: Any) -> int:
        self._tickets += 1
        ticket = self._tickets
        reply = self.defer(on_gone=_Left(ticket))
        self._seekers[ticket] = _Seeker(reply, use)
        return ticket

    def _start_failed(self, failed: SessionFailed, now: float) -> None:
        session_id = failed.id
        if not self.admission.has_begun(session_id):
            return  # a start of the registry before this one
        effects = self.admission.failed(
            session_id,
            anew(failed.error),  # it may be remembered: without what it was raised by
            now,
            remember_s=failed.remember_s,
            reason=failed.reason,
            keep=failed.keep,
        )
        if self.admission.has(session_id):
            self._leave(session_id)
        else:
            self._forget(session_id)
        self._carry_out(effects)

    def _session_ended(self, end: ActorEnded, now: float) -> None:
        session_id = end.address.partition("/")[2]
        if session_id in self._leaving:
            self._leaving.discard(session_id)
            if session_id in self._delayed:
                self._start_session(session_id, self._delayed.pop(session_id))
        elif session_id in self._refs:
            effects = self.admission.ended(session_id, "crashed", self.crash_error(), now)
            self._forget(session_id)
            self._carry_out(effects)

    def _carry_out(self, effects: Effects) -> None:
        for effect in effects:
            self._carry_out_one(effect)
        due = self.admission.next_due()
        # Use puts the next due off with every message: the timer stays, and looks again.
        if due is not None and due < self._tick_at:
            self._tick_at = due
            self.set_timer(_TICK, max(0.0, due - trio.current_time()), _Tick())

    def _carry_out_one(self, effect: Effect) -> None:
        match effect:
            case Start(session_id, opening):
                self._start_session(session_id, opening)
            case Stop(session_id):
                self._stop_session(session_id)
            case Park(session_id):
                self._park_session(session_id)
            case Grant():
                self._grant(effect)
            case Refuse(ticket, why):
                self.admission.counts.has_refused(why)
                self._seekers.pop(ticket).reply.refuse(anew(self.refused(effect)))
            case Lapse(session_id, token):
                self._refs[session_id].signal(LeaseLapsed(token=token))
            case _:
                assert_never(effect)

    def _start_session(self, session_id: str, opening: Any) -> None:
        self._here.add(session_id)
        if session_id in self._leaving:
            self._delayed[session_id] = opening
            return
        try:
            self._refs[session_id] = self.start_session(session_id, opening)
        except SpawnError:
            # The sessions' supervisor is stopping; who waits is answered, as for any other failure.
            failed = SessionFailed(id=session_id, error=self.crash_error(), keep=True)
            self.ref.signal(failed)

    def _grant(self, grant: Grant) -> None:
        seeker = self._seekers.pop(grant.ticket)
        if grant.token is None:
            seeker.reply.answer(self.granted(grant))
            return
        message = self.used(grant, seeker.use)
        released = LeaseReleased(token=grant.token)
        if not seeker.reply.forward(self._refs[grant.id], message, on_gone=released):
            # The caller left in this very step: nothing will run that could release the lease.
            self.ref.signal(released)

    def _stop_session(self, session_id: str) -> None:
        ref = self._refs.get(session_id)
        if ref is not None:
            self.sessions.stop_soon(ref)
        self._delayed.pop(session_id, None)
        self._forget(session_id)

    def _park_session(self, session_id: str) -> None:
        ref = self._refs.get(session_id)
        if ref is not None:
            self.sessions.stop_soon(ref)
        self._leave(session_id)

    def _leave(self, session_id: str) -> None:
        """The actor of a start that has come to nothing is on its way out; its id is not."""
        if self._refs.pop(session_id, None) is not None:
            self._leaving.add(session_id)
        self._delayed.pop(session_id, None)
        self.session_parked(session_id)

    def _forget(self, session_id: str) -> None:
        self._refs.pop(session_id, None)
        if session_id in self._here:
            self._here.discard(session_id)
            self.session_gone(session_id)
