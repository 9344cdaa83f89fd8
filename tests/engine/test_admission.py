"""What the contract promises about capacity, told as short stories."""

from __future__ import annotations

import pytest

from engine.effects import Grant, Refuse, Start, Stop, Why
from engine.errors import DomainError
from tests.engine.admission_desk import WRONG_PASSWORD, Desk

# -- places ----------------------------------------------------------------------------------------


def test_places_are_bounded_when_all_are_leased_the_next_is_refused() -> None:
    desk = Desk(capacity=2)
    desk.admit("a", "b", use=True)
    assert desk.ask("c") == [Refuse(3, Why.CAPACITY)]
    assert desk.placed == ["a", "b"]


def test_places_are_bounded_when_all_are_starting_the_next_is_refused() -> None:
    desk = Desk(capacity=2)
    assert desk.ask("a") == [Start("a")]
    assert desk.ask("b") == [Start("b")]
    assert desk.ask("c") == [Refuse(3, Why.CAPACITY)]


def test_in_use_is_never_ended_the_idle_one_goes_and_its_id_says_evicted() -> None:
    desk = Desk(capacity=2)
    desk.admit("a", "b")
    desk.use("a")
    assert desk.ask("c") == [Start("c")]
    assert desk.started("c") == [Stop("b", "evicted"), Grant(4, "c", True, None)]
    refusal = desk.admission.ask_id(5, "b", use=True, now=desk.now)
    assert refusal == [Refuse(5, Why.UNKNOWN, reason="evicted")]
    assert desk.placed == ["a", "c"]


def test_in_use_is_never_ended_by_idleness() -> None:
    desk = Desk()
    desk.admit("a", "b")
    token = desk.use("a")
    desk.admission.leases.renew(token, now=500.0)
    assert desk.tick_at(600.0) == [Stop("b", "idle_timeout")]
    desk.released(token)
    assert desk.tick_at(1199.0) == []
    assert desk.tick_at(1200.0) == [Stop("a", "idle_timeout")]


def test_victims_leave_last_so_ten_wrong_passwords_at_full_capacity_evict_nobody() -> None:
    desk = Desk(capacity=2)
    desk.admit("a", "b")
    for attempt in range(10):
        key = f"wrong-{attempt}"
        assert desk.ask(key) == [Start(key)]
        effects = desk.admission.failed(key, WRONG_PASSWORD, desk.now, remember_s=60.0)
        assert effects == [Refuse(desk.ticket, Why.FAILED, WRONG_PASSWORD)]
        assert desk.placed == ["a", "b"]


def test_victims_leave_last_and_only_one_for_each_challenger() -> None:
    desk = Desk(capacity=2, wait_s=10.0)
    desk.admit("a", "b")
    desk.use("b")
    assert desk.ask("c") == [Start("c")]
    assert desk.ask("d") == []  # only one can go, and it is spoken for
    assert desk.started("c") == [
        Stop("a", "evicted"),
        Grant(4, "c", True, None),
        Start("d"),  # the next who can go is the one that has just come
    ]


def test_victims_leave_last_the_least_recently_used_first() -> None:
    desk = Desk(capacity=3)
    desk.admit("a", "b", "c")
    token = desk.use("a")
    desk.ask("b")
    desk.released(token)  # a lease's end is use, too: now a is the latest
    desk.ask("d")
    assert desk.started("d")[0] == Stop("c", "evicted")
    desk.ask("e")
    assert desk.started("e")[0] == Stop("b", "evicted")


def test_a_victim_to_be_that_is_leased_is_spared_until_its_lease_ends() -> None:
    desk = Desk(capacity=1, wait_s=10.0)
    desk.admit("a")
    desk.ask("b")
    token = desk.use("a")
    assert desk.started("b") == []
    assert desk.placed == ["a"]
    assert desk.admission.next_due() == 10.0
    desk.now = 9.0
    assert desk.released(token) == [Stop("a", "evicted"), Grant(2, "b", True, None)]


