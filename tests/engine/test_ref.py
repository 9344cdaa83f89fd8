"""Sending and asking, through the only handle that others hold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from engine import (
    DEFERRED,
    ActorCrashed,
    ActorPolicy,
    ActorRef,
    ActorStopped,
    AskTimeout,
    InboxFull,
    Reply,
    Supervisor,
    open_supervisor,
)
from engine.ref import InboxStatistics
from tests.engine.puppet import Accident, Puppet, Refusal, accident, settled, sleeping, spawn

SMALL = ActorPolicy(inbox_capacity=2)
TICK_S = 1 / 64


def held_back(supervisor: Supervisor, diary: list[Any], gate: trio.Event) -> ActorRef:
    """Return an actor with room for two messages, which handles none before `gate` is set."""
    return spawn(supervisor, diary, policy=SMALL, on_start=lambda _: gate.wait())


# -- sending -----------------------------------------------------------------------------------


async def test_order_per_sender_is_kept_between_tells_and_asks(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    gate = trio.Event()
    ref = held_back(supervisor, diary, gate)

    async def send() -> None:
        for number in range(0, 60, 3):
            await ref.tell(number)
            assert await ref.ask(number + 1, timeout_s=60) == number + 1
            await ref.tell(number + 2, timeout_s=60)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await wait_all_tasks_blocked()
        gate.set()
    await settled(ref)
    assert diary == ["start", *range(60)]


async def test_order_per_sender_is_kept_by_those_who_had_to_wait_for_room(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    gate = trio.Event()
    ref = held_back(supervisor, diary, gate)

    async def send(sender: str) -> None:
        for number in range(10):
            await ref.tell((sender, number), timeout_s=60)

    async with trio.open_nursery() as nursery:
        for sender in "abc":
            nursery.start_soon(send, sender)
        await wait_all_tasks_blocked()
        gate.set()
    await settled(ref)
    for sender in "abc":
        mine = [entry for entry in diary if entry[0] == sender]
        assert mine == [(sender, number) for number in range(10)]


async def test_full_is_never_silent_tell_nowait_gives_the_message_back(
    supervisor: Supervisor,
) -> None:
    diary: list[Any] = []
    gate = trio.Event()
    ref = held_back(supervisor, diary, gate)
    ref.tell_nowait(1)
    ref.tell_nowait(2)
    with pytest.raises(InboxFull) as caught:
        ref.tell_nowait(3)
    assert (caught.value.message, caught.value.address) == (3, "puppet/1")
    gate.set()
    await settled(ref)
    assert diary == ["start", 1, 2]


async def test_full_is_never_silent_tell_gives_the_message_back_after_its_deadline(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    gate = trio.Event()
    ref = held_back(supervisor, [], gate)
    await ref.tell(1)
    await ref.tell(2)
    began = trio.current_time()
    with pytest.raises(InboxFull) as caught:
        await ref.tell(3, timeout_s=7)
    assert caught.value.message == 3
    assert 7 <= trio.current_time() - began <= 7 + TICK_S
    gate.set()


async def test_full_is_never_silent_an_ask_waits_for_room(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    gate = trio.Event()
    ref = held_back(supervisor, [], gate)
    ref.tell_nowait(1)
    ref.tell_nowait(2)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def ask() -> None:
            assert await ref.ask(3, timeout_s=60) == 3

        await wait_all_tasks_blocked()
        assert ref.statistics() == InboxStatistics(
            depth=2, capacity=2, waiting_senders=1, closed=False
        )
        gate.set()


async def test_no_barging_a_freed_slot_goes_to_the_sender_that_waited_longest(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    gate = trio.Event()
    ref = held_back(supervisor, diary, gate)
    ref.tell_nowait(1)
    ref.tell_nowait(2)
    async with trio.open_nursery() as nursery:
        senders: list[Callable[..., Awaitable[Any]]] = [
            partial(ref.tell, 3),
            partial(ref.ask, 4, timeout_s=60),
            partial(ref.tell, 5),
        ]
        for send in senders:
            nursery.start_soon(send)
            await wait_all_tasks_blocked()
        gate.set()
    await settled(ref)
    assert diary == ["start", 1, 2, 3, 4, 5]


async def test_no_barging_tell_nowait_cannot_get_past_one_that_waits(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    gate = trio.Event()
    ref = held_back(supervisor, [], gate)
    barged: list[int] = []

    def try_to_barge(_: Puppet) -> None:
        # This message's slot is free, as far as anybody outside can tell.
        try:
            ref.tell_nowait(0)
        except InboxFull:
            return
        barged.append(0)

    ref.tell_nowait(try_to_barge)
    ref.tell_nowait(2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ref.tell, 3)
        await wait_all_tasks_blocked()
        gate.set()
    await settled(ref)
    assert barged == []


async def test_cancelled_tell_was_not_sent(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    gate = trio.Event()
    ref = held_back(supervisor, diary, gate)
    await ref.tell(1)
    await ref.tell(2)
    with trio.move_on_after(1) as scope:
        await ref.tell("cancelled", timeout_s=60)
    assert scope.cancelled_caught
    with pytest.raises(InboxFull):
        await ref.tell("too late", timeout_s=1)
    gate.set()
    await settled(ref)
    assert diary == ["start", 1, 2]


async def test_cancelled_tell_was_not_sent_even_when_room_comes_in_the_same_pass(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    gate = trio.Event()
    ref = held_back(supervisor, diary, gate)
    ref.tell_nowait(1)
    ref.tell_nowait(2)
    sent: list[str] = []

    async def tell(message: str) -> None:
        await ref.tell(message, timeout_s=60)
        sent.append(message)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell, "cancelled")
        await wait_all_tasks_blocked()
        gate.set()
        nursery.cancel_scope.cancel()
    await settled(ref)
    assert ("cancelled" in diary) == (sent == ["cancelled"])
    assert sent == []


async def test_tell_checkpoints_every_32nd_time_however_many_actors_are_told(
    supervisor: Supervisor,
) -> None:
    refs = [spawn(supervisor, address=f"puppet/{number}") for number in range(100)]
    await wait_all_tasks_blocked()
    steps = await _checkpoints_of_tells(refs[number % 100] for number in range(320))
    assert [at for at, checkpoints in enumerate(steps) if checkpoints] == [*range(31, 320, 32)]


async def _checkpoints_of_tells(refs: Iterable[ActorRef]) -> list[int]:
    """Tell each of `refs` something, and return how many checkpoints each tell was."""
    steps = []
    for ref in refs:
        before = trio.lowlevel.current_task()._schedule_points
        await ref.tell("something")
        steps.append(trio.lowlevel.current_task()._schedule_points - before)
    return steps


async def test_tell_checkpoints_when_it_waits(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    gate = trio.Event()
    ref = held_back(supervisor, [], gate)
    ref.tell_nowait(1)
    ref.tell_nowait(2)
    gate.set()
    with assert_checkpoints():
        await ref.tell(3)


async def test_signals_are_bounded_by_grant_and_never_refused_for_want_of_room(
    supervisor: Supervisor,
) -> None:
    diary: list[Any] = []
    gate = trio.Event()
    ref = held_back(supervisor, diary, gate)
    ref.tell_nowait("ordinary")
    ref.tell_nowait("ordinary")
    for number in range(100):
        ref.signal(number)
    assert ref.statistics().depth == 2
    gate.set()
    await settled(ref)
    assert diary == ["start", *range(100), "ordinary", "ordinary"]


async def test_a_signal_to_an_actor_that_has_ended_is_dropped_and_not_kept(
    supervisor: Supervisor,
) -> None:
    ref = spawn(supervisor)
    await supervisor.stop(ref)
    for number in range(1000):
        ref.signal(number)
    assert not ref._inbox.control


async def test_a_ref_knows_its_address_and_whether_its_actor_takes_messages(
    supervisor: Supervisor,
) -> None:
    ref = spawn(supervisor)
    assert (ref.address, ref.stopped, repr(ref)) == ("puppet/1", False, "<ActorRef puppet/1>")
    await supervisor.stop(ref)
    assert ref.stopped
    assert ref.statistics().closed
    with pytest.raises(ActorStopped) as caught:
        ref.tell_nowait("late")
    assert caught.value.message == "late"
    with pytest.raises(ActorStopped), assert_checkpoints():
        await ref.tell("late")
    with pytest.raises(ActorStopped), assert_checkpoints():
        await ref.ask("late", timeout_s=1)


# -- asking ------------------------------------------------------------------------------------


async def test_ask_ends_once_with_the_answer(supervisor: Supervisor) -> None:
    ref = spawn(supervisor)
    with assert_checkpoints():
        assert await ref.ask("echo", timeout_s=1) == "echo"


async def test_ask_ends_once_with_the_first_of_several_answers(supervisor: Supervisor) -> None:
    ref = spawn(supervisor)

    def answer_twice(puppet: Puppet) -> str:
        reply = puppet.defer()
        assert reply.answer("first")
        assert not reply.answer("second")
        assert not reply.refuse(Refusal())
        return "third"

    assert await ref.ask(answer_twice, timeout_s=1) == "first"
    assert await ref.ask("next", timeout_s=1) == "next"


class _Asker:
    """One ask of an actor that defers it, and how it ends."""

    def __init__(self, ref: ActorRef) -> None:
        self.ref = ref
        self.scope = trio.CancelScope()
        self.ends: list[Any] = []
        self.replies: list[Reply] = []

    async def ask(self) -> None:
        with self.scope:
            try:
                self.ends.append(await self.ref.ask(self._defer, timeout_s=1.0))
            except (ActorStopped, ActorCrashed, AskTimeout) as error:
                self.ends.append(type(error))
        if self.scope.cancelled_caught:
            self.ends.append("cancelled")

    def _defer(self, puppet: Puppet) -> Any:
        self.replies.append(puppet.defer())
        return DEFERRED


async def _cancel(asker: _Asker, _: Supervisor) -> None:
    asker.scope.cancel()


async def _stop(asker: _Asker, supervisor: Supervisor) -> None:
    supervisor.stop_soon(asker.ref)


async def _crash(asker: _Asker, _: Supervisor) -> None:
    asker.ref.signal(lambda _: accident())


async def _time_out(_asker: _Asker, _: Supervisor) -> None:
    await trio.sleep(1.0 + TICK_S)


@pytest.mark.parametrize("answer_first", [True, False])
@pytest.mark.parametrize("rival", [_cancel, _stop, _crash, _time_out])
async def test_ask_ends_once_when_the_answer_and_a_rival_fall_into_one_pass(
    supervisor: Supervisor,
    autojump_clock: MockClock,
    rival: Callable[[_Asker, Supervisor], Awaitable[None]],
    answer_first: bool,
) -> None:
    asker = _Asker(spawn(supervisor))
    answered: list[bool] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(asker.ask)
        await wait_all_tasks_blocked()
        if answer_first and rival is not _time_out:
            answered.append(asker.replies[0].answer("answer"))
        await rival(asker, supervisor)
        answered.append(asker.replies[0].answer("answer"))
    assert len(asker.ends) == 1
    assert any(answered) == (asker.ends == ["answer"])


async def test_timeout_covers_the_send(supervisor: Supervisor, autojump_clock: MockClock) -> None:
    gate = trio.Event()
    ref = held_back(supervisor, [], gate)
    ref.tell_nowait(1)
    ref.tell_nowait(2)
    began = trio.current_time()
    with pytest.raises(AskTimeout) as caught:
        await ref.ask("no room", timeout_s=5)
    assert (caught.value.message, caught.value.address) == ("no room", "puppet/1")
    assert 5 <= trio.current_time() - began <= 5 + TICK_S
    assert ref.statistics().waiting_senders == 0
    gate.set()


async def test_timeout_covers_the_send_and_the_answer_together(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    gate = trio.Event()
    ref = held_back(supervisor, diary, gate)
    ref.tell_nowait(lambda puppet: puppet.start_job("never", trio.sleep_forever))
    ref.tell_nowait(2)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def ask() -> None:
            with pytest.raises(AskTimeout):
                await ref.ask(lambda puppet: puppet.defer() and DEFERRED, timeout_s=5)

        await trio.sleep(4)
        gate.set()
    assert 5 <= trio.current_time() - began <= 5 + TICK_S


@pytest.mark.parametrize("timeout_s", [0.0, 0.001, 1 / 64, 0.5, 1.0, 3.1415])
async def test_deadlines_are_never_early_and_at_most_a_tick_late(
    supervisor: Supervisor, autojump_clock: MockClock, timeout_s: float
) -> None:
    ref = spawn(supervisor)
    await trio.sleep(0.0077)
    began = trio.current_time()
    with pytest.raises(AskTimeout):
        await ref.ask(lambda puppet: puppet.defer() and DEFERRED, timeout_s=timeout_s)
    assert timeout_s <= trio.current_time() - began <= timeout_s + TICK_S


@pytest.mark.parametrize("timeout_s", [float("inf"), float("nan")])
async def test_a_deadline_that_never_passes_is_refused_before_anything_is_sent(
    supervisor: Supervisor, timeout_s: float
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)
    await settled(ref)
    with pytest.raises((OverflowError, ValueError)):
        await ref.ask("endless", timeout_s=timeout_s)
    await settled(ref)
    assert diary == ["start"]


async def test_asker_leaves_unharmed_a_caller_that_times_out_is_skipped(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    gate = trio.Event()
    ref = held_back(supervisor, diary, gate)
    with pytest.raises(AskTimeout):
        await ref.ask("gone", timeout_s=1)
    await ref.tell("stays")
    gate.set()
    await settled(ref)
    assert diary == ["start", "stays"]


async def test_asker_leaves_unharmed_a_cancelled_ask_is_never_begun_even_in_the_same_pass(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)
    await settled(ref)
    for number in range(50):
        # The scope is cancelled before the ask parks: it has woken the actor all the same.
        with trio.CancelScope() as scope:
            scope.cancel()
            await ref.ask(number, timeout_s=60)
        assert scope.cancelled_caught
    await settled(ref)
    assert diary == ["start"]


async def test_asker_leaves_unharmed_a_message_that_waits_for_room_is_withdrawn(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    gate = trio.Event()
    ref = held_back(supervisor, diary, gate)
    ref.tell_nowait(1)
    ref.tell_nowait(2)
    with trio.move_on_after(1):
        await ref.ask("gone", timeout_s=60)
    assert ref.statistics().waiting_senders == 0
    gate.set()
    await settled(ref)
    assert diary == ["start", 1, 2]


async def test_crash_answers_the_asker_at_once_with_the_crash_as_its_cause(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    ref = spawn(supervisor, on_stop=sleeping(5))
    began = trio.current_time()
    with pytest.raises(ActorCrashed) as caught:
        await ref.ask(lambda _: accident(), timeout_s=60)
    assert isinstance(caught.value.__cause__, Accident)
    assert caught.value.address == "puppet/1"
    assert trio.current_time() == began


async def test_crash_answers_the_asker_also_when_it_had_been_deferred_before(
    supervisor: Supervisor,
) -> None:
    ref = spawn(supervisor)

    def defer_and_crash(puppet: Puppet) -> None:
        puppet.defer()
        accident()

    with pytest.raises(ActorCrashed):
        await ref.ask(defer_and_crash, timeout_s=60)


async def test_crash_answers_the_asker_of_a_handler_that_promises_a_reply_and_keeps_none(
    supervisor: Supervisor,
) -> None:
    ref = spawn(supervisor)
    with pytest.raises(ActorCrashed) as caught:
        await ref.ask(lambda _: DEFERRED, timeout_s=60)
    assert isinstance(caught.value.__cause__, TypeError)


async def test_only_domain_errors_are_answers_and_leave_the_actor_as_it_was(
    supervisor: Supervisor,
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)
    refusal = Refusal("no")

    def refuse(_: Puppet) -> None:
        raise refusal

    with pytest.raises(Refusal) as caught:
        await ref.ask(refuse, timeout_s=1)
    assert caught.value is refusal
    await ref.tell(refuse)
    ref.signal(refuse)
    await settled(ref)
    assert diary == ["start"]
    assert supervisor.statistics().crashes == 0


async def test_asks_to_a_thousand_actors_from_a_thousand_askers(supervisor: Supervisor) -> None:
    refs = [spawn(supervisor, address=f"puppet/{number}") for number in range(1000)]
    answers: list[int] = []

    async def ask(number: int) -> None:
        answers.append(await refs[-number].ask(number, timeout_s=60))

    async with trio.open_nursery() as nursery:
        for number in range(1000):
            nursery.start_soon(ask, number)
    assert sorted(answers) == list(range(1000))
    assert len(supervisor.deadlines) == 0


async def test_seeded_runs_repeat_a_ref_of_one_runtime_does_not_count_for_another() -> None:
    """Where `tell` lets others run is a matter of its own runtime, or replays would differ."""
    steps = []
    for _ in range(2):
        async with open_supervisor("one") as supervisor:
            ref = spawn(supervisor)
            steps.append(await _checkpoints_of_tells([ref] * 40))
    assert steps[0] == steps[1]
    assert sum(steps[0]) == 1
