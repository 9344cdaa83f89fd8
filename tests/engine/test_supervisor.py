"""Starting actors, and stopping them in order."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import Any

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from engine import (
    DEFERRED,
    ActorPolicy,
    ActorStopped,
    AddressTaken,
    AskTimeout,
    JobEnded,
    Restart,
    RestartLimitReached,
    SeededClock,
    Supervisor,
    SupervisorStatistics,
    SupervisorStopping,
    open_supervisor,
)
from tests.engine.puppet import Accident, Puppet, accident, settled, sleeping, spawn
from tests.engine.tasks import living_tasks


class Woe(Exception):
    """What goes wrong in the block."""


# -- spawning ----------------------------------------------------------------------------------


async def test_an_address_belongs_to_one_actor_at_a_time(supervisor: Supervisor) -> None:
    ref = spawn(supervisor)
    assert supervisor.lookup("puppet/1") is ref
    with pytest.raises(AddressTaken) as caught:
        spawn(supervisor)
    assert caught.value.address == "puppet/1"
    await supervisor.stop(ref)
    assert supervisor.lookup("puppet/1") is None
    other = spawn(supervisor)
    assert other is not ref
    assert await other.ask("new", timeout_s=1) == "new"


async def test_an_actor_may_spawn_another_from_its_handler(supervisor: Supervisor) -> None:
    ref = spawn(supervisor)
    other = await ref.ask(lambda _: spawn(supervisor, address="puppet/2"), timeout_s=1)
    assert await other.ask("alive", timeout_s=1) == "alive"


async def test_a_supervisor_that_stops_starts_nothing_more(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    async with open_supervisor("inner", parent=supervisor) as inner:
        spawn(inner, on_stop=sleeping(1))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(inner.stop_all)
            await wait_all_tasks_blocked()
            with pytest.raises(SupervisorStopping) as caught:
                spawn(inner, address="puppet/2")
    assert caught.value.supervisor == "inner"
    with pytest.raises(SupervisorStopping):
        spawn(inner)


async def test_statistics_say_what_a_supervisor_holds_and_has_seen(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    policy = ActorPolicy(restart=Restart.TRANSIENT)
    ref = spawn(supervisor, policy=policy)
    spawn(supervisor, address="puppet/2")
    ref.tell_nowait(lambda _: accident())
    await trio.sleep(1)
    assert supervisor.statistics() == SupervisorStatistics(
        name="test",
        actors=2,
        restarts=1,
        crashes=1,
        stopping=False,
        inbox_depth=0,
        deepest_inbox=0,
    )


async def test_a_nested_supervisor_shares_its_parents_clock_unless_it_has_its_own(
    supervisor: Supervisor,
) -> None:
    own = SeededClock()
    async with (
        open_supervisor("inner", parent=supervisor) as inner,
        open_supervisor("innermost", parent=inner, clock=own) as innermost,
    ):
        assert inner.clock is supervisor.clock
        assert innermost.clock is own
        assert innermost.deadlines is supervisor.deadlines


# -- stopping ----------------------------------------------------------------------------------


async def test_stopping_an_actor_returns_when_it_has_ended(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    ref = spawn(supervisor, on_stop=sleeping(3))
    await settled(ref)
    async with trio.open_nursery() as nursery:
        for _ in range(3):  # everybody who waits for it
            nursery.start_soon(supervisor.stop, ref)
    assert trio.current_time() == 3
    with assert_checkpoints():
        await supervisor.stop(ref)
    supervisor.stop_soon(ref)


async def test_stopping_a_ref_does_not_stop_the_next_actor_at_its_address(
    supervisor: Supervisor,
) -> None:
    old = spawn(supervisor)
    await supervisor.stop(old)
    new = spawn(supervisor)
    await supervisor.stop(old)
    supervisor.stop_soon(old)
    assert await new.ask("alive", timeout_s=1) == "alive"


async def test_a_cancelled_stop_goes_on_without_its_caller(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    ref = spawn(supervisor, on_stop=sleeping(3))
    await settled(ref)
    with trio.move_on_after(1):
        await supervisor.stop(ref)
    await trio.sleep(3)
    assert supervisor.statistics().actors == 0


async def test_everybody_who_stops_all_actors_hears_of_the_last_one(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    async with open_supervisor("inner", parent=supervisor) as inner:
        spawn(inner, on_stop=sleeping(3))
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(inner.stop_all)
        with assert_checkpoints():
            await inner.stop_all()
    assert trio.current_time() == 3


async def test_the_actors_of_one_supervisor_are_stopped_at_once(
    autojump_clock: MockClock,
) -> None:
    async with open_supervisor("root") as supervisor:
        for number in range(10):
            spawn(supervisor, address=f"puppet/{number}", on_stop=sleeping(3))
        await wait_all_tasks_blocked()
    assert trio.current_time() == 3


async def test_stop_lets_begun_work_finish_for_the_grace_of_the_block(
    autojump_clock: MockClock,
) -> None:
    diary: list[Any] = []
    async with open_supervisor("root", grace_s=5) as supervisor:
        ref = spawn(supervisor, diary)
        await ref.ask(lambda puppet: puppet.start_job("job", trio.sleep, 3), timeout_s=1)
    assert trio.current_time() == 3
    assert diary == ["start", JobEnded(name="job"), "stopped"]


async def test_what_has_not_ended_by_the_shutdown_timeout_is_cancelled(
    autojump_clock: MockClock,
) -> None:
    diary: list[Any] = []
    async with open_supervisor("root", grace_s=1000, shutdown_timeout_s=7) as supervisor:
        ref = spawn(supervisor, diary)
        await ref.ask(lambda puppet: puppet.start_job("job", trio.sleep_forever), timeout_s=1)
    assert trio.current_time() == 7
    assert diary == ["start", "stopped"]


# -- nesting -----------------------------------------------------------------------------------


async def _nest(diary: list[str], block: Any) -> None:
    """Three supervisors in each other, whose actors take a second to stop; `block` inside."""

    def note(name: str) -> dict[str, Any]:
        async def on_stop(_: Puppet) -> None:
            diary.append(f"{name} stops")
            await trio.sleep(1)
            diary.append(f"{name} stopped")

        return {"on_stop": on_stop, "address": f"puppet/{name}"}

    async with open_supervisor("outer") as outer:
        spawn(outer, **note("outer"))
        async with open_supervisor("middle", parent=outer) as middle:
            spawn(middle, **note("middle"))
            async with open_supervisor("inner", parent=middle) as inner:
                spawn(inner, **note("inner"))
                await wait_all_tasks_blocked()
                await block(outer)


IN_ORDER = [
    f"{name} {what}" for name in ("inner", "middle", "outer") for what in ("stops", "stopped")
]


async def _end(_: Supervisor) -> None:
    await trio.lowlevel.checkpoint()


async def _wait(_: Supervisor) -> None:
    await trio.sleep_forever()


async def _fail(_: Supervisor) -> None:
    raise Woe


async def _escalate(outer: Supervisor) -> None:
    fragile = ActorPolicy(restart=Restart.PERMANENT, max_restarts=0)
    ref = spawn(outer, address="puppet/fragile", policy=fragile)
    ref.tell_nowait(lambda _: accident())
    await trio.sleep_forever()


async def test_children_before_parents_when_the_block_ends(autojump_clock: MockClock) -> None:
    diary: list[str] = []
    await _nest(diary, _end)
    assert diary == IN_ORDER
    assert trio.current_time() == 3


async def test_children_before_parents_when_the_block_is_cancelled(
    autojump_clock: MockClock,
) -> None:
    diary: list[str] = []
    with trio.move_on_after(1) as scope:
        await _nest(diary, _wait)
    assert scope.cancelled_caught
    assert diary == IN_ORDER


async def test_children_before_parents_when_the_block_fails(autojump_clock: MockClock) -> None:
    diary: list[str] = []
    with pytest.raises(ExceptionGroup) as caught:
        await _nest(diary, _fail)
    assert caught.group_contains(Woe)
    assert diary == IN_ORDER


async def test_children_before_parents_when_the_outermost_reaches_a_restart_limit(
    autojump_clock: MockClock,
) -> None:
    diary: list[str] = []
    with pytest.raises(ExceptionGroup) as caught:
        await _nest(diary, _escalate)
    assert caught.group_contains(RestartLimitReached)
    assert diary == IN_ORDER


async def test_children_before_parents_may_still_ask_them_as_they_stop(
    autojump_clock: MockClock,
) -> None:
    """What a child needs to put itself away is there until it has, also under cancellation."""
    answers: list[Any] = []
    with trio.move_on_after(1):
        async with open_supervisor("outer") as outer:
            parent = spawn(outer)

            async def ask_parent(_: Puppet) -> None:
                answers.append(await parent.ask("question", timeout_s=1))
                with pytest.raises(AskTimeout):
                    await parent.ask(lambda puppet: puppet.defer() and DEFERRED, timeout_s=1)
                answers.append("deadlines pass")

            async with open_supervisor("inner", parent=outer) as inner:
                spawn(inner, on_stop=ask_parent)
                await trio.sleep_forever()
    assert answers == ["question", "deadlines pass"]


# -- what is left ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["ends", "is cancelled", "fails"])
async def test_nothing_is_left_however_the_block_ends(autojump_clock: MockClock, how: str) -> None:
    before = living_tasks()
    ends: list[str] = []

    async def ask(supervisor: Supervisor, address: str) -> None:
        ref = supervisor.lookup(address)
        assert ref is not None
        with pytest.raises(ActorStopped):
            await ref.ask(lambda puppet: puppet.defer() and DEFERRED, timeout_s=1000)
        ends.append(address)

    async def run(askers: trio.Nursery) -> None:
        async with open_supervisor("root") as supervisor:
            for number in range(20):
                ref = spawn(supervisor, address=f"puppet/{number}", on_stop=sleeping(1))
                askers.start_soon(ask, supervisor, ref.address)
                ref.tell_nowait(lambda puppet: puppet.start_job("job", trio.sleep_forever))
                ref.tell_nowait(lambda puppet: puppet.set_timer("timer", 100, "timer"))
            with trio.move_on_after(1) as scope:
                await trio.sleep_forever()
            assert scope.cancelled_caught
            if how == "fails":
                raise Woe
            if how == "is cancelled":
                await trio.sleep_forever()

    async with trio.open_nursery() as askers:
        with trio.move_on_after(5):
            if how == "fails":
                with pytest.raises(ExceptionGroup):
                    await run(askers)
            else:
                await run(askers)
        await wait_all_tasks_blocked()
        assert not living_tasks() - before
    assert len(ends) == 20


async def test_nothing_is_left_of_ten_thousand_actors(supervisor: Supervisor) -> None:
    before = living_tasks()
    async with open_supervisor("inner", parent=supervisor) as inner:
        refs = [spawn(inner, address=f"puppet/{number}") for number in range(10_000)]
        for ref in refs:
            ref.tell_nowait("message")
        await wait_all_tasks_blocked()
        assert inner.statistics().actors == 10_000
    assert not living_tasks() - before
    assert all(ref.stopped for ref in refs)


async def test_nothing_is_left_of_a_supervisor_opened_in_a_cancelled_scope(
    autojump_clock: MockClock,
) -> None:
    before = living_tasks()
    with trio.CancelScope() as scope:
        scope.cancel()
        async with open_supervisor("root") as supervisor:
            ref = spawn(supervisor)
            await ref.ask("never", timeout_s=1)
    assert scope.cancelled_caught
    assert not living_tasks() - before


async def test_cancelled_is_never_swallowed_by_the_block(autojump_clock: MockClock) -> None:
    with trio.move_on_after(1) as scope:
        async with open_supervisor("root") as supervisor:
            spawn(supervisor)
            await trio.sleep_forever()
        pytest.fail("went on after its cancellation")
    assert scope.cancelled_caught


async def test_cancelled_is_never_swallowed_and_the_block_ends_within_its_timeouts(
    autojump_clock: MockClock,
) -> None:
    policy = ActorPolicy(stop_timeout_s=3)
    with trio.move_on_after(1) as scope:
        async with open_supervisor("root", grace_s=2) as supervisor:
            ref = spawn(supervisor, policy=policy, on_stop=sleeping(inf))
            await ref.ask(lambda puppet: puppet.start_job("j", trio.sleep_forever), timeout_s=1)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert 1 + 2 + 3 <= trio.current_time() <= 1 + 2 + 3 + 1 / 64


async def test_cancelled_is_never_swallowed_by_a_job(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    seen: list[str] = []
    ref = spawn(supervisor)

    async def work() -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            seen.append("cancelled")
            raise

    await ref.ask(lambda puppet: puppet.start_job("job", work), timeout_s=1)
    await wait_all_tasks_blocked()
    await supervisor.stop(ref)
    assert seen == ["cancelled"]


async def test_on_stop_always_runs_also_when_the_supervisor_is_cancelled(
    autojump_clock: MockClock,
) -> None:
    diary: list[Any] = []

    async def put_away(puppet: Puppet) -> None:
        await trio.sleep(1)
        puppet.diary.append("put away")

    with trio.move_on_after(1):
        async with open_supervisor("root") as supervisor:
            spawn(supervisor, diary, on_stop=put_away)
            await trio.sleep_forever()
    assert diary == ["start", "stopped", "put away"]


async def test_an_error_in_the_block_comes_out_of_it(autojump_clock: MockClock) -> None:
    diary: list[Any] = []
    with pytest.RaisesGroup(Woe):
        async with open_supervisor("root") as supervisor:
            ref = spawn(supervisor, diary)
            await settled(ref)
            raise Woe
    assert diary == ["start", "stopped"]


async def test_a_job_that_fails_as_the_shutdown_timeout_cancels_it_is_heard_of(
    autojump_clock: MockClock,
) -> None:
    async def fail_in_company() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise Accident

    async def run() -> None:
        async with open_supervisor("root", grace_s=100, shutdown_timeout_s=1) as supervisor:
            ref = spawn(supervisor)
            begin = partial(Puppet.start_job, name="job", work=fail_in_company)
            await ref.ask(begin, timeout_s=1)

    with pytest.raises(ExceptionGroup) as caught:
        await run()
    assert caught.group_contains(Accident)


async def test_on_stop_always_runs_to_its_own_deadline_also_beyond_the_shutdown_timeout(
    autojump_clock: MockClock,
) -> None:
    diary: list[Any] = []

    async def put_away(puppet: Puppet) -> None:
        await trio.sleep(3)
        puppet.diary.append("put away")

    async with open_supervisor("root", shutdown_timeout_s=1) as supervisor:
        spawn(supervisor, diary, on_stop=put_away)
        await wait_all_tasks_blocked()
    assert diary == ["start", "stopped", "put away"]


async def test_statistics_say_how_many_messages_no_actor_has_begun(
    supervisor: Supervisor,
) -> None:
    one, other = spawn(supervisor), spawn(supervisor, address="puppet/2")
    await wait_all_tasks_blocked()
    for ref, count in ((one, 2), (other, 5)):
        for _ in range(count):
            ref.tell_nowait(lambda _: None)
    found = supervisor.statistics()
    assert (found.inbox_depth, found.deepest_inbox) == (7, 5)