def test_waiting_for_capacity_ends_for_a_challenger_that_is_ready_and_finds_nobody_to_go() -> None:
    desk = Desk(capacity=1, wait_s=10.0)
    desk.admit("a")
    desk.ask("b")
    desk.use("a")
    desk.now = 5.0
    desk.started("b")
    assert desk.tick_at(14.9) == []
    assert desk.tick_at(15.0) == [Refuse(2, Why.CAPACITY), Stop("b", "closed")]
    assert desk.placed == ["a"]


def test_waiting_for_capacity_ends_for_each_caller_by_itself() -> None:
    desk = Desk(capacity=1, wait_s=10.0)
    (token,) = desk.admit("a", use=True)
    desk.ask("b")
    desk.now = 4.0
    desk.ask("b")
    assert desk.tick_at(10.0) == [Refuse(2, Why.CAPACITY)]
    desk.now = 12.0
    assert desk.released(token) == [Start("b")]
    assert desk.tick_at(100.0) == []  # a start in hand is waited for
    assert desk.started("b") == [Stop("a", "evicted"), Grant(3, "b", True, None)]


def test_places_go_in_order_of_arrival() -> None:
    desk = Desk(capacity=1, wait_s=10.0)
    desk.admit("a", use=True)
    assert desk.ask("b") == []
    assert desk.ask("c") == []
    assert desk.admission.close("a", "closed", desk.now) == [Stop("a", "closed"), Start("b")]
    assert desk.ask("d") == []
    assert desk.started("b") == [Grant(2, "b", True, None), Start("c")]


def test_places_go_in_order_to_a_challenger_before_one_that_has_not_begun() -> None:
    desk = Desk(capacity=2, wait_s=10.0)
    desk.admit("a", "b")
    desk.use("b")
    assert desk.ask("c") == [Start("c")]
    assert desk.ask("d") == []
    gone = desk.admission.ended("b", "crashed", DomainError("crashed"), desk.now)
    assert gone == [Start("d")]  # c has b's place now, so the one who can go is free for d
    assert desk.placed == ["a", "c"]
    assert desk.started("c") == [Grant(4, "c", True, None)]


def test_places_go_in_order_to_one_that_is_ready_before_all_others() -> None:
    desk = Desk(capacity=2, wait_s=10.0)
    desk.admit("a", "b")
    assert desk.ask("c") == [Start("c")]
    desk.use("a")
    desk.use("b")
    assert desk.started("c") == []
    assert desk.ask("d") == []
    assert desk.admission.close("a", "closed", desk.now) == [
        Stop("a", "closed"),
        Grant(3, "c", True, None),
        Start("d"),
    ]


def test_twenty_keys_at_once_at_capacity_ten_are_all_answered() -> None:
    desk = Desk(capacity=10, wait_s=120.0)
    pending = [desk.ask(f"key-{number}") for number in range(20)]
    todo = [effect for effects in pending for effect in effects]
    answered, evicted = [], []
    while todo:
        match todo.pop(0):
            case Start(session_id):
                todo += desk.started(session_id)
            case Grant(ticket, is_new=True):
                answered.append(ticket)
            case Stop(session_id, "evicted"):
                evicted.append(session_id)
            case effect:
                pytest.fail(f"unexpected: {effect}")
        assert len(desk.placed) <= 10
    assert answered == list(range(1, 21))
    assert evicted == [f"key-{number}" for number in range(10)]
    assert desk.placed == [f"key-{number}" for number in range(10, 20)]


# -- callers ---------------------------------------------------------------------------------------


def test_one_start_for_each_key_however_many_ask() -> None:
    desk = Desk()
    assert desk.ask("a") == [Start("a")]
    assert [desk.ask("a") for _ in range(19)] == [[]] * 19
    first, *others = desk.started("a")
    assert first == Grant(1, "a", True, None)
    assert others == [Grant(ticket, "a", False, None) for ticket in range(2, 21)]


def test_every_caller_is_answered_once_also_when_the_start_fails() -> None:
    desk = Desk()
    desk.ask("a")
    desk.ask("a", use=True)
    error = DomainError("portal unreachable")
    refusals = [Refuse(1, Why.FAILED, error), Refuse(2, Why.FAILED, error)]
    assert desk.admission.failed("a", error, desk.now) == refusals
    assert desk.admission.failed("a", error, desk.now) == []
    assert desk.started("a") == []
    assert desk.ask("a") == [Start("a")]


