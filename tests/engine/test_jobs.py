"""Jobs and timers: what an actor begins, and what becomes of it."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine import ActorCrashed, ActorEnded, ActorPolicy, JobEnded, Restart, Supervisor
from tests.engine.puppet import Accident, Puppet, accident, settled, spawn
from tests.engine.tasks import living_tasks

TICK_S = 1 / 64
PERMANENT = ActorPolicy(restart=Restart.PERMANENT, backoff_s=1.0)


def ignore(_: Puppet, __: JobEnded) -> None:
    """Handle a job's end by doing nothing."""


async def fail() -> None:
    raise Accident


# -- jobs --------------------------------------------------------------------------------------


async def test_jobs_report_as_messages_with_a_value_an_error_or_a_cancellation(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    ends: dict[str, JobEnded] = {}
    ref = spawn(supervisor, on_job_end=lambda _, end: ends.update({end.name: end}))

    async def give(value: str) -> str:
        await trio.sleep(1)
        return value

    def begin(puppet: Puppet) -> None:
        puppet.start_job("gives", give, "value")
        puppet.start_job("fails", fail)
        puppet.start_job("is cancelled", trio.sleep_forever)

    await ref.ask(begin, timeout_s=1)
    await trio.sleep(2)
    assert await ref.ask(lambda puppet: puppet.cancel_job("is cancelled"), timeout_s=1)
    await settled(ref)
    assert ends["gives"] == JobEnded(name="gives", value="value")
    assert isinstance(ends["fails"].error, Accident)
    assert ends["is cancelled"] == JobEnded(name="is cancelled", cancelled=True)


async def test_jobs_report_as_messages_in_the_control_lane(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)
    ended = trio.Event()

    async def work() -> None:
        ref.tell_nowait("ordinary, sent before the job ended")
        ended.set()

    ref.tell_nowait(lambda puppet: puppet.start_job("job", work))
    await ended.wait()
    await settled(ref)
    assert diary == ["start", JobEnded(name="job"), "ordinary, sent before the job ended"]


async def test_jobs_report_as_messages_once_each_and_their_names_are_free_again(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)

    def begin_twice(puppet: Puppet) -> None:
        puppet.start_job("job", trio.sleep, 1)
        with pytest.raises(ValueError, match="already runs a job named 'job'"):
            puppet.start_job("job", trio.sleep, 1)

    for _ in range(3):
        await ref.ask(begin_twice, timeout_s=1)
        await trio.sleep(2)
    assert diary == ["start", *[JobEnded(name="job")] * 3]


async def test_jobs_report_as_messages_and_one_begun_at_the_end_of_another_reports_too(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []

    def go_on(puppet: Puppet, end: JobEnded) -> None:
        if end.name != "3":
            puppet.start_job(str(int(end.name) + 1), trio.sleep, 1)

    ref = spawn(supervisor, diary, on_job_end=go_on)
    await ref.ask(lambda puppet: puppet.start_job("0", trio.sleep, 1), timeout_s=1)
    await trio.sleep(5)
    assert diary == ["start", *(JobEnded(name=str(number)) for number in range(4))]


async def test_jobs_report_as_messages_even_when_cancelled_before_they_began(
    supervisor: Supervisor,
) -> None:
    diary: list[Any] = []
    begun: list[str] = []
    ref = spawn(supervisor, diary)

    async def work() -> None:
        await trio.lowlevel.checkpoint()
        begun.append("job")

    def begin_and_cancel(puppet: Puppet) -> bool:
        puppet.start_job("job", work)
        return puppet.cancel_job("job")

    assert await ref.ask(begin_and_cancel, timeout_s=1)
    await wait_all_tasks_blocked()
    await settled(ref)
    assert begun == []
    assert diary == ["start", JobEnded(name="job", cancelled=True)]


async def test_jobs_report_as_messages_what_fails_while_it_is_cancelled_is_an_error(
    supervisor: Supervisor,
) -> None:
    ends: list[JobEnded] = []
    ref = spawn(supervisor, on_job_end=lambda _, end: ends.append(end))

    async def fail_when_cancelled() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise Accident

    await ref.ask(lambda puppet: puppet.start_job("job", fail_when_cancelled), timeout_s=1)
    await wait_all_tasks_blocked()
    await ref.ask(lambda puppet: puppet.cancel_job("job"), timeout_s=1)
    await wait_all_tasks_blocked()
    (end,) = ends
    assert isinstance(end.error, ExceptionGroup)
    assert end.error.subgroup(Accident) is not None
    assert not end.cancelled
    assert await ref.ask("alive", timeout_s=1) == "alive"


async def test_jobs_report_as_messages_and_an_error_that_is_not_handled_is_a_crash(
    supervisor: Supervisor,
) -> None:
    ends: list[Any] = []
    watcher = spawn(supervisor, ends, address="watcher/1")
    ref = spawn(supervisor, watcher=watcher)
    await ref.tell(lambda puppet: puppet.start_job("job", fail))
    await wait_all_tasks_blocked()
    (end,) = (end for end in ends if isinstance(end, ActorEnded))
    assert end.reason == "crashed"
    assert isinstance(end.error, Accident)


async def test_jobs_report_as_messages_to_their_own_incarnation_only(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary, policy=PERMANENT, on_job_end=ignore)
    before = living_tasks()

    def begin_and_crash(puppet: Puppet) -> None:
        puppet.start_job("job", trio.sleep, 3)
        accident()

    def begin(puppet: Puppet) -> None:
        puppet.start_job("job", trio.sleep, 10)

    with pytest.raises(ActorCrashed):
        await ref.ask(begin_and_crash, timeout_s=1)
    await ref.ask(begin, timeout_s=60)
    await trio.sleep(5)
    assert diary == ["start", "crashed", "start"]
    await trio.sleep(10)
    assert diary == ["start", "crashed", "start", JobEnded(name="job")]
    assert not living_tasks() - before


async def test_jobs_report_as_messages_to_their_own_incarnation_though_the_next_names_its_alike(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []

    async def begin(puppet: Puppet) -> None:
        puppet.start_job("process", trio.sleep, 10)

    ref = spawn(supervisor, diary, policy=PERMANENT, on_start=begin, on_job_end=ignore)
    await settled(ref)
    ref.tell_nowait(lambda _: accident())
    await trio.sleep(5)
    assert diary == ["start", "crashed", "start"]
    await trio.sleep(10)
    assert diary == ["start", "crashed", "start", JobEnded(name="process")]


async def test_jobs_report_as_messages_and_none_outlives_its_actor(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    running: list[str] = []
    diary: list[Any] = []

    async def work(name: str) -> None:
        running.append(name)
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(3)
            running.remove(name)

    def begin(puppet: Puppet) -> None:
        for name in ("a", "b"):
            puppet.start_job(name, work, name)

    ref = spawn(supervisor, diary, on_stop=lambda _: _note_running())

    async def _note_running() -> None:
        diary.append(tuple(running))

    await ref.ask(begin, timeout_s=1)
    await wait_all_tasks_blocked()
    assert sorted(running) == ["a", "b"]
    ref.tell_nowait(lambda _: accident())
    await trio.sleep(5)
    assert diary == ["start", "crashed", ()]


@pytest.mark.parametrize("stop_first", [True, False])
async def test_jobs_report_as_messages_also_when_they_end_in_the_same_pass_as_a_stop(
    supervisor: Supervisor, autojump_clock: MockClock, stop_first: bool
) -> None:
    diary: list[Any] = []
    gate = trio.Event()
    ref = spawn(supervisor, diary)
    await ref.ask(lambda puppet: puppet.start_job("job", gate.wait), timeout_s=1)
    await wait_all_tasks_blocked()
    if stop_first:
        supervisor.stop_soon(ref, grace_s=1)
    gate.set()
    if not stop_first:
        supervisor.stop_soon(ref, grace_s=1)
    await supervisor.stop(ref, grace_s=1)
    assert diary == ["start", JobEnded(name="job"), "stopped"]


async def test_a_job_may_stop_its_actor(supervisor: Supervisor, autojump_clock: MockClock) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)

    async def work(puppet: Puppet) -> None:
        puppet.stop(grace_s=5)
        await trio.sleep(2)

    await ref.ask(lambda puppet: puppet.start_job("job", work, puppet), timeout_s=1)
    await supervisor.stop(ref, grace_s=60)
    assert trio.current_time() == 2
    assert diary == ["start", JobEnded(name="job"), "stopped"]


async def test_a_job_may_ask_its_own_actor(supervisor: Supervisor) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)

    async def work() -> Any:
        return await ref.ask("question", timeout_s=1)

    await ref.ask(lambda puppet: puppet.start_job("job", work), timeout_s=1)
    await wait_all_tasks_blocked()
    assert diary == ["start", "question", JobEnded(name="job", value="question")]


# -- timers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("delay_s", [0.0, 0.01, 1.0, 2.718])
async def test_timers_arrive_once_never_early_and_at_most_a_tick_late(
    supervisor: Supervisor, autojump_clock: MockClock, delay_s: float
) -> None:
    arrived: list[float] = []
    ref = spawn(supervisor)
    await trio.sleep(0.0033)

    def note(_: Puppet) -> None:
        arrived.append(trio.current_time())

    began = trio.current_time()
    await ref.ask(lambda puppet: puppet.set_timer("timer", delay_s, note), timeout_s=1)
    await trio.sleep(60)
    (at,) = arrived
    assert delay_s <= at - began <= delay_s + TICK_S


async def test_timers_arrive_in_the_control_lane(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)

    def let_it_fire(puppet: Puppet) -> None:
        # As if the ticker had run while this message was being handled.
        puppet.set_timer("timer", 1, "timer")
        autojump_clock.jump(2)
        supervisor.deadlines._expire_due()

    ref.tell_nowait(let_it_fire)
    ref.tell_nowait("ordinary")
    await settled(ref)
    assert diary == ["start", "timer", "ordinary"]


async def test_timers_that_are_cancelled_or_replaced_do_not_arrive(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)

    def set_them(puppet: Puppet) -> None:
        puppet.set_timer("replaced", 1, "old")
        puppet.set_timer("replaced", 2, "new")
        puppet.set_timer("cancelled", 1, "never")
        puppet.cancel_timer("cancelled")
        puppet.cancel_timer("never set")

    await ref.ask(set_them, timeout_s=1)
    await trio.sleep(5)
    assert diary == ["start", "new"]


@pytest.mark.parametrize("deed", ["cancel", "replace"])
async def test_timers_that_are_cancelled_or_replaced_do_not_arrive_even_after_they_fired(
    supervisor: Supervisor, autojump_clock: MockClock, deed: str
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)

    def change_its_mind(puppet: Puppet) -> None:
        autojump_clock.jump(2)
        supervisor.deadlines._expire_due()
        if deed == "cancel":
            puppet.cancel_timer("timer")
        else:
            puppet.set_timer("timer", 1, "new")

    def set_it(puppet: Puppet) -> None:
        puppet.set_timer("timer", 1, "old")
        change_its_mind(puppet)

    await ref.ask(set_it, timeout_s=60)
    await trio.sleep(5)
    assert diary == (["start"] if deed == "cancel" else ["start", "new"])


async def test_timers_may_set_themselves_anew(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    times: list[float] = []
    ref = spawn(supervisor)

    def tick(puppet: Puppet) -> None:
        times.append(trio.current_time())
        if len(times) < 5:
            puppet.set_timer("tick", 1, tick)

    await ref.ask(tick, timeout_s=1)
    await trio.sleep(60)
    assert len(times) == 5


async def test_timers_that_race_a_restart_do_not_reach_the_next_incarnation(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary, policy=PERMANENT)

    def fire_and_crash(puppet: Puppet) -> None:
        puppet.set_timer("timer", 1, "old")
        autojump_clock.jump(2)
        supervisor.deadlines._expire_due()
        accident()

    with pytest.raises(ActorCrashed):
        await ref.ask(fire_and_crash, timeout_s=60)
    await ref.ask(lambda puppet: puppet.set_timer("timer", 3, "new"), timeout_s=60)
    await trio.sleep(10)
    assert diary == ["start", "crashed", "start", "new"]


async def test_timers_that_race_a_stop_leave_nothing_behind(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)
    await ref.ask(lambda puppet: puppet.set_timer("timer", 1, "timer"), timeout_s=1)
    await trio.sleep(1)
    await supervisor.stop(ref)
    assert len(supervisor.deadlines) == 0
    assert diary in (["start", "stopped"], ["start", "timer", "stopped"])


async def test_timers_of_an_actor_that_is_stopping_still_arrive_within_the_grace(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)

    def begin(puppet: Puppet) -> None:
        puppet.start_job("job", trio.sleep, 3)
        puppet.set_timer("timer", 1, "timer")

    await ref.ask(begin, timeout_s=1)
    await supervisor.stop(ref, grace_s=10)
    assert diary == ["start", "timer", JobEnded(name="job"), "stopped"]
