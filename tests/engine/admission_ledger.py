"""A ledger beside an `Admission`, which judges everything that it does.

Laws of this file: it believes nothing but its own books; it looks into the tables of what it judges
only to see that nothing is left there.
"""

from __future__ import annotations

import pytest

from engine.admission import Admission, AdmissionSettings
from engine.effects import Effects, Grant, Lapse, Park, Refuse, Start, Stop, Why
from engine.entries import Phase
from engine.errors import DomainError
from tests.engine.admission_books import IDLE_TIMEOUT_S, LEASE_LIFE_S, Books, Session


class Ledger(Books):
    """An `Admission`, and the books on it."""

    def __init__(self, *, capacity: int, wait_s: float) -> None:
        super().__init__(capacity=capacity, wait_s=wait_s)
        self.admission = Admission(
            AdmissionSettings(
                capacity=capacity,
                idle_timeout_s=IDLE_TIMEOUT_S,
                capacity_wait_s=wait_s,
                lease_life_s=LEASE_LIFE_S,
            )
        )
        self._closing: str | None = None
        self._failing: str | None = None

    # -- what can happen -----------------------------------------------------------------------

    def ask(self, key: str, *, use: bool = False) -> int:
        self.newest_ticket += 1
        new_id, opening = f"{key}/{self.newest_ticket}", f"how to open {key}"
        if key not in self.sessions:
            self.sessions[key] = Session(key, new_id)
        ticket = self.seat(self.sessions[key], use=use)
        effects = self.admission.ask(ticket, key, new_id, use=use, now=self.now, opening=opening)
        self.judge(effects)
        return ticket

    def ask_id(self, session_id: str, *, use: bool = False) -> int:
        self.newest_ticket += 1
        session = self.find(session_id)
        if session is None or not (session.begun or session.kept):
            refusal = Refuse(
                self.newest_ticket, Why.UNKNOWN, reason=self.admission.reason(session_id)
            )
            effects = self.admission.ask_id(self.newest_ticket, session_id, use=use, now=self.now)
            assert effects == [refusal]
            return self.newest_ticket
        ticket = self.seat(session, use=use)
        self.judge(self.admission.ask_id(ticket, session_id, use=use, now=self.now))
        return ticket

    def park(self, key: str, *, unused_s: float) -> None:
        """A session that was live before is found again."""
        self.newest_ticket += 1
        session_id, last_used = f"{key}/{self.newest_ticket}", self.now - unused_s
        known = key in self.sessions
        assert self.admission.park(session_id, key, last_used=last_used) != known
        if not known:
            session = self.sessions[key] = Session(key, session_id)
            session.kept, session.last_used = True, last_used
            self.rest(session)
        self.tick()

    def wake(self, session_id: str) -> None:
        session = self.find(session_id)
        wanted = session in self.parked and len(self.admission.visible()) < self.capacity
        if session is not None and wanted:
            session.woken = True
        effects = self.admission.wake(session_id, self.now)
        assert bool(effects) == wanted
        self.judge(effects)

    def left(self, number: int) -> None:
        ticket = self.waiting.pop(number, None)
        if ticket is not None:
            del ticket.session.waiting[number]
            self.over.append(number)
            self._park_unwanted(ticket.session)
        self.judge(self.admission.left(number, self.now))

    def started(self, session_id: str) -> None:
        session = self.find(session_id)
        if session is not None and session.begun and not session.ready:
            session.ready = True
            for ticket in session.waiting.values():
                ticket.since = self.now
            if session.kept and not session.waiting:
                session.live = True
                self.rest(session)
        self.judge(self.admission.started(session_id, self.now))

    def failed(self, session_id: str, *, remember_s: float = 0.0, keep: bool = False) -> None:
        session = self.find(session_id)
        if session is not None and remember_s:
            self.refused_until[session.key] = self.now + remember_s
        if session is not None and session.kept and keep:
            self._failing = session_id
            session.begun = session.ready = session.woken = False
            if session.waiting:
                session.last_used = self.now
        else:
            self.end(session)
        error = DomainError("failed")
        self.judge(
            self.admission.failed(session_id, error, self.now, remember_s=remember_s, keep=keep)
        )
        self._failing = None

    def ended(self, session_id: str) -> None:
        self.end(self.find(session_id))
        self.judge(self.admission.ended(session_id, "crashed", DomainError("ended"), self.now))

    def close(self, session_id: str) -> None:
        self._closing = session_id
        effects = self.admission.close(session_id, "closed", self.now)
        session = self.find(session_id)
        found = session is not None and (session.begun or session.kept)
        assert (Stop(session_id, "closed") in effects) == found
        self.judge(effects)
        self._closing = None

    def released(self, token: int) -> None:
        for session in self.live:
            if session.leases.pop(token, None) is not None:
                self.use(session)
                self.over.append(token)
        self.judge(self.admission.released(token, self.now))

    def renewed(self, token: int) -> None:
        for session in self.live:
            if token in session.leases:
                session.leases[token] = self.now + LEASE_LIFE_S
        assert self.admission.leases.renew(token, now=self.now)
        self.judge([])

    def tick(self) -> None:
        self.judge(self.admission.tick(self.now))
        due = self.admission.next_due()
        assert due is None or due > self.now, "a tick leaves nothing that is due"

    # -- the judge -----------------------------------------------------------------------------

    def judge(self, effects: Effects) -> None:
        """Enter the effects one by one, as they would be carried out, and look at the table."""
        for at, effect in enumerate(effects):
            match effect:
                case Start(session_id, opening):
                    self._judge_start(session_id, opening)
                case Stop(session_id, reason):
                    self._judge_stop(session_id, reason, effects[at + 1 :])
                case Park(session_id):
                    self._judge_park(session_id)
                case Grant():
                    self._judge_grant(effect)
                case Refuse():
                    self._judge_refusal(effect)
                case Lapse(session_id, token):
                    self._judge_lapse(session_id, token)
        for session in tuple(self.sessions.values()):
            if not session.begun and not session.waiting and not session.kept:
                del self.sessions[session.key]  # it was only in the queue
        self._judge_places([effect.id for effect in effects if isinstance(effect, Start)])
        self._judge_next_due()
        self._judge_nothing_is_left()

    def _judge_start(self, session_id: str, opening: str) -> None:
        session = self.find(session_id)
        assert session is not None, "one start for each key"
        assert not session.begun, "one start for each key"
        assert session.waiting or session.woken, "nothing starts that nobody waits for"
        assert session.woken or self.refused_until.get(session.key, self.now) <= self.now
        openings = [f"how to open {session.key}"] + [None] * session.kept
        assert opening in openings
        session.begun = True

    def _judge_park(self, session_id: str) -> None:
        session = self.find(session_id)
        assert session is not None
        assert session.kept, "only what was live before is parked"
        assert session.begun
        assert not session.live
        assert not session.waiting, "a start that somebody waits for goes on"
        session.begun = session.ready = False
        self._park_unwanted(session)

    def _park_unwanted(self, session: Session) -> None:
        """Whoever waited for it did so until now."""
        if session in self.parked:
            session.last_used = self.now

    def _judge_stop(self, session_id: str, reason: str, after: Effects) -> None:
        session = self.find(session_id)
        assert session is not None
        assert session.begun or session.kept
        assert not session.waiting, "nobody is left behind"
        assert self.admission.reason(session_id) == reason
        match reason:
            case "evicted":
                assert session is self.idle[0], "only the least recently used idle one is evicted"
                successor = after[0]
                assert isinstance(successor, Grant), "a victim goes only for one that is ready"
                taker = self.find(successor.id)
                assert taker is not None
                assert not taker.live
            case "idle_timeout":
                there = self.idle + self.parked
                assert session in there, "nothing leased or starting is put away"
                assert session.last_used + IDLE_TIMEOUT_S <= self.now
            case "closed":
                assert session_id == self._closing or not session.live
            case _:
                pytest.fail(f"stopped for an unknown reason: {reason}")
        self.end(session)

    def _judge_grant(self, grant: Grant) -> None:
        ticket = self.waiting.pop(grant.ticket)  # KeyError: answered twice, or has left
        session = ticket.session
        assert session is self.find(grant.id), "it has not ended"
        assert session.ready
        is_new = not session.live and not session.kept
        assert grant.is_new == is_new, "exactly one is_new for each session"
        assert next(iter(session.waiting)) == ticket.number, "the earliest still there comes first"
        assert (grant.token is not None) == ticket.use
        del session.waiting[ticket.number]
        session.live = True
        self.use(session)
        self.over.append(ticket.number)
        if grant.token is not None:
            assert grant.token > self.newest_token, "tokens only grow"
            self.newest_token = grant.token
            session.leases[grant.token] = self.now + LEASE_LIFE_S

    def _judge_refusal(self, refusal: Refuse) -> None:
        ticket = self.waiting.pop(refusal.ticket)  # KeyError: answered twice, or has left
        session = ticket.session
        del session.waiting[ticket.number]
        self.over.append(ticket.number)
        gone = self.find(session.id) is None
        match refusal.why:
            case Why.CAPACITY:
                assert not gone
                assert ticket.waits_for_capacity, "a start that has begun is waited for"
                assert ticket.since + self.wait_s <= self.now, "nobody is refused early"
                self._park_unwanted(session)
            case Why.FAILED:
                refused = self.refused_until.get(session.key, self.now) > self.now
                assert gone or refused or session.id == self._failing
                assert refusal.error is not None
                if not gone and session.id != self._failing:
                    session.last_used = ticket.unused_since  # to be refused is no use
            case Why.CLOSED:
                assert session.id == self._closing
            case Why.UNKNOWN:
                assert not session.begun

    def _judge_lapse(self, session_id: str, token: int) -> None:
        session = self.find(session_id)
        assert session is not None
        assert session.leases.pop(token) <= self.now
        self.use(session)
        self.over.append(token)

    # -- the table -----------------------------------------------------------------------------

    def _judge_places(self, begun: list[str]) -> None:
        visible = self.admission.visible()
        placed = {entry.id for entry in visible}
        challengers = [it for it in self.begun if it.id not in placed]
        queued = [it for it in self.sessions.values() if not it.begun and it.waiting]
        assert len(placed) <= self.capacity
        assert placed <= {it.id for it in self.begun}
        assert all(it.id in placed for it in self.live), "only who has a place is live"
        unwanted = [it for it in self.begun if not it.live and not it.waiting]
        assert all(it.kept and it.id in placed for it in unwanted), "nothing starts for nobody"
        waiting = {entry.id for entry in self.admission.waiting()}
        kept = {it.id for it in self.sessions.values() if it.kept}
        assert waiting == kept - placed, "what was live before is in one of the lists"
        assert all(self.sessions[it.key].last_used == it.last_used for it in visible)
        if queued or challengers:
            assert len(placed) == self.capacity, "nobody waits while a place is free"
        if queued:
            assert len(self.idle) <= len(challengers), "nobody waits while somebody could go"
        if any(it.id in begun for it in challengers):
            assert len(challengers) <= len(self.idle), "a victim for each challenger"
        if any(it.ready for it in challengers):
            assert not self.idle, "who is ready takes the place of whoever can go"

    def _judge_next_due(self) -> None:
        dues = [session.last_used + IDLE_TIMEOUT_S for session in self.idle + self.parked]
        dues += [at for session in self.live for at in session.leases.values()]
        dues += [it.since + self.wait_s for it in self.waiting.values() if it.waits_for_capacity]
        assert self.admission.next_due() == min(dues, default=None)

    def _judge_nothing_is_left(self) -> None:
        """Each table holds what the books tell, and nothing else."""
        entries, leases = self.admission._entries, self.admission.leases
        ids = {session.id for session in self.sessions.values()}
        assert ids == entries.by_id.keys()
        assert self.sessions.keys() == entries.by_key.keys()
        assert self.waiting.keys() == entries.by_ticket.keys()
        assert ids == {entry_id for phase in Phase for entry_id in entries._in[phase]}
        assert [session.id for session in self.idle] == list(entries.idle)
        assert entries.patience.keys() == {
            number for number, ticket in self.waiting.items() if ticket.waits_for_capacity
        }
        assert leases._leases.keys() == set(self.tokens)
        assert leases._by_holder.keys() == {it.id for it in self.live if it.leases}
        for entry in entries.by_id.values():
            assert entry.phase is Phase.QUEUED or entry.opening is None, "secrets are let go"
