"""The laws that `engine.admission` opens with, walked through random programs.

A program is a row of moves; the ledger judges each one, and at the end whether everybody gets an
answer once nothing stands in the way, and whether the tables are then empty.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.engine.admission_ledger import Ledger

_T = TypeVar("_T")

_KEYS = "abcdef"


def _picked(choices: Sequence[_T], pick: int) -> Sequence[_T]:
    """One of the choices, or nothing when there is none."""
    return [choices[pick % len(choices)]] if choices else []


def ask(ledger: Ledger, pick: int) -> None:
    ledger.ask(_KEYS[pick % len(_KEYS)])


def ask_for_use(ledger: Ledger, pick: int) -> None:
    ledger.ask(_KEYS[pick % len(_KEYS)], use=True)


def ask_by_id(ledger: Ledger, pick: int) -> None:
    for session in _picked(tuple(ledger.sessions.values()), pick):
        ledger.ask_id(session.id, use=pick % 2 == 0)


def lease(ledger: Ledger, pick: int) -> None:
    """Somebody uses what a challenger may count on."""
    for session in _picked(ledger.idle, pick):
        ledger.ask(session.key, use=True)


def leave(ledger: Ledger, pick: int) -> None:
    for ticket in _picked(tuple(ledger.waiting), pick):
        ledger.left(ticket)


def finish_start(ledger: Ledger, pick: int) -> None:
    for session in _picked(ledger.starting, pick):
        ledger.started(session.id)


def fail_start(ledger: Ledger, pick: int) -> None:
    for session in _picked([it for it in ledger.begun if not it.live], pick):
        ledger.failed(session.id, remember_s=pick % 2 * 5.0)


def end(ledger: Ledger, pick: int) -> None:
    for session in _picked(ledger.begun, pick):
        ledger.ended(session.id)


def close(ledger: Ledger, pick: int) -> None:
    for session in _picked(tuple(ledger.sessions.values()), pick):
        ledger.close(session.id)


def release(ledger: Ledger, pick: int) -> None:
    for token in _picked(ledger.tokens, pick):
        ledger.released(token)


def renew(ledger: Ledger, pick: int) -> None:
    for token in _picked(ledger.tokens, pick):
        ledger.renewed(token)


def find_again(ledger: Ledger, pick: int) -> None:
    """A session of before is found, in use until a while ago."""
    ledger.park(_KEYS[pick % len(_KEYS)], unused_s=pick % 12 * 1.0)


def wake(ledger: Ledger, pick: int) -> None:
    for session in _picked(tuple(ledger.sessions.values()), pick):
        ledger.wake(session.id)


def fail_for_now(ledger: Ledger, pick: int) -> None:
    for session in _picked([it for it in ledger.begun if not it.live], pick):
        ledger.failed(session.id, remember_s=pick % 2 * 5.0, keep=True)


def let_time_pass(ledger: Ledger, pick: int) -> None:
    ledger.now += (0.1, 0.7, 3.0)[pick % 3]


def let_long_pass(ledger: Ledger, pick: int) -> None:
    ledger.now += 5.0 + pick % 8


def tick(ledger: Ledger, pick: int) -> None:
    ledger.now += pick % 3 * 0.7
    ledger.tick()


def tick_when_due(ledger: Ledger, _pick: int) -> None:
    due = ledger.admission.next_due()
    if due is not None:
        ledger.now = max(ledger.now, due)
        ledger.tick()


def repeat_what_is_over(ledger: Ledger, pick: int) -> None:
    """Late news of what has ended, as a mailbox delivers it."""
    for number in _picked(ledger.over, pick):
        ledger.left(number)
        ledger.released(number)
    for session_id in _picked(ledger.gone, pick):
        ledger.started(session_id)
        ledger.failed(session_id, remember_s=5.0)
        ledger.ended(session_id)
        ledger.close(session_id)
        ledger.ask_id(session_id)


Move = Callable[[Ledger, int], None]

ORDINARY: tuple[Move, ...] = (
    *(ask, ask, ask_for_use, ask_by_id, lease, lease),
    *(finish_start, finish_start, finish_start, release, tick, let_time_pass),
)
# Each of these wears the table down: a program with all of them seldom gets far. So each program
# leaves some of them out (Groce et al., Swarm Testing, ISSTA 2012).
DISRUPTIVE: tuple[Move, ...] = (
    *(leave, fail_start, fail_for_now, end, close, renew, find_again, wake),
    *(let_long_pass, tick_when_due, repeat_what_is_over),
)
_SWARM = st.sets(st.sampled_from(DISRUPTIVE)).map(
    lambda chosen: (*ORDINARY, *(it for it in DISRUPTIVE if it in chosen))
)


def settle(ledger: Ledger) -> None:
    """All leases end, all starts succeed, time passes: everybody is answered, nothing is left."""

    def standing() -> tuple[int, ...]:
        there = (ledger.waiting, ledger.starting, ledger.live, ledger.sessions)
        return tuple(map(len, there))

    while ledger.waiting:
        before = standing()
        for token in ledger.tokens:
            ledger.released(token)
        for session in ledger.starting:
            ledger.started(session.id)
        tick_when_due(ledger, 0)
        assert standing() != before, "somebody waits for ever"
    for session in ledger.begun:
        ledger.ended(session.id)
    for session in ledger.parked:
        ledger.close(session.id)
    assert ledger.admission.next_due() is None
    assert not ledger.admission.visible()
    assert not ledger.sessions  # and so, as the ledger compares them, no table holds anything


class Programs(RuleBasedStateMachine):
    ledger: Ledger
    moves: tuple[Move, ...]

    @initialize(capacity=st.integers(1, 4), wait_s=st.sampled_from((0.0, 3.0)), moves=_SWARM)
    def open(self, capacity: int, wait_s: float, moves: tuple[Move, ...]) -> None:
        self.ledger = Ledger(capacity=capacity, wait_s=wait_s)
        self.moves = moves

    @rule(move=st.sampled_from((*ORDINARY, *DISRUPTIVE)), pick=st.integers(0, 59))
    def step(self, move: Move, pick: int) -> None:
        if move in self.moves:
            move(self.ledger, pick)

    def teardown(self) -> None:
        settle(self.ledger)


TestProgramsStepByStep = Programs.TestCase
TestProgramsStepByStep.settings = settings(max_examples=500, stateful_step_count=40, deadline=None)


@settings(max_examples=2000, deadline=None)
@given(
    capacity=st.integers(1, 4),
    wait_s=st.sampled_from((0.0, 3.0)),
    moves=_SWARM,
    program=st.binary(min_size=100, max_size=160),
)
def test_the_laws_hold_in_long_programs(
    capacity: int, wait_s: float, moves: tuple[Move, ...], program: bytes
) -> None:
    ledger = Ledger(capacity=capacity, wait_s=wait_s)
    for move, pick in zip(program[::2], program[1::2], strict=False):
        moves[move % len(moves)](ledger, pick)
    settle(ledger)
