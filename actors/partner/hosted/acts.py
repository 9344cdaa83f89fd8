"""What a visitor may do with a hosted session.

Laws of this file: as `decision`, which it is a part of; the session's time is not up.

- The first act binds the session to its browser. Others come in only by a link that a bound one has
  made; each such link works once, for a while, and only until there is a newer one.
- What is done twice (a double click, a form sent again) happens once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, assert_never

from msgspec.structs import replace

from actors.partner.hosted.commands import Act, Begin, Extend, GiveAnswer, OfferHandOver, TakeOver
from actors.partner.hosted.errors import (
    BoundElsewhere,
    HandOverUnusable,
    IllegalTransition,
    LimitOfVisit,
)
from actors.partner.hosted.events import Recorded, event_of
from actors.partner.hosted.flows import FLOWS, Flow
from actors.partner.hosted.records import FlowAnswer, HandOver, Hosted, Visit
from actors.partner.hosted.states import OPEN, State
from engine.clock import timestamp

# WCAG 2.2.1 asks for at least ten; with the session's first time that bounds its life.
MAX_EXTENSIONS: Final = 10
MAX_HANDOVERS: Final = 5


def decide_act(state: Hosted, act: Act, now: datetime) -> list[Recorded]:
    """Return the event that the act causes; none when it changes nothing.

    Raises:
        PartnerError: the act is refused.
    """
    at = timestamp(now)
    match act:
        case Begin(browser=browser):
            return _if_changed(state, _acting(state, browser, at, "begun"))
        case GiveAnswer():
            return _answer(state, act, at)
        case Extend():
            return _extend(state, act, now)
        case OfferHandOver():
            return _offer(state, act, now)
        case TakeOver():
            return _take_over(state, act, at)
        case _:
            assert_never(act)


def _acting(state: Hosted, browser: str, at: str, wanted: str) -> Hosted:
    """Return the state in which this browser acts: begun, and bound to it if nobody came before.

    Raises:
        IllegalTransition: it is too late to act.
        BoundElsewhere: another browser came before.
    """
    session, visit = state.session, state.visit
    if session.state not in OPEN:
        raise IllegalTransition(session.state, wanted)
    if session.state is State.IN_PROGRESS:
        if browser not in visit.browsers:
            raise BoundElsewhere
        return state
    begun = replace(session, state=State.IN_PROGRESS, updated_at=at)
    return Hosted(session=begun, visit=replace(visit, browsers=(browser,)), seq=state.seq + 1)


def _if_changed(before: Hosted, after: Hosted) -> list[Recorded]:
    return [] if after is before else [event_of(after)]


def _answer(state: Hosted, act: GiveAnswer, at: str) -> list[Recorded]:
    acting = _acting(state, act.browser, at, "answered")
    begun = _if_changed(state, acting)
    flow, visit = FLOWS[state.session.flow], acting.visit
    step = flow.step(visit.plan, visit.answers)
    if step is None or step.id != act.step:
        return begun
    kept = flow.check(visit.plan, visit.answers, act.answer)
    return [*begun, event_of(_answered(acting, flow, kept, at))]


def _answered(acting: Hosted, flow: Flow, kept: FlowAnswer, at: str) -> Hosted:
    visit = replace(acting.visit, answers=(*acting.visit.answers, kept))
    is_last = flow.step(visit.plan, visit.answers) is None
    session = replace(
        acting.session,
        state=State.PROCESSING if is_last else State.IN_PROGRESS,
        progress=flow.progress(visit.plan, visit.answers),
        updated_at=at,
    )
    return Hosted(session=session, visit=visit, seq=acting.seq + 1)


def _extend(state: Hosted, command: Extend, now: datetime) -> list[Recorded]:
    at = timestamp(now)
    acting = _acting(state, command.browser, at, "extended")
    session, visit = acting.session, acting.visit
    if session.expires_at != command.until:
        return _if_changed(state, acting)
    if visit.extensions >= MAX_EXTENSIONS:
        raise LimitOfVisit("More time", limit=MAX_EXTENSIONS)
    end = datetime.fromisoformat(session.expires_at) + timedelta(seconds=command.by_s)
    return [
        event_of(
            Hosted(
                session=replace(session, expires_at=timestamp(end), updated_at=at),
                visit=replace(visit, extensions=visit.extensions + 1),
                seq=state.seq + 1,
            )
        )
    ]


def _offer(state: Hosted, command: OfferHandOver, now: datetime) -> list[Recorded]:
    at = timestamp(now)
    acting = _acting(state, command.browser, at, "handed over")
    visit = acting.visit
    if visit.hand_over(command.digest) is not None:
        return _if_changed(state, acting)
    if len(visit.handovers) >= MAX_HANDOVERS:
        raise LimitOfVisit("A link to another device", limit=MAX_HANDOVERS)
    # A new link is the only one that works: the one before may have been seen by others.
    before = tuple(replace(it, expires_at=min(it.expires_at, at)) for it in visit.handovers)
    expires_at = timestamp(now + timedelta(seconds=command.life_s))
    offered = HandOver(digest=command.digest, expires_at=expires_at)
    return [_visited(acting, replace(visit, handovers=(*before, offered)), state.seq + 1, at)]


def _take_over(state: Hosted, command: TakeOver, at: str) -> list[Recorded]:
    visit = state.visit
    if state.session.state not in OPEN:
        raise IllegalTransition(state.session.state, "continued")
    if command.browser in visit.browsers:
        return []
    offered = visit.hand_over(command.digest)
    if offered is None:
        raise BoundElsewhere
    if offered.used or at >= offered.expires_at:
        raise HandOverUnusable(used=offered.used)
    handovers = tuple(
        replace(it, used=True) if it.digest == command.digest else it for it in visit.handovers
    )
    browsers = (*visit.browsers, command.browser)
    after = replace(visit, handovers=handovers, browsers=browsers)
    return [_visited(state, after, state.seq + 1, at)]


def _visited(state: Hosted, visit: Visit, seq: int, at: str) -> Recorded:
    return event_of(Hosted(session=replace(state.session, updated_at=at), visit=visit, seq=seq))
