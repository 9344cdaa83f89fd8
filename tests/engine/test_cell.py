"""From incarnation to incarnation, to the end."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine import (
    ActorCrashed,
    ActorEnded,
    ActorPolicy,
    ActorStopped,
    Restart,
    RestartLimitReached,
    SeededClock,
    Supervisor,
    open_supervisor,
)
from tests.engine.puppet import Accident, Puppet, accident, settled, sleeping, spawn


def policy(restart: Restart, **changes: Any) -> ActorPolicy:
    return ActorPolicy(restart=restart, backoff_s=1.0, **changes)


def ends_in(diary: list[Any]) -> list[ActorEnded]:
    return [entry for entry in diary if isinstance(entry, ActorEnded)]


# -- restarting --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("restart", "crashes", "starts"),
    [
        (Restart.PERMANENT, True, 2),
        (Restart.PERMANENT, False, 2),
        (Restart.TRANSIENT, True, 2),
        (Restart.TRANSIENT, False, 1),
        (Restart.TEMPORARY, True, 1),
        (Restart.TEMPORARY, False, 1),
    ],
)
async def test_restart_policy_holds_after_a_crash_and_after_a_stop_of_its_own(
    supervisor: Supervisor,
    autojump_clock: MockClock,
    restart: Restart,
    crashes: bool,
    starts: int,
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary, policy=policy(restart))
    await settled(ref)
    ref.tell_nowait((lambda _: accident()) if crashes else (lambda puppet: puppet.stop()))
    await trio.sleep(10)
    assert diary.count("start") == starts
    assert ref.stopped == (starts == 1)
    assert supervisor.statistics().restarts == starts - 1
    assert supervisor.statistics().crashes == crashes


async def test_restart_policy_waits_longer_each_time_and_scatters_the_waits(
    autojump_clock: MockClock,
) -> None:
    async def starts_with(seed: int) -> list[float]:
        starts: list[float] = []

        async def crash_at_once(_: Puppet) -> None:
            starts.append(trio.current_time() - began)
            accident()

        async with open_supervisor("root", clock=SeededClock(seed)) as supervisor:
            began = trio.current_time()
            many = policy(Restart.PERMANENT, max_restarts=50, backoff_max_s=8.0)
            ref = spawn(supervisor, policy=many, on_start=crash_at_once)
            await trio.sleep(19)
            await supervisor.stop(ref)
        return starts

    starts = await starts_with(1)
    gaps = [after - before for before, after in pairwise(starts)]
    for gap, full in zip(gaps, [1, 2, 4, 8], strict=False):
        assert full / 2 <= gap <= full
    assert starts == pytest.approx(await starts_with(1))
    assert starts != pytest.approx(await starts_with(2))


async def test_restart_keeps_the_inbox_and_those_who_wait_for_room_during_the_back_off(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary, policy=policy(Restart.PERMANENT, inbox_capacity=1))
    await settled(ref)
    ref.tell_nowait(lambda _: accident())
    await wait_all_tasks_blocked()
    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(ref.tell, number)
            await wait_all_tasks_blocked()
        assert ref.statistics().waiting_senders == 4
    await settled(ref)
    assert diary == ["start", "crashed", "start", *range(5)]


async def test_restart_limit_escalates_with_the_last_crash_and_stops_the_others(
    autojump_clock: MockClock,
) -> None:
    diary: list[Any] = []

    async def run() -> None:
        async with open_supervisor("root") as supervisor:
            spawn(supervisor, diary, address="puppet/2")
            fragile = policy(Restart.PERMANENT, max_restarts=2)
            ref = spawn(supervisor, policy=fragile)
            for _ in range(3):
                with pytest.raises(ActorCrashed):
                    await ref.ask(lambda _: accident(), timeout_s=60)
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await run()
    assert caught.group_contains(RestartLimitReached, match="crashed more than 2 times within 30 s")
    (limit,) = _leaves(caught.value)
    assert isinstance(limit, RestartLimitReached)
    assert isinstance(limit.__cause__, Accident)
    assert (limit.address, limit.restarts, limit.within_s) == ("puppet/1", 2, 30.0)
    assert diary == ["start", "stopped"]


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves


async def test_restart_limit_escalates_only_for_restarts_within_its_window(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    sturdy = policy(Restart.PERMANENT, max_restarts=1, restart_window_s=10.0)
    ref = spawn(supervisor, policy=sturdy)
    for _ in range(10):
        with pytest.raises(ActorCrashed):
            await ref.ask(lambda _: accident(), timeout_s=60)
        await trio.sleep(11)
    assert supervisor.statistics().restarts == 10
    assert supervisor.statistics().crashes == 10


async def test_restart_limit_escalates_also_when_building_fails(
    autojump_clock: MockClock,
) -> None:
    def build() -> Puppet:
        raise Accident

    async def run() -> None:
        async with open_supervisor("root") as supervisor:
            supervisor.spawn(build, "puppet/1", policy=policy(Restart.TRANSIENT))
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await run()
    assert caught.group_contains(RestartLimitReached)


async def test_a_crash_is_contained_also_when_building_fails(supervisor: Supervisor) -> None:
    def build() -> Puppet:
        raise Accident

    ref = supervisor.spawn(build, "puppet/1")
    with pytest.raises(ActorStopped):
        await ref.ask("never", timeout_s=1)
    assert supervisor.statistics().crashes == 1
    assert supervisor.lookup("puppet/1") is None


async def test_a_stop_during_the_back_off_ends_it(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    slow = ActorPolicy(restart=Restart.PERMANENT, backoff_s=100.0, backoff_max_s=100.0)
    ref = spawn(supervisor, diary, policy=slow)
    with pytest.raises(ActorCrashed):
        await ref.ask(lambda _: accident(), timeout_s=1)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def ask() -> None:
            with pytest.raises(ActorStopped):
                await ref.ask("waits for the restart", timeout_s=60)

        await wait_all_tasks_blocked()
        ref.signal("wakes it, and does not end the wait")
        await trio.sleep(1)
        await supervisor.stop(ref)
    assert trio.current_time() == 1
    assert diary == ["start", "crashed"]


async def test_an_actor_that_stopped_itself_and_then_crashed_is_not_restarted_unless_permanent(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    def stop_and_crash(puppet: Puppet) -> None:
        puppet.stop()
        accident()

    starts = {}
    for restart in (Restart.PERMANENT, Restart.TRANSIENT):
        diary: list[Any] = []
        ref = spawn(supervisor, diary, address=f"puppet/{restart}", policy=policy(restart))
        with pytest.raises(ActorCrashed):
            await ref.ask(stop_and_crash, timeout_s=1)
        await trio.sleep(10)
        starts[restart] = diary.count("start")
    assert starts == {Restart.PERMANENT: 2, Restart.TRANSIENT: 1}


async def test_a_permanent_actor_that_stops_itself_keeps_its_inbox(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary, policy=policy(Restart.PERMANENT))
    await settled(ref)
    ref.tell_nowait(lambda puppet: puppet.stop())
    ref.tell_nowait("for the next one")
    await settled(ref)
    assert diary == ["start", "stopped", "start", "for the next one"]


async def test_a_permanent_actor_stays_stopped_when_it_is_told_to_stop(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary, policy=policy(Restart.PERMANENT))
    await settled(ref)
    await supervisor.stop(ref)
    await trio.sleep(10)
    assert diary == ["start", "stopped"]
    assert supervisor.statistics().actors == 0


# -- ending ------------------------------------------------------------------------------------


async def test_watchers_hear_the_end_once_and_with_its_reason(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    watcher = spawn(supervisor, diary, address="watcher/1")
    stopped = spawn(supervisor, address="puppet/stopped", watcher=watcher)
    crashed = spawn(supervisor, address="puppet/crashed", watcher=watcher)
    await supervisor.stop(stopped)
    crashed.tell_nowait(lambda _: accident())
    await trio.sleep(1)
    first, second = ends_in(diary)
    assert first == ActorEnded(address="puppet/stopped", reason="stopped")
    assert (second.address, second.reason) == ("puppet/crashed", "crashed")
    assert isinstance(second.error, Accident)


async def test_watchers_hear_the_end_and_not_the_restarts(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    watcher = spawn(supervisor, diary, address="watcher/1")
    ref = spawn(supervisor, policy=policy(Restart.TRANSIENT), watcher=watcher)
    with pytest.raises(ActorCrashed):
        await ref.ask(lambda _: accident(), timeout_s=1)
    await settled(ref)
    assert ends_in(diary) == []
    ref.tell_nowait(lambda puppet: puppet.stop())
    await trio.sleep(1)
    assert ends_in(diary) == [ActorEnded(address="puppet/1", reason="stopped")]


async def test_watchers_hear_the_end_only_when_the_address_is_free_again(
    supervisor: Supervisor,
) -> None:
    found: list[Any] = []

    class Watcher(Puppet):
        def handle(self, message: Any) -> Any:
            found.append(supervisor.lookup(message.address))

    watcher = supervisor.spawn(Watcher, "watcher/1")
    ref = spawn(supervisor, watcher=watcher)
    await supervisor.stop(ref)
    await wait_all_tasks_blocked()
    assert found == [None]


async def test_watchers_hear_the_end_also_when_the_supervisor_is_cancelled(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    watcher = spawn(supervisor, diary, address="watcher/1")
    with trio.move_on_after(1):
        async with open_supervisor("inner", parent=supervisor) as inner:
            spawn(inner, watcher=watcher, on_stop=sleeping(1))
            await trio.sleep_forever()
    await settled(watcher)
    assert ends_in(diary) == [ActorEnded(address="puppet/1", reason="stopped")]


async def test_watchers_hear_the_end_of_an_actor_that_reached_its_restart_limit(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    watcher = spawn(supervisor, diary, address="watcher/1")
    with pytest.RaisesGroup(RestartLimitReached):
        async with open_supervisor("inner", parent=supervisor) as inner:
            fragile = policy(Restart.PERMANENT, max_restarts=0)
            ref = spawn(inner, watcher=watcher, policy=fragile)
            ref.tell_nowait(lambda _: accident())
            await trio.sleep_forever()
    await settled(watcher)
    (end,) = ends_in(diary)
    assert isinstance(end.error, RestartLimitReached)


async def test_a_watcher_that_has_ended_itself_is_no_harm(supervisor: Supervisor) -> None:
    watcher = spawn(supervisor, address="watcher/1")
    ref = spawn(supervisor, watcher=watcher)
    await supervisor.stop(watcher)
    await supervisor.stop(ref)
    assert supervisor.statistics().actors == 0


async def test_each_crash_is_counted_and_logged_once(
    supervisor: Supervisor, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    ref = spawn(supervisor, policy=policy(Restart.TRANSIENT))
    for _ in range(2):
        with pytest.raises(ActorCrashed):
            await ref.ask(lambda _: accident(), timeout_s=60)
    await supervisor.stop(ref)
    assert caplog.messages == ["actor_crashed"] * 2
    assert supervisor.statistics().crashes == 2
