"""The inbox by itself, and as its actor sees it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine import ActorPolicy, ActorStopped, InboxFull, Supervisor
from engine.inbox import Inbox
from engine.request import AskerGone
from tests.engine.puppet import Puppet, settled, spawn


async def test_inbox_is_bounded_also_while_many_wait_for_room(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    gate = trio.Event()
    depths: list[int] = []
    policy = ActorPolicy(inbox_capacity=3)
    ref = spawn(supervisor, policy=policy, on_start=lambda _: gate.wait())

    def look(_: Puppet) -> None:
        depths.append(ref.statistics().depth)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(ref.tell, look)
            await wait_all_tasks_blocked()
            assert ref.statistics().depth == min(number + 1, 3)
            assert ref.statistics().waiting_senders == max(0, number - 2)
        gate.set()
    await settled(ref)
    # The slot of the message in hand has gone to the next that waited.
    assert depths == [*(3 for _ in range(17)), 2, 1, 0]


async def test_control_before_ordinary_and_in_its_own_order(supervisor: Supervisor) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)
    for number in range(5):
        ref.tell_nowait(f"ordinary {number}")
        ref.signal(f"control {number}")
    await settled(ref)
    assert diary == [
        "start",
        *(f"control {number}" for number in range(5)),
        *(f"ordinary {number}" for number in range(5)),
    ]


async def test_control_before_ordinary_also_when_it_comes_between_two_messages(
    supervisor: Supervisor,
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)
    ref.tell_nowait(lambda puppet: puppet.ref.signal("control"))
    ref.tell_nowait("ordinary")
    await settled(ref)
    assert diary == ["start", "control", "ordinary"]


async def test_control_before_ordinary_holds_for_a_stop(supervisor: Supervisor) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)
    await settled(ref)
    ref.tell_nowait("ordinary")
    supervisor.stop_soon(ref)
    ref.signal("after the stop")
    await supervisor.stop(ref)
    # What is behind the stop in the control lane is not begun either: nothing waits for its end.
    assert diary == ["start", "stopped"]


async def test_ten_thousand_senders_wait_in_line_and_none_takes_long_to_find(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    gate = trio.Event()
    policy = ActorPolicy(inbox_capacity=1)
    ref = spawn(supervisor, diary, policy=policy, on_start=lambda _: gate.wait())
    async with trio.open_nursery() as nursery:
        for number in range(10_000):
            nursery.start_soon(ref.tell, number)
        await wait_all_tasks_blocked()
        assert ref.statistics().waiting_senders == 9_999
        gate.set()
    await settled(ref)
    assert len(diary) == 10_001
    assert set(diary[1:]) == set(range(10_000))


def test_an_inbox_without_room_for_one_message_is_refused() -> None:
    with pytest.raises(ValueError, match="inbox_capacity is 0"):
        ActorPolicy(inbox_capacity=0)


def test_a_refusal_says_whether_the_inbox_is_full_or_closed() -> None:
    inbox = Inbox("puppet/1", 1)
    assert isinstance(inbox.refusal("m"), InboxFull)
    inbox.close()
    assert isinstance(inbox.refusal("m"), ActorStopped)
    assert inbox.closed


def test_an_empty_lane_is_let_go_when_the_actor_sleeps() -> None:
    inbox = Inbox("puppet/1", 1)
    inbox.open_lane()
    inbox.park(None)  # type: ignore[arg-type]
    assert inbox.lane is None


def test_leavings_are_heard_in_the_order_in_which_they_were_held() -> None:
    inbox = Inbox("puppet/1", 1)
    gone = [AskerGone(number, inbox.number_leaving()) for number in range(5)]
    inbox.signal("before")
    for number in (3, 0, 4):
        inbox.signal_gone(gone[number])
    inbox.signal("between")
    for number in (2, 1):
        inbox.signal_gone(gone[number])
    heard = [getattr(entry, "message", entry) for entry in inbox.control or ()]
    assert heard == ["before", 0, 3, 4, "between", 1, 2]
