"""Three faults of the nearest relative, triotp 0.2.1, that this runtime must never have."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine import (
    DEFERRED,
    ActorCrashed,
    ActorPolicy,
    AskTimeout,
    Reply,
    Supervisor,
)
from tests.engine.puppet import Accident, Puppet, accident, spawn


async def test_a_callers_timeout_does_not_kill_the_actor(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    """There the late answer met a closed channel, and the server loop ended with the error."""
    replies: list[Reply] = []
    ref = spawn(supervisor)

    def answer_late(puppet: Puppet) -> Any:
        replies.append(puppet.defer())
        return DEFERRED

    with pytest.raises(AskTimeout):
        await ref.ask(answer_late, timeout_s=1)
    assert not await ref.ask(lambda _: replies[0].answer("late"), timeout_s=1)
    assert await ref.ask("alive", timeout_s=1) == "alive"
    assert supervisor.statistics().crashes == 0


async def test_a_crash_in_a_call_does_not_leave_the_caller_hanging(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    """There the caller waited for an answer that nobody would give any more."""
    ref = spawn(supervisor)
    with pytest.raises(ActorCrashed) as caught:
        await ref.ask(lambda _: accident(), timeout_s=1000)
    assert isinstance(caught.value.__cause__, Accident)
    assert trio.current_time() == 0


async def test_the_timeout_covers_the_send(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    """There the clock was started only once the message had been sent."""
    gate = trio.Event()
    policy = ActorPolicy(inbox_capacity=1)
    ref = spawn(supervisor, policy=policy, on_start=lambda _: gate.wait())
    ref.tell_nowait("fills the inbox")
    await wait_all_tasks_blocked()
    with pytest.raises(AskTimeout):
        await ref.ask("no room", timeout_s=1)
    assert 1 <= trio.current_time() <= 1 + 1 / 64
    gate.set()
