"""What the policy keeps: leases, reasons, refusals, openings; and for how long."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from engine.effects import Lapse, Start, Stop
from engine.errors import DomainError
from tests.engine.admission_desk import Desk

# -- leases ----------------------------------------------------------------------------------------


def test_leases_are_counted_and_the_last_one_frees_the_session() -> None:
    desk = Desk(capacity=1, wait_s=10.0)
    desk.admit("a")
    first, second = desk.use("a"), desk.use("a")
    assert desk.ask("b") == []
    assert desk.released(first) == []
    assert desk.released(first) == []
    assert desk.released(second) == [Start("b")]


def test_leases_lapse_and_what_they_were_for_is_told_to_end() -> None:
    desk = Desk(capacity=1, wait_s=1000.0)
    (token,) = desk.admit("a", use=True)
    assert token is not None
    desk.ask("b")
    assert desk.admission.next_due() == 300.0
    assert desk.tick_at(300.0) == [Lapse("a", token), Start("b")]
    assert desk.released(token) == []


def test_leases_lapse_a_whole_life_after_they_were_renewed() -> None:
    desk = Desk()
    (token,) = desk.admit("a", use=True)
    assert token is not None
    assert desk.admission.leases.renew(token, now=200.0)
    assert desk.tick_at(300.0) == []
    assert desk.tick_at(500.0) == [Lapse("a", token)]
    assert desk.tick_at(1099.0) == []  # its work counts as use until it lapses
    assert desk.tick_at(1100.0) == [Stop("a", "idle_timeout")]


# -- what it keeps ---------------------------------------------------------------------------------


class _Opening:
    """What a start needs; it may hold a password."""


def _refused_late(desk: Desk) -> None:
    desk.tick_at(desk.now + 10.0)


def _left(desk: Desk) -> None:
    desk.admission.left(desk.ticket, desk.now)


def _begun(desk: Desk) -> None:
    effects = desk.admission.close("a", "closed", desk.now)
    assert isinstance(effects[-1], Start)


@pytest.mark.parametrize("what_happens", [_refused_late, _left, _begun])
def test_openings_are_let_go_when_the_start_has_begun_or_is_over(
    what_happens: Callable[[Desk], None],
) -> None:
    desk = Desk(capacity=1, wait_s=10.0)
    desk.admit("a", use=True)
    opening = _Opening()
    desk.ask("b", opening=opening)
    trace = weakref.ref(opening)
    del opening
    assert trace() is not None
    what_happens(desk)
    gc.collect()
    assert trace() is None


def test_what_is_remembered_of_ended_sessions_is_bounded() -> None:
    desk = Desk(capacity=1)
    for number in range(10_001):
        desk.admit(f"key-{number}")
        desk.admission.close(f"key-{number}", "closed", desk.now)
    assert desk.admission.reason("key-0") is None
    assert desk.admission.reason("key-1") == "closed"


def test_an_error_is_let_go_when_its_key_is_asked_for_after_its_time() -> None:
    desk = Desk()
    desk.ask("a")
    error = DomainError("wrong password")
    desk.admission.failed("a", error, desk.now, remember_s=60.0)
    trace = weakref.ref(error)
    del error
    gc.collect()
    assert trace() is not None
    desk.now = 60.0
    desk.ask("a")
    gc.collect()
    assert trace() is None


def _lines_run(work: Callable[[], object]) -> int:
    """How many lines of the engine `work` runs, each turn of a loop counted."""
    count = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "line" and "/engine/" in frame.f_code.co_filename
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(former)
    return count


def test_the_cost_of_a_call_does_not_grow_with_the_table() -> None:
    def lines_of_each_call(size: int) -> list[int]:
        desk = Desk(capacity=size, wait_s=10.0)
        desk.admit(*(f"leased-{number}" for number in range(size // 2)), use=True)
        desk.admit(*(f"idle-{number}" for number in range(size // 2)))
        for number in range(size):
            desk.ask(f"waiting-{number}", use=True)
        tokens: list[int] = []
        return [
            _lines_run(lambda: tokens.append(desk.use("idle-1"))),
            _lines_run(lambda: desk.released(tokens[0])),
            _lines_run(lambda: desk.ask("new")),
            _lines_run(lambda: desk.admission.left(desk.ticket, desk.now)),
            _lines_run(lambda: desk.admission.tick(desk.now)),
            _lines_run(desk.admission.next_due),
        ]

    assert lines_of_each_call(10) == lines_of_each_call(1000)