def test_the_first_still_there_is_new() -> None:
    desk = Desk()
    desk.ask("a")
    desk.ask("a")
    desk.ask("a")
    assert desk.admission.left(1, desk.now) == []
    assert desk.started("a") == [Grant(2, "a", True, None), Grant(3, "a", False, None)]


def test_a_start_that_nobody_waits_for_is_given_up() -> None:
    desk = Desk()
    desk.ask("a")
    desk.ask("a")
    assert desk.admission.left(2, desk.now) == []
    assert desk.admission.left(1, desk.now) == [Stop("a", "closed")]
    assert desk.placed == []
    assert desk.started("a") == []


def test_a_start_that_nobody_waits_for_is_given_up_before_it_has_begun() -> None:
    desk = Desk(capacity=1, wait_s=10.0)
    (token,) = desk.admit("a", use=True)
    desk.ask("b")
    assert desk.admission.left(2, desk.now) == []
    assert desk.released(token) == []
    assert desk.admission.next_due() == 600.0


def test_refusals_are_remembered_for_that_very_key_and_that_long() -> None:
    desk = Desk()
    desk.ask("a/wrong")
    desk.admission.failed("a/wrong", WRONG_PASSWORD, desk.now, remember_s=60.0)
    desk.now = 59.9
    assert desk.ask("a/wrong") == [Refuse(2, Why.FAILED, WRONG_PASSWORD)]
    assert desk.ask("a/right") == [Start("a/right")]
    desk.now = 60.0
    assert desk.ask("a/wrong") == [Start("a/wrong")]


def test_closing_is_at_once_also_in_the_middle_of_a_start() -> None:
    desk = Desk()
    desk.ask("a")
    desk.ask("a")
    assert desk.admission.close("a", "closed", desk.now) == [
        Refuse(1, Why.CLOSED),
        Refuse(2, Why.CLOSED),
        Stop("a", "closed"),
    ]
    assert not desk.admission.has("a")
    assert desk.started("a") == []
    assert desk.ask("a") == [Start("a")]


def test_closing_is_at_once_also_under_a_lease_whose_token_is_dead_from_then_on() -> None:
    desk = Desk(capacity=1, wait_s=10.0)
    (token,) = desk.admit("a", use=True)
    assert desk.ask("b") == []
    assert desk.admission.close("a", "closed", desk.now) == [Stop("a", "closed"), Start("b")]
    assert desk.released(token) == []
    assert not desk.admission.leases.renew(token or 0, now=desk.now)


def test_an_id_that_waits_in_the_queue_is_not_there_for_others() -> None:
    desk = Desk(capacity=1, wait_s=10.0)
    desk.admit("a", use=True)
    desk.ask("b")
    assert not desk.admission.has("b")
    assert desk.admission.close("b", "closed", desk.now) == []
    assert desk.admission.ask_id(3, "b", use=True, now=desk.now) == [Refuse(3, Why.UNKNOWN)]


def test_a_start_that_failed_leaves_no_reason_behind() -> None:
    desk = Desk()
    desk.ask("a")
    desk.admission.failed("a", WRONG_PASSWORD, desk.now)
    assert desk.admission.reason("a") is None


# -- statistics ------------------------------------------------------------------------------------


def test_statistics_say_who_has_a_place_who_waits_and_what_became_of_the_others() -> None:
    desk = Desk(capacity=2, wait_s=10.0)
    desk.admit("a", "b")
    desk.use("a")
    desk.ask("c")
    desk.started("c")  # takes the place of b
    desk.use("c")
    desk.ask("d")
    found = desk.admission.statistics()
    assert (found.capacity, found.leased, found.waiting) == (2, 2, 1)
    assert {phase: count for phase, count in found.sessions.items() if count} == {
        "live": 2,
        "queued": 1,
    }
    assert found.ended == {"evicted": 1}
    assert found.waits.count == 3


def test_statistics_say_how_long_a_start_waited_for_its_place() -> None:
    desk = Desk(capacity=1, wait_s=10.0)
    desk.admit("a")
    token = desk.use("a")
    desk.ask("b")
    desk.tick_at(4.0)
    desk.released(token)
    assert desk.admission.statistics().waits.total == pytest.approx(4.0)
