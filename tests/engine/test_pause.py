"""Pausing: ordinary messages wait, everything else goes on."""

from __future__ import annotations

import trio

from engine import ActorPolicy, ActorRef, InboxFull, Supervisor
from tests.engine.puppet import Puppet


async def test_pause_lets_ordinary_messages_wait_within_the_inboxs_bound(
    supervisor: Supervisor, autojump_clock: trio.testing.MockClock
) -> None:
    diary: list[object] = []
    policy = ActorPolicy(inbox_capacity=2)
    ref: ActorRef = supervisor.spawn(lambda: Puppet(diary), "puppet/1", policy=policy)
    await ref.ask(lambda actor: actor.pause(), timeout_s=5)
    ref.tell_nowait("first")
    ref.tell_nowait("second")
    try:
        ref.tell_nowait("third")
    except InboxFull:
        diary.append("full")
    ref.signal("signal")
    await trio.testing.wait_all_tasks_blocked()
    assert diary == ["start", "full", "signal"]
    ref.signal(lambda actor: actor.resume())
    await trio.testing.wait_all_tasks_blocked()
    assert diary[3:] == ["first", "second"]


async def test_a_paused_actor_can_be_stopped(supervisor: Supervisor) -> None:
    ref = supervisor.spawn(Puppet, "puppet/1")
    await ref.ask(lambda actor: actor.pause(), timeout_s=5)
    await supervisor.stop(ref)
    assert ref.stopped
