"""The table of states, walked."""

from __future__ import annotations

from actors.partner.hosted import ENDS, NEXT, OPEN, UNFINISHED, State


def test_every_state_but_the_first_can_be_reached_and_every_end_is_final() -> None:
    reached = {following for table in NEXT.values() for following in table}
    assert reached == set(State) - {State.PENDING}
    assert {State.COMPLETED, State.FAILED, State.EXPIRED, State.CANCELLED} == ENDS
    assert not any(NEXT[state] for state in ENDS)


def test_the_way_is_the_contracts_and_processing_is_neither_cancelled_nor_expired() -> None:
    assert State.IN_PROGRESS in NEXT[State.PENDING]
    assert State.PROCESSING in NEXT[State.IN_PROGRESS]
    assert NEXT[State.PROCESSING] == {State.COMPLETED, State.FAILED}
    assert {state for state in State if State.CANCELLED in NEXT[state]} == OPEN
    assert {state for state in State if State.EXPIRED in NEXT[state]} == OPEN
    assert OPEN | {State.PROCESSING} == UNFINISHED
