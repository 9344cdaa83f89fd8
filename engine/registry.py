"""The registry actor: the only one that starts, evicts and retires the sessions of one kind.

It carries out what `engine.admission` decides, and never waits: a list is answered at once while
ten starts run. A family subclasses it and says what its sessions are.
"""

from __future__ import annotations

from typing import Any

import msgspec
import trio

from engine.actor import DEFERRED, Actor, StopReason
from engine.admission import (
    Admission,
    AdmissionSettings,
    Effect,
    Effects,
    Grant,
    Lapse,
    Refuse,
    Start,
    Stop,
)
from engine.cell import ActorEnded
from engine.errors import DomainError
from engine.ref import ActorRef
from engine.reply import Reply
from engine.supervisor import Supervisor


class SessionStarted(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signalled by a session that can be used now."""

    id: str


class SessionFailed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signalled by a session that could not start; its key is refused for `remember_s`."""

    id: str
    error: DomainError
    remember_s: float = 0.0


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
        self.admission = Admission(settings)
        self.sessions = sessions
        self._refs: dict[str, ActorRef] = {}
        self._openings: dict[str, Any] = {}  # of those that have not started: what they need
        self._seekers: dict[int, _Seeker] = {}
        self._tickets = 0

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
        """Return the error for callers of a session whose actor crashed."""
        raise NotImplementedError

    def session_gone(self, session_id: str) -> None:
        """Called when an id has left the table, whatever the reason."""

    # -- for a family's handler ----------------------------------------------------------------

    def seek(self, key: str, opening: Any, *, use: Any = None) -> Any:
        """Find or start the session of `key` for the ask in hand; return this from the handler."""
        ticket, new_id = self._seat(use), self.new_id()
        self._openings[new_id] = opening
        now = trio.current_time()
        self._carry_out(self.admission.ask(ticket, key, new_id, use=use is not None, now=now))
        if not self.admission.knows(new_id):
            self._openings.pop(new_id, None)
        return DEFERRED

    def seek_id(self, session_id: str, *, use: Any = None) -> Any:
        """Find the session with this id for the ask in hand; return this from the handler."""
        ticket = self._seat(use)
        now = trio.current_time()
        self._carry_out(self.admission.ask_id(ticket, session_id, use=use is not None, now=now))
        return DEFERRED

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
            case SessionStarted():
                self._carry_out(admission.started(message.id, now))
            case SessionFailed():
                self._carry_out(
                    admission.failed(message.id, message.error, now, remember_s=message.remember_s)
                )
                self._forget(message.id)
            case SessionEnding():
                self._carry_out(admission.ended(message.id, message.reason, message.error, now))
                self._forget(message.id)
            case LeaseRenewed():
                life_s = admission.settings.lease_life_s
                admission.leases.renew(message.token, now=now, life_s=life_s)
                self._carry_out([])
            case LeaseReleased():
                self._carry_out(admission.released(message.token, now))
            case ActorEnded():
                self._session_ended(message, now)
            case _Left():
                self._seekers.pop(message.ticket, None)
                self._carry_out(admission.left(message.ticket, now))
            case _Tick():
                self._carry_out(admission.tick(now))
            case _:
                raise TypeError(f"{self.ref.address} does not know {message!r}")

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

    def _session_ended(self, end: ActorEnded, now: float) -> None:
        session_id = end.address.partition("/")[2]
        if session_id in self._refs:
            error = self.crash_error()
            self._carry_out(self.admission.ended(session_id, "crashed", error, now))
            self._forget(session_id)

    def _carry_out(self, effects: Effects) -> None:
        for effect in effects:
            self._carry_out_one(effect)
        due = self.admission.next_due()
        if due is None:
            self.cancel_timer("registry.tick")
        else:
            self.set_timer("registry.tick", max(0.0, due - trio.current_time()), _Tick())

    def _carry_out_one(self, effect: Effect) -> None:
        match effect:
            case Start(session_id):
                opening = self._openings.pop(session_id)
                self._refs[session_id] = self.start_session(session_id, opening)
            case Stop(session_id):
                self._stop_session(session_id)
            case Grant():
                self._grant(effect)
            case Refuse(ticket):
                self._seekers.pop(ticket).reply.refuse(self.refused(effect))
            case Lapse(session_id, token):
                self._refs[session_id].signal(LeaseLapsed(token=token))

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
        self._forget(session_id)

    def _forget(self, session_id: str) -> None:
        self._refs.pop(session_id, None)
        self._openings.pop(session_id, None)
        self.session_gone(session_id)
