"""Answers that are given later, or by another actor."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine import (
    DEFERRED,
    ActorCrashed,
    ActorPolicy,
    ActorRef,
    ActorStopped,
    AskTimeout,
    Reply,
    Restart,
    Supervisor,
)
from tests.engine.puppet import Puppet, Refusal, accident, settled, spawn

TICK_S = 1 / 64


def defer(replies: list[Reply], on_gone: Any = None) -> Callable[[Puppet], Any]:
    """A message that keeps its reply for later."""

    def deed(puppet: Puppet) -> Any:
        replies.append(puppet.defer(on_gone=on_gone))
        return DEFERRED

    return deed


def forward(ref: ActorRef, message: Any, **options: Any) -> Callable[[Puppet], Any]:
    """A message that lets another actor answer."""

    def deed(puppet: Puppet) -> Any:
        assert puppet.defer(on_gone="the first one's on_gone").forward(ref, message, **options)
        return DEFERRED

    return deed


# -- deferred ----------------------------------------------------------------------------------


async def test_deferred_replies_are_given_later(supervisor: Supervisor) -> None:
    replies: list[Reply] = []
    answers: list[Any] = []
    ref = spawn(supervisor)

    async def ask() -> None:
        answers.append(await ref.ask(defer(replies), timeout_s=60))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        assert await ref.ask("others are served", timeout_s=1) == "others are served"
        assert replies[0].awaited
        assert replies[0].answer("later")
        assert not replies[0].awaited
    assert answers == ["later"]


async def test_deferred_replies_may_refuse(supervisor: Supervisor) -> None:
    replies: list[Reply] = []
    ref = spawn(supervisor)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def ask() -> None:
            with pytest.raises(Refusal):
                await ref.ask(defer(replies), timeout_s=60)

        await wait_all_tasks_blocked()
        assert replies[0].refuse(Refusal())


async def test_deferred_replies_may_be_answered_in_another_order(supervisor: Supervisor) -> None:
    replies: list[Reply] = []
    answers: dict[int, int] = {}
    ref = spawn(supervisor)

    async def ask(number: int) -> None:
        answers[number] = await ref.ask(defer(replies), timeout_s=60)

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(ask, number)
            await wait_all_tasks_blocked()
        for number in (3, 0, 4, 1, 2):
            replies[number].answer(number)
    assert answers == {number: number for number in range(5)}


async def test_deferred_replies_stay_under_the_askers_deadline(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    replies: list[Reply] = []
    ref = spawn(supervisor, diary)
    with pytest.raises(AskTimeout):
        await ref.ask(defer(replies, on_gone="gone"), timeout_s=5)
    assert 5 <= trio.current_time() <= 5 + TICK_S
    assert not replies[0].awaited
    assert not replies[0].answer("too late")
    await settled(ref)
    assert diary == ["start", "gone"]


async def test_deferred_replies_tell_once_that_the_asker_has_left(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    replies: list[Reply] = []
    ref = spawn(supervisor, diary)
    with trio.move_on_after(1):
        await ref.ask(defer(replies, on_gone="gone"), timeout_s=5)
    await trio.sleep(10)
    assert not replies[0].answer("too late")
    await settled(ref)
    assert diary == ["start", "gone"]


async def test_deferred_replies_do_not_tell_of_an_asker_that_was_answered(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)
    for answer in (
        lambda puppet: puppet.defer(on_gone="gone").answer("answer") and DEFERRED,
        lambda puppet: puppet.defer(on_gone="gone") and "answer",
    ):
        assert await ref.ask(answer, timeout_s=5) == "answer"
    await trio.sleep(10)
    assert diary == ["start"]


async def test_deferred_replies_that_are_left_end_when_the_actor_stops(
    supervisor: Supervisor,
) -> None:
    replies: list[Reply] = []
    ref = spawn(supervisor)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def ask() -> None:
            with pytest.raises(ActorStopped):
                await ref.ask(defer(replies, on_gone="gone"), timeout_s=60)

        await wait_all_tasks_blocked()
        await supervisor.stop(ref)
    assert not replies[0].answer("too late")


async def test_deferred_replies_that_are_left_end_when_the_actor_crashes(
    supervisor: Supervisor,
) -> None:
    ref = spawn(supervisor)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def ask() -> None:
            with pytest.raises(ActorCrashed):
                await ref.ask(defer([], on_gone="gone"), timeout_s=60)

        await wait_all_tasks_blocked()
        ref.tell_nowait(lambda _: accident())


async def test_deferred_replies_may_still_be_given_as_the_actor_stops(
    supervisor: Supervisor,
) -> None:
    replies: list[Reply] = []

    async def answer(_: Puppet) -> None:
        replies[0].answer("at last")

    ref = spawn(supervisor, on_stop=answer)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def ask() -> None:
            assert await ref.ask(defer(replies), timeout_s=60) == "at last"

        await wait_all_tasks_blocked()
        supervisor.stop_soon(ref)


async def test_deferred_replies_of_a_tell_exist_and_go_nowhere(supervisor: Supervisor) -> None:
    replies: list[Reply] = []
    ref = spawn(supervisor)
    await ref.tell(defer(replies, on_gone="gone"))
    await settled(ref)
    (reply,) = replies
    assert not reply.awaited
    assert not reply.answer("to nobody")
    assert not reply.refuse(Refusal())
    assert not reply.forward(ref, "for nobody")


async def test_deferred_replies_tell_in_the_order_of_deferral_whom_one_cancellation_took_away(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)
    async with trio.open_nursery() as nursery:
        for number in range(200):
            ask = partial(ref.ask, defer([], on_gone=number), timeout_s=60)
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    await settled(ref)
    assert diary == ["start", *range(200)]


# -- forwarded ---------------------------------------------------------------------------------


async def test_forwarded_asks_are_answered_by_the_other_actor(supervisor: Supervisor) -> None:
    diary: list[Any] = []
    second = spawn(supervisor, diary, address="puppet/2")
    first = spawn(supervisor)
    assert await first.ask(forward(second, "question"), timeout_s=1) == "question"
    assert diary == ["start", "question"]


async def test_forwarded_asks_are_refused_by_the_other_actor(supervisor: Supervisor) -> None:
    def refuse(_: Puppet) -> None:
        raise Refusal

    second = spawn(supervisor, address="puppet/2")
    first = spawn(supervisor)
    with pytest.raises(Refusal):
        await first.ask(forward(second, refuse), timeout_s=1)


async def test_forwarded_asks_keep_their_deadline(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    replies: list[Reply] = []
    second = spawn(supervisor, address="puppet/2")
    first = spawn(supervisor)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def ask() -> None:
            with pytest.raises(AskTimeout) as caught:
                await first.ask(defer(replies), timeout_s=5)
            assert caught.value.address == "puppet/2"

        await trio.sleep(3)
        replies[0].forward(second, defer([]))
    assert 5 <= trio.current_time() <= 5 + TICK_S


async def test_forwarded_asks_end_with_the_other_actor_and_not_with_the_first(
    supervisor: Supervisor,
) -> None:
    first = spawn(supervisor)
    second = spawn(supervisor, address="puppet/2")
    replies: list[Reply] = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def ask() -> None:
            assert await first.ask(forward(second, defer(replies)), timeout_s=60) == "answer"

        await wait_all_tasks_blocked()
        await supervisor.stop(first)
        replies[0].answer("answer")


@pytest.mark.parametrize(
    ("end", "expected"),
    [(lambda _: accident(), ActorCrashed), (lambda puppet: puppet.stop(), ActorStopped)],
)
async def test_forwarded_asks_end_with_the_other_actor_when_it_crashes_or_stops(
    supervisor: Supervisor, end: Callable[[Puppet], Any], expected: type[Exception]
) -> None:
    first = spawn(supervisor)
    second = spawn(supervisor, address="puppet/2")
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def ask() -> None:
            with pytest.raises(expected) as caught:
                await first.ask(forward(second, defer([])), timeout_s=60)
            assert "puppet/2" in str(caught.value)

        await wait_all_tasks_blocked()
        second.tell_nowait(end)
    assert await first.ask("alive", timeout_s=1) == "alive"


async def test_forwarded_asks_to_an_actor_that_has_stopped_end_at_once(
    supervisor: Supervisor,
) -> None:
    first = spawn(supervisor)
    second = spawn(supervisor, address="puppet/2")
    await supervisor.stop(second)
    with pytest.raises(ActorStopped) as caught:
        await first.ask(forward(second, "question"), timeout_s=60)
    assert (caught.value.address, caught.value.message) == ("puppet/2", "question")


async def test_forwarded_asks_left_in_the_inbox_of_an_actor_that_stops_end_too(
    supervisor: Supervisor,
) -> None:
    first = spawn(supervisor)
    second = spawn(supervisor, address="puppet/2")
    gate = trio.Event()
    third = spawn(supervisor, address="puppet/3", on_start=lambda _: gate.wait())
    await settled(second)

    def stop_first(puppet: Puppet) -> Any:
        supervisor.stop_soon(third)
        return forward(third, "question")(puppet)

    with pytest.raises(ActorStopped):
        await first.ask(stop_first, timeout_s=60)


async def test_forwarded_asks_are_no_longer_the_first_actors_matter(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    first = spawn(supervisor, diary)
    second = spawn(supervisor, address="puppet/2")
    with trio.move_on_after(1):
        await first.ask(forward(second, defer([])), timeout_s=60)
    await trio.sleep(60)
    await settled(first)
    assert diary == ["start"]


@pytest.mark.parametrize("deed", ["crash", "refuse", "answer"])
async def test_forwarded_asks_are_not_ended_by_what_the_first_handler_does_next(
    supervisor: Supervisor, deed: str
) -> None:
    first = spawn(supervisor)
    second = spawn(supervisor, address="puppet/2")

    def forward_and_go_on(puppet: Puppet) -> Any:
        forward(second, "the second one's answer")(puppet)
        if deed == "crash":
            accident()
        if deed == "refuse":
            raise Refusal
        return "the first one's answer"

    assert await first.ask(forward_and_go_on, timeout_s=1) == "the second one's answer"


async def test_forwarded_asks_may_be_forwarded_again_and_to_oneself(
    supervisor: Supervisor,
) -> None:
    first = spawn(supervisor)
    second = spawn(supervisor, address="puppet/2")
    there_and_back = forward(second, forward(first, forward(first, "question")))
    assert await first.ask(there_and_back, timeout_s=1) == "question"


async def test_forwarded_asks_go_before_ordinary_messages(supervisor: Supervisor) -> None:
    diary: list[Any] = []
    gate = trio.Event()
    policy = ActorPolicy(inbox_capacity=1)
    second = spawn(
        supervisor, diary, address="puppet/2", policy=policy, on_start=lambda _: gate.wait()
    )
    second.tell_nowait("ordinary, fills the inbox")
    first = spawn(supervisor)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(first.ask, forward(second, "forwarded"), timeout_s=60))
        await wait_all_tasks_blocked()
        gate.set()
    await settled(second)
    assert diary == ["start", "forwarded", "ordinary, fills the inbox"]


async def test_forwarded_asks_whose_asker_leaves_are_not_begun_and_the_other_actor_is_told(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    gate = trio.Event()
    first = spawn(supervisor)
    second = spawn(supervisor, diary, address="puppet/2", on_start=lambda _: gate.wait())
    with trio.move_on_after(1):
        await first.ask(forward(second, "question", on_gone="release"), timeout_s=60)
    gate.set()
    await settled(second)
    assert diary == ["start", "release"]


async def test_forwarded_asks_that_are_begun_no_longer_send_their_on_gone(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    first = spawn(supervisor)
    second = spawn(supervisor, diary, address="puppet/2")
    with trio.move_on_after(1):
        begun = defer([], on_gone="begun, then left")
        await first.ask(forward(second, begun, on_gone="left before"), timeout_s=60)
    await settled(second)
    assert diary == ["start", "begun, then left"]
    assert not second._inbox.forwarded


async def test_forwarded_asks_whose_asker_leaves_tell_the_next_incarnation_too(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    """What was forwarded lies in the inbox, and the inbox outlives a crash."""
    diary: list[Any] = []
    gate = trio.Event()

    async def crash_at_first(puppet: Puppet) -> None:
        if puppet.diary == ["start"]:
            await gate.wait()
            accident()

    policy = ActorPolicy(restart=Restart.PERMANENT)
    first = spawn(supervisor)
    second = spawn(supervisor, diary, address="puppet/2", policy=policy, on_start=crash_at_first)
    with trio.move_on_after(1):
        await first.ask(forward(second, "question", on_gone="release"), timeout_s=60)
    gate.set()
    await settled(second)
    assert diary == ["start", "crashed", "start", "release"]
