"""What a hosted session does when it is asked: events, or no.

Laws of this file: it awaits nothing, reads no clock and draws nothing; time comes in as `now`. A
refusal has no events. The events of one decision belong into one commit.

- Time is looked at first: whoever comes to a session whose time is up finds it expired, and that is
  the event, whatever was asked.
- One end wins: what has ended has no further events, and what comes too late is refused or, where
  the asker got what they wanted, ignored.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from actors.partner.hosted.acts import decide_act
from actors.partner.hosted.commands import Cancel, Command, Conclude, Expire
from actors.partner.hosted.errors import BoundElsewhere, IllegalTransition, SessionNotFound
from actors.partner.hosted.events import Recorded, event_of
from actors.partner.hosted.flows import FLOWS
from actors.partner.hosted.records import Hosted
from actors.partner.hosted.states import NEXT, State
from engine.clock import timestamp


def decide(state: Hosted | None, command: Command, now: datetime) -> list[Recorded]:
    """Return the events that `command` causes, in order; none when it changes nothing.

    Raises:
        PartnerError: what the command asks is refused; its class and fields say why.
    """
    if state is None:
        raise SessionNotFound
    at = timestamp(now)
    if state.session.is_overdue(at):
        return [_moved(state, State.EXPIRED, at, reason="time_ran_out")]
    match command:
        case Expire():
            return []
        case Conclude():
            return _conclude(state, at)
        case Cancel():
            return _cancel(state, command, at)
        case _:
            return decide_act(state, command, now)


def _cancel(state: Hosted, command: Cancel, at: str) -> list[Recorded]:
    session = state.session
    if session.state is State.CANCELLED:
        return []
    if State.CANCELLED not in NEXT[session.state]:
        raise IllegalTransition(session.state, "cancelled")
    bound = state.visit.browsers
    if command.by == "visitor" and bound and command.browser not in bound:
        raise BoundElsewhere
    return [_moved(state, State.CANCELLED, at, reason=f"by_{command.by}")]


def _conclude(state: Hosted, at: str) -> list[Recorded]:
    if state.session.state is not State.PROCESSING:
        return []
    flow = FLOWS[state.session.flow]
    verdict = flow.verdict(state.visit.plan, state.visit.answers)
    end = State.COMPLETED if verdict.completed else State.FAILED
    concluded = replace(state.session, result=verdict.result)
    return [_moved(replace(state, session=concluded), end, at, reason=verdict.reason)]


def _moved(state: Hosted, to: State, at: str, *, reason: str | None) -> Recorded:
    session = replace(state.session, state=to, reason=reason, updated_at=at, ended_at=at)
    return event_of(Hosted(session=session, visit=state.visit, seq=state.seq + 1))
