"""What a test of the admission policy knows of its sessions and callers.

Laws of this file: it shares no code with the policy, and learns only what the world told the policy
and what the effects say.
"""

from __future__ import annotations

IDLE_TIMEOUT_S = 10.0
LEASE_LIFE_S = 7.0


class Session:
    """One session, from the first who asks for it to its end."""

    def __init__(self, key: str, session_id: str) -> None:
        self.key = key
        self.id = session_id
        self.begun = False  # its Start was seen
        self.ready = False  # its start has succeeded
        self.live = False  # it was granted to somebody, or woken
        self.kept = False  # it was live before this table was
        self.woken = False  # it starts, and nobody has asked for that
        self.leases: dict[int, float] = {}  # token: when it lapses
        self.last_used = 0.0
        self.turn = 0  # of its last use: tells apart what happened at one time
        self.waiting: dict[int, Ticket] = {}  # in order of arrival


class Ticket:
    """One caller that has not been answered."""

    def __init__(self, number: int, session: Session, *, use: bool, since: float) -> None:
        self.number = number
        self.session = session
        self.use = use
        self.unused_since = session.last_used  # until it came
        self.since = since  # of its wait for capacity; counts anew once its challenger is ready

    @property
    def waits_for_capacity(self) -> bool:
        return self.session.ready or not self.session.begun


class Books:
    """Every session that is asked for and not gone, and every caller that waits."""

    def __init__(self, *, capacity: int, wait_s: float) -> None:
        self.capacity = capacity
        self.wait_s = wait_s
        self.now = 0.0
        self.sessions: dict[str, Session] = {}  # by key
        self.waiting: dict[int, Ticket] = {}
        self.refused_until: dict[str, float] = {}  # by key
        self.gone: list[str] = []
        self.over: list[int] = []  # tickets and tokens that must not work any more
        self.newest_token = 0
        self.newest_ticket = 0
        self._turns = 0

    @property
    def begun(self) -> list[Session]:
        return [it for it in self.sessions.values() if it.begun]

    @property
    def starting(self) -> list[Session]:
        return [it for it in self.begun if not it.ready]

    @property
    def live(self) -> list[Session]:
        return [it for it in self.begun if it.live]

    @property
    def idle(self) -> list[Session]:
        """Live, and leased by nobody; least recently used first."""
        idle = (it for it in self.live if not it.leases)
        return sorted(idle, key=lambda it: (it.last_used, it.turn))

    @property
    def parked(self) -> list[Session]:
        return [it for it in self.sessions.values() if it.kept and not it.begun and not it.waiting]

    @property
    def tokens(self) -> list[int]:
        return [token for session in self.live for token in session.leases]

    def find(self, session_id: str) -> Session | None:
        session = self.sessions.get(session_id.partition("/")[0])
        return session if session is not None and session.id == session_id else None

    def seat(self, session: Session, *, use: bool) -> int:
        ticket = Ticket(self.newest_ticket, session, use=use, since=self.now)
        self.waiting[ticket.number] = session.waiting[ticket.number] = ticket
        session.last_used = self.now
        return ticket.number

    def use(self, session: Session) -> None:
        session.last_used = self.now
        self.rest(session)

    def rest(self, session: Session) -> None:
        self._turns += 1
        session.turn = self._turns

    def end(self, session: Session | None) -> None:
        """It is out of the table; those who wait for it stay until each is answered."""
        if session is not None:
            del self.sessions[session.key]
            self.gone.append(session.id)
            self.over += session.leases
