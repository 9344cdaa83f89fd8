"""Which Chromium takes the next context, when to launch another, and which may go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.browser.launching import Launching
from actors.browser.placement import Placement, PlacementSettings, Process

PLACEMENT = Placement(
    PlacementSettings(per_process=5, capacity=10, recycle_contexts=100, recycle_s=1000.0)
)


def process(name: str, load: int = 0, *, opening: int = 0, **more) -> Process:
    return Process(
        address=name,
        born_at=more.pop("born_at", 0.0),
        up=more.pop("up", True),
        opening=opening,
        contexts=dict.fromkeys(f"{name}-{number}" for number in range(load)),
        **more,
    )


def test_the_fullest_chromium_that_has_room_takes_the_next_context():
    processes = [process("a", 1), process("b", 4), process("c", 5), process("d", 2, opening=1)]
    chosen = PLACEMENT.choose(processes, 0.0)
    assert chosen is processes[1]


def test_contexts_that_are_being_opened_count_as_if_they_were_there():
    assert PLACEMENT.choose([process("a", 3, opening=2)], 0.0) is None


@pytest.mark.parametrize(
    "unfit",
    [
        process("full", 5),
        process("starting", up=False),
        process("worn", 1, served=100),
        process("old", 1, born_at=-1000.0),
        process("failing", 1, failing=True),
    ],
    ids=lambda it: it.address,
)
def test_no_context_goes_to_a_chromium_that_is_full_or_not_up_or_going(unfit: Process):
    assert PLACEMENT.choose([unfit], 0.0) is None


def test_a_chromium_that_starts_has_room_already_so_that_no_second_one_is_launched_for_it():
    assert PLACEMENT.room([process("a", 4), process("b", up=False)], 0.0) == 6


def test_as_many_are_launched_as_hold_what_finds_no_room():
    assert [PLACEMENT.launches(contexts) for contexts in (-3, 0, 1, 5, 6, 11)] == [0, 0, 1, 1, 2, 3]


def test_a_spare_is_wanted_below_capacity_and_else_only_where_there_is_room_for_it_anyway():
    full = [process("a", 5), process("b", 5)]
    assert PLACEMENT.wants_spare([], used=0, waiting=0, now=0.0)
    assert PLACEMENT.wants_spare(full, used=9, waiting=0, now=0.0)
    assert not PLACEMENT.wants_spare(full, used=10, waiting=0, now=0.0)
    with_room = [process("a", 5), process("b", 3)]
    assert PLACEMENT.wants_spare(with_room, used=10, waiting=1, now=0.0)
    assert not PLACEMENT.wants_spare(with_room, used=10, waiting=2, now=0.0)


def test_of_the_empty_chromiums_one_with_room_stays_and_the_worn_out_ones_go():
    empty, other, worn = process("empty"), process("other"), process("worn", served=100)
    starting, busy, full = process("starting", up=False), process("busy", 2), process("full", 5)
    for processes, gone in [
        ([empty], []),
        ([empty, other], [other]),
        ([worn], [worn]),
        ([worn, starting], [worn]),
        ([empty, busy], [empty]),
        ([empty, full], []),
    ]:
        assert PLACEMENT.superfluous(processes, spare=False, now=0.0) == gone


def test_beside_a_spare_no_empty_chromium_is_kept():
    full, empty = process("full", 5), process("empty")
    assert PLACEMENT.superfluous([full, empty], spare=True, now=0.0) == [empty]


processes_of = st.lists(
    st.builds(
        process,
        st.uuids().map(str),
        st.integers(0, 5),
        opening=st.integers(0, 2),
        up=st.booleans(),
        served=st.sampled_from([0, 99, 100]),
        failing=st.booleans(),
        born_at=st.sampled_from([0.0, -2000.0]),
    ),
    max_size=6,
)


@given(processes_of)
def test_only_empty_ones_go_and_never_the_last_that_has_room(processes: list[Process]):
    gone = PLACEMENT.superfluous(processes, spare=False, now=0.0)
    assert all(it.up and not it.load for it in gone)
    left = [it for it in processes if it not in gone]
    assert bool(PLACEMENT.room(processes, 0.0)) is bool(PLACEMENT.room(left, 0.0))


def test_launches_that_fail_wait_longer_each_time_and_at_most_a_minute():
    launching = Launching()
    delays = []
    for _ in range(9):
        delays.append(launching.failed("no display"))
        launching.retry()
    assert delays == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_chromiums_that_fail_together_are_one_try():
    launching = Launching()
    assert [launching.failed("x") for _ in range(4)] == [1.0, None, None, None]
    assert launching.held_back
    assert not launching.hopeless
    launching.retry()
    assert launching.failed("y") == 2.0
    assert launching.hopeless
    assert launching.cause == "y"


def test_a_chromium_that_gives_a_context_ends_the_count():
    launching = Launching()
    for _ in range(3):
        launching.failed("x")
        launching.retry()
    launching.worked()
    assert launching.failed("x") == 1.0
    assert not launching.hopeless
