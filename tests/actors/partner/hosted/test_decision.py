"""What a hosted session decides: each rule by an example, and all of them by random programs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from actors.partner import PartnerError
from actors.partner.hosted import (
    ENDS,
    FINAL_TYPES,
    MAX_EXTENSIONS,
    MAX_HANDOVERS,
    NEXT,
    OPEN,
    AnswerInvalid,
    Begin,
    BoundElsewhere,
    Cancel,
    Command,
    Conclude,
    Expire,
    Extend,
    GiveAnswer,
    HandOverUnusable,
    Hosted,
    IllegalTransition,
    LimitOfVisit,
    OfferHandOver,
    Recorded,
    SessionNotFound,
    State,
    TakeOver,
    decide,
    decode_event,
    encode_event,
)
from actors.partner.hosted.decider import HostedDecider
from actors.partner.hosted.events import state_after
from engine.clock import timestamp
from tests.actors.partner.hosted.sessions import NOW, new_session

AGREE = {"choice": "agree"}


class Life:
    """One session, and the time."""

    def __init__(self, **fields: Any) -> None:
        self.it = new_session(**fields)
        self.now = NOW
        self.log: list[Recorded] = []

    def do(self, command: Command) -> list[Recorded]:
        events = decide(self.it, command, self.now)
        for event in events:
            self.check(self.it, state_after(event))
            self.log.append(event)
            self.it = state_after(event)
        return events

    @staticmethod
    def check(before: Hosted, after: Hosted) -> None:
        """What holds from one event to the next, whatever was asked."""
        was, now = before.session, after.session
        assert after.seq == before.seq + 1
        assert now.state in NEXT[was.state] or now.state is was.state is State.IN_PROGRESS
        assert now.updated_at >= was.updated_at
        assert after.visit.browsers[: len(before.visit.browsers)] == before.visit.browsers
        assert (now.ended_at is not None) == (now.state in ENDS)
        assert now.expires_at >= was.expires_at

    @property
    def state(self) -> State:
        return self.it.session.state

    def more_time(self, browser: str = "a") -> Extend:
        """Return what the button of a page that shows the session as it is asks for."""
        return Extend(browser=browser, by_s=60, until=self.it.session.expires_at)

    def answer(self, choice: str = "agree", browser: str = "a") -> list[Recorded]:
        return self.do(GiveAnswer(browser=browser, step="consent", answer={"choice": choice}))


def test_the_first_act_binds_the_session_to_its_browser() -> None:
    life = Life()
    life.do(Begin(browser="a"))
    assert life.state is State.IN_PROGRESS
    assert life.do(Begin(browser="a")) == []
    for act in (
        Begin(browser="b"),
        GiveAnswer(browser="b", step="consent", answer=AGREE),
        life.more_time("b"),
        OfferHandOver(browser="b", digest="d", life_s=60),
        TakeOver(browser="b", digest="d"),
        Cancel(by="visitor", browser="b"),
    ):
        with pytest.raises(BoundElsewhere):
            life.do(act)


def test_an_answered_session_is_processed_and_then_completed_or_failed() -> None:
    for choice, end in (("agree", State.COMPLETED), ("decline", State.FAILED)):
        life = Life()
        life.do(Begin(browser="a"))
        life.answer(choice)
        assert life.state is State.PROCESSING
        assert life.it.session.ended_at is None
        life.do(Conclude())
        assert life.state is end
        assert life.it.session.result == {"agreed": choice == "agree"}
        assert life.it.session.reason == (None if choice == "agree" else "declined")


def test_what_is_being_processed_can_be_neither_cancelled_nor_expire() -> None:
    life = Life()
    life.answer()
    for by in ("partner", "visitor"):
        with pytest.raises(IllegalTransition):
            life.do(Cancel(by=by, browser="a"))  # type: ignore[arg-type]
    life.now += timedelta(days=1)
    assert life.do(Expire()) == []
    life.do(Conclude())
    assert life.state is State.COMPLETED


def test_an_answer_that_is_none_or_comes_twice_changes_nothing() -> None:
    life = Life()
    life.do(Begin(browser="a"))
    with pytest.raises(AnswerInvalid):
        life.answer("perhaps")
    assert life.do(GiveAnswer(browser="a", step="another", answer=AGREE)) == []
    life.answer()
    with pytest.raises(IllegalTransition):
        life.answer()


def test_whoever_comes_to_a_session_whose_time_is_up_finds_it_expired() -> None:
    for act in (
        Begin(browser="a"),
        Cancel(by="partner"),
        Expire(),
        Extend(browser="a", by_s=60, until=""),
    ):
        life = Life(ttl_s=60)
        life.now += timedelta(seconds=60)
        assert life.do(act)[0].type == "session.expired"
        assert life.it.session.reason == "time_ran_out"


def test_cancelling_twice_is_fine_and_cancelling_another_end_is_not() -> None:
    life = Life()
    life.do(Cancel(by="partner"))
    assert life.it.session.reason == "by_partner"
    assert life.do(Cancel(by="partner")) == []
    life = Life()
    life.answer()
    life.do(Conclude())
    with pytest.raises(IllegalTransition):
        life.do(Cancel(by="partner"))


def test_time_is_extended_by_a_click_at_least_ten_times_and_not_for_ever() -> None:
    life = Life(ttl_s=60)
    life.do(Begin(browser="a"))
    ends = life.it.session.expires_at
    for number in range(MAX_EXTENSIONS):
        life.now += timedelta(seconds=59 if number else 0)
        click = life.more_time()
        assert len(life.do(click)) == 1
        assert life.do(click) == []  # a double click costs one, not two
        later = datetime.fromisoformat(ends) + timedelta(seconds=60)
        assert life.it.session.expires_at == timestamp(later)
        ends = timestamp(later)
    assert MAX_EXTENSIONS >= 10
    with pytest.raises(LimitOfVisit):
        life.do(life.more_time())
    life.now = datetime.fromisoformat(ends)
    life.do(Expire())
    assert life.state is State.EXPIRED


def test_a_phone_takes_over_once_by_a_link_of_its_own_and_within_its_time() -> None:
    life = Life()
    life.do(OfferHandOver(browser="a", digest="d1", life_s=60))
    assert life.it.visit.browsers == ("a",)
    life.do(TakeOver(browser="phone", digest="d1"))
    assert life.do(TakeOver(browser="phone", digest="d1")) == []
    with pytest.raises(HandOverUnusable) as refused:
        life.do(TakeOver(browser="thief", digest="d1"))
    assert refused.value.used
    life.do(OfferHandOver(browser="a", digest="d2", life_s=60))
    life.now += timedelta(seconds=60)
    with pytest.raises(HandOverUnusable) as refused:
        life.do(TakeOver(browser="late", digest="d2"))
    assert not refused.value.used
    life.answer(browser="phone")
    assert life.state is State.PROCESSING


def test_a_link_to_another_device_leads_nowhere_once_it_has_ended() -> None:
    for end in ("cancelled", "answered"):
        life = Life()
        life.do(OfferHandOver(browser="a", digest="d1", life_s=60))
        if end == "cancelled":
            life.do(Cancel(by="partner"))
        else:
            life.answer()
        for browser in ("phone", "a"):
            with pytest.raises(IllegalTransition):
                life.do(TakeOver(browser=browser, digest="d1"))


def test_a_newer_link_is_the_only_one_that_works_and_their_number_is_bounded() -> None:
    life = Life()
    for number in range(MAX_HANDOVERS):
        life.do(OfferHandOver(browser="a", digest=f"d{number}", life_s=600))
    with pytest.raises(HandOverUnusable):
        life.do(TakeOver(browser="b", digest="d0"))
    life.do(TakeOver(browser="b", digest=f"d{MAX_HANDOVERS - 1}"))
    with pytest.raises(LimitOfVisit):
        life.do(OfferHandOver(browser="a", digest="more", life_s=600))


def test_there_is_nothing_to_do_with_a_session_that_is_not_there() -> None:
    with pytest.raises(SessionNotFound):
        decide(None, Begin(browser="a"), NOW)


_BROWSER = st.sampled_from(("a", "b", "c"))
_SPREAD = st.sampled_from((0.0, 0.001, 1.0, 20.0, 31.0))


class LifeMachine(RuleBasedStateMachine):
    """Everything that can be asked of a session, in any order, wrong and late included."""

    @initialize(flow=st.sampled_from(("consent", "challenge")), seed=st.integers(0, 3))
    def create(self, flow: str, seed: int) -> None:
        self.life = Life(flow=flow, ttl_s=60, seed=seed)
        self.offered: list[str] = []

    def do(self, command: Command) -> None:
        before = self.life.it
        try:
            events = self.life.do(command)
        except PartnerError:
            assert self.life.it is before
            return
        assert events or self.life.it is before

    @rule(browser=_BROWSER)
    def begin(self, browser: str) -> None:
        self.do(Begin(browser=browser))

    @rule(browser=_BROWSER, choice=st.sampled_from(("agree", "decline", "x")))
    def choose(self, browser: str, choice: str) -> None:
        self.do(GiveAnswer(browser=browser, step="consent", answer={"choice": choice}))

    @rule(browser=_BROWSER, number=st.integers(1, 3))
    def move(self, browser: str, number: int) -> None:
        samples = [[ms, 60.0, 0.0] for ms in range(0, 9_000, 50)]
        step = f"motion-{number}"
        self.do(GiveAnswer(browser=browser, step=step, answer={"samples": samples}))

    @rule(browser=_BROWSER)
    def extend(self, browser: str) -> None:
        self.do(self.life.more_time(browser))

    @rule(browser=_BROWSER)
    def offer(self, browser: str) -> None:
        digest = f"d{len(self.offered)}"
        self.offered.append(digest)
        self.do(OfferHandOver(browser=browser, digest=digest, life_s=30))

    @rule(browser=_BROWSER, pick=st.integers(0, 9))
    def take_over(self, browser: str, pick: int) -> None:
        self.do(TakeOver(browser=browser, digest=f"d{pick}"))

    @rule(by=st.sampled_from(("partner", "visitor")), browser=_BROWSER, rarely=st.integers(0, 4))
    def cancel(self, by: Any, browser: str, rarely: int) -> None:
        if not rarely:
            self.do(Cancel(by=by, browser=browser))

    @rule(which=st.sampled_from((Expire(), Conclude())))
    def own(self, which: Command) -> None:
        self.do(which)

    @rule(seconds=_SPREAD)
    def time_passes(self, seconds: float) -> None:
        self.life.now += timedelta(seconds=seconds)

    @invariant()
    def laws(self) -> None:
        if not hasattr(self, "life"):
            return
        life, visit = self.life, self.life.it.visit
        ends = [event for event in life.log if event.type in FINAL_TYPES]
        assert ends == ([life.log[-1]] if life.state in ENDS else [])
        assert len(visit.browsers) <= 1 + MAX_HANDOVERS
        assert len(set(visit.browsers)) == len(visit.browsers)
        assert visit.extensions <= MAX_EXTENSIONS
        assert sum(it.used for it in visit.handovers) == max(0, len(visit.browsers) - 1)
        decider = HostedDecider()
        assert decider.restore(decider.snapshot(life.it)) == life.it
        if life.log:
            assert decode_event(encode_event(life.log[-1])) == life.log[-1]
        row = decider.row(life.it)
        due = datetime.fromisoformat(life.it.session.expires_at)
        assert row.due_at_ms is not None
        if life.state in OPEN:
            assert row.due_at_ms == int(due.timestamp() * 1000)


TestLives = LifeMachine.TestCase
