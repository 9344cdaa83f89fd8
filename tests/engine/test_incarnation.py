"""What an actor does with its messages, from start to stop."""

from __future__ import annotations

import gc
import weakref
from functools import partial
from itertools import pairwise
from math import inf
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine import (
    DEFERRED,
    Actor,
    ActorCrashed,
    ActorEnded,
    ActorPolicy,
    ActorStopped,
    InboxFull,
    JobEnded,
    Restart,
    Supervisor,
    open_supervisor,
)
from tests.engine.puppet import Accident, Puppet, accident, settled, sleeping, spawn

PERMANENT = ActorPolicy(restart=Restart.PERMANENT, backoff_s=1.0)


# -- handling ----------------------------------------------------------------------------------


async def test_one_at_a_time_and_each_to_its_end(supervisor: Supervisor) -> None:
    inside: list[str] = []
    most = 0

    def enter(name: str, puppet: Puppet) -> None:
        nonlocal most
        inside.append(name)
        most = max(most, len(inside))
        puppet.ref.signal(lambda _: None)
        puppet.ref.tell_nowait(lambda _: None)
        inside.remove(name)

    ref = spawn(supervisor)
    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(partial(ref.ask, partial(enter, f"{number}"), timeout_s=60))
    await settled(ref)
    assert most == 1


async def test_one_at_a_time_holds_while_jobs_run(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    ref = spawn(supervisor)
    await ref.ask(lambda puppet: puppet.start_job("slow", trio.sleep, 100), timeout_s=1)
    began = trio.current_time()
    for number in range(100):
        assert await ref.ask(number, timeout_s=1) == number
    assert trio.current_time() == began
    await supervisor.stop(ref)


async def test_fairness_after_64_messages_other_tasks_run(supervisor: Supervisor) -> None:
    handled = 0
    seen: list[int] = []

    def count(_: Puppet) -> None:
        nonlocal handled
        handled += 1

    ref = spawn(supervisor)
    await settled(ref)
    for _ in range(1000):
        ref.tell_nowait(count)

    while handled < 1000:
        await trio.lowlevel.checkpoint()
        seen.append(handled)
    steps = [after - before for before, after in pairwise([0, *seen])]
    # Between two looks the actor has had one turn, or two when Trio turns a batch round.
    assert max(steps) <= 2 * 64
    assert len(seen) >= 1000 // (2 * 64)


async def test_fairness_holds_for_actors_that_signal_themselves(supervisor: Supervisor) -> None:
    ref = spawn(supervisor)

    def again(puppet: Puppet) -> None:
        if not done.is_set():
            puppet.ref.signal(again)

    done = trio.Event()
    ref.signal(again)
    for _ in range(10):
        await trio.lowlevel.checkpoint()
    done.set()


async def test_pause_lets_ordinary_messages_wait_and_the_control_lane_go_on(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary, policy=ActorPolicy(inbox_capacity=2))

    def pause(puppet: Puppet) -> None:
        puppet.pause()
        puppet.set_timer("timer", 1, "timer")

    await ref.ask(pause, timeout_s=1)
    ref.tell_nowait("ordinary")
    ref.signal("control")
    await trio.sleep(5)
    assert diary == ["start", "control", "timer"]
    ref.tell_nowait("ordinary")
    with pytest.raises(InboxFull):
        ref.tell_nowait("ordinary")
    ref.signal(Puppet.resume)
    await settled(ref)
    assert diary == ["start", "control", "timer", "ordinary", "ordinary"]


async def test_pause_ends_when_a_job_says_so(supervisor: Supervisor) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)

    async def work(puppet: Puppet) -> None:
        await wait_all_tasks_blocked()
        puppet.resume()
        await trio.sleep_forever()

    def pause(puppet: Puppet) -> None:
        puppet.pause()
        puppet.start_job("job", work, puppet)

    ref.tell_nowait(pause)
    assert await ref.ask("waits", timeout_s=5) == "waits"


async def test_pause_is_no_hindrance_to_a_stop_and_ends_with_the_incarnation(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary, policy=PERMANENT)
    await ref.ask(Puppet.pause, timeout_s=1)
    ref.tell_nowait("waits")
    ref.signal(lambda _: accident())
    await settled(ref)
    assert diary == ["start", "crashed", "start", "waits"]
    await ref.ask(Puppet.pause, timeout_s=1)
    ref.tell_nowait("never")
    await supervisor.stop(ref)
    assert diary[-1] == "stopped"


async def test_an_idle_actor_keeps_no_message_alive(supervisor: Supervisor) -> None:
    class Message:
        pass

    ref = spawn(supervisor)
    traces = []
    for send in (ref.tell_nowait, ref.signal):
        message = Message()
        traces.append(weakref.ref(message))
        send(partial(_drop, message))
        del message
        await wait_all_tasks_blocked()
    gc.collect()
    assert [trace() for trace in traces] == [None, None]


def _drop(_message: object, _puppet: Puppet) -> None:
    pass


async def test_an_actor_without_a_handler_says_so(supervisor: Supervisor) -> None:
    ref = supervisor.spawn(Actor, "actor/1")
    with pytest.raises(ActorCrashed) as caught:
        await ref.ask("anything", timeout_s=1)
    assert isinstance(caught.value.__cause__, NotImplementedError)


# -- starting ----------------------------------------------------------------------------------


async def test_start_before_messages_those_sent_meanwhile_wait(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    gate = trio.Event()
    ref = spawn(supervisor, diary, on_start=lambda _: gate.wait())
    ref.tell_nowait("told")
    ref.signal("signalled")
    await wait_all_tasks_blocked()
    assert diary == ["start"]
    gate.set()
    await settled(ref)
    assert diary == ["start", "signalled", "told"]


async def test_start_before_messages_one_that_takes_too_long_is_a_crash(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    policy = ActorPolicy(start_timeout_s=3)
    ref = spawn(supervisor, diary, policy=policy, on_start=sleeping(inf))
    began = trio.current_time()
    with pytest.raises(ActorStopped):
        await ref.ask("never", timeout_s=60)
    assert trio.current_time() - began == 3
    assert diary == ["start", "crashed"]


async def test_start_before_messages_jobs_begun_by_it_run(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []

    async def begin(puppet: Puppet) -> None:
        puppet.start_job("job", trio.sleep, 1)

    ref = spawn(supervisor, diary, on_start=begin)
    await trio.sleep(2)
    await settled(ref)
    assert diary == ["start", JobEnded(name="job")]


@pytest.mark.parametrize("grace_s", [0.0, 2.0])
async def test_stop_accepts_nothing_more_also_during_a_start_which_is_cut_short(
    supervisor: Supervisor, autojump_clock: MockClock, grace_s: float
) -> None:
    diary: list[Any] = []

    async def begin_and_hang(puppet: Puppet) -> None:
        puppet.start_job("never begun", trio.sleep_forever)
        await trio.sleep_forever()

    ref = spawn(supervisor, diary, on_start=begin_and_hang)
    ref.tell_nowait("left")
    ref.signal("left")
    await wait_all_tasks_blocked()
    began = trio.current_time()
    await supervisor.stop(ref, grace_s=grace_s)
    assert trio.current_time() - began == grace_s
    assert diary == ["start", "stopped"]
    assert supervisor.statistics().crashes == 0


async def test_a_start_that_ends_within_the_grace_of_a_stop_is_not_cut_short(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []

    async def start(puppet: Puppet) -> None:
        await trio.sleep(1)
        puppet.diary.append("started")

    ref = spawn(supervisor, diary, on_start=start)
    await wait_all_tasks_blocked()
    await supervisor.stop(ref, grace_s=5)
    assert diary == ["start", "started", "stopped"]


async def test_stop_lets_begun_work_finish_and_counts_the_grace_from_when_it_was_asked_for(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    async def start(puppet: Puppet) -> None:
        await trio.sleep(4)
        puppet.start_job("job", trio.sleep_forever)

    ref = spawn(supervisor, on_start=start)
    await wait_all_tasks_blocked()
    began = trio.current_time()
    await supervisor.stop(ref, grace_s=5)
    assert 5 <= trio.current_time() - began <= 5 + 1 / 64


async def test_an_actor_that_is_stopped_before_it_began_is_never_built(
    supervisor: Supervisor,
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)
    ref.tell_nowait("left")
    await supervisor.stop(ref)
    assert diary == []
    assert ref.stopped


async def test_an_actor_may_stop_itself_as_it_starts(supervisor: Supervisor) -> None:
    diary: list[Any] = []

    async def give_up(puppet: Puppet) -> None:
        puppet.stop()

    ref = spawn(supervisor, diary, on_start=give_up)
    with pytest.raises(ActorStopped):
        await ref.ask("never", timeout_s=1)
    assert diary == ["start", "stopped"]


# -- stopping ----------------------------------------------------------------------------------


async def test_stop_accepts_nothing_more_and_answers_what_is_left(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ends: list[Any] = []
    policy = ActorPolicy(inbox_capacity=2)
    ref = spawn(supervisor, diary, policy=policy)

    async def ask(message: Any) -> None:
        try:
            await ref.ask(message, timeout_s=60)
        except ActorStopped as stopped:
            ends.append((message, stopped.message))

    async def tell(message: Any) -> None:
        try:
            await ref.tell(message, timeout_s=60)
        except ActorStopped as stopped:
            ends.append((message, stopped.message))

    await settled(ref)
    async with trio.open_nursery() as nursery:
        # In the inbox, and behind it an ask and a tell that wait for room.
        ref.tell_nowait("told")
        ref.tell_nowait("told too")
        supervisor.stop_soon(ref)
        nursery.start_soon(ask, "ask")
        nursery.start_soon(tell, "tell")
    assert sorted(ends) == [("ask", "ask"), ("tell", "tell")]
    with pytest.raises(ActorStopped):
        await ref.tell("late")
    assert diary == ["start", "stopped"]


async def test_stop_accepts_nothing_more_while_messages_wait_for_room(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ends: list[str] = []
    gate = trio.Event()
    policy = ActorPolicy(inbox_capacity=1)
    ref = spawn(supervisor, diary, policy=policy, on_start=lambda _: gate.wait())

    async def expect_stopped(send: Any) -> None:
        with pytest.raises(ActorStopped):
            await send()
        ends.append("stopped")

    ref.tell_nowait("fills the inbox")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(expect_stopped, partial(ref.ask, "waits", timeout_s=60))
        nursery.start_soon(expect_stopped, partial(ref.tell, "waits", timeout_s=60))
        await wait_all_tasks_blocked()
        assert ref.statistics().waiting_senders == 2
        await supervisor.stop(ref)
    assert ends == ["stopped", "stopped"]
    assert diary == ["start", "stopped"]


async def test_stop_accepts_nothing_more_from_within_the_handler_that_says_so(
    supervisor: Supervisor,
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)

    def stop(puppet: Puppet) -> bool:
        puppet.stop()
        with pytest.raises(ActorStopped):
            puppet.ref.tell_nowait("late")
        return puppet.stopping

    ref.tell_nowait(stop)
    ref.tell_nowait("left")
    with pytest.raises(ActorStopped):
        await ref.ask("left", timeout_s=1)
    assert diary == ["start", "stopped"]


async def test_the_message_in_hand_is_answered_when_its_handler_stops_the_actor(
    supervisor: Supervisor,
) -> None:
    ref = spawn(supervisor)

    def stop(puppet: Puppet) -> str:
        puppet.stop()
        return "bye"

    assert await ref.ask(stop, timeout_s=1) == "bye"


async def test_stop_lets_begun_work_finish_and_answer(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    answers: list[Any] = []
    replies: list[Any] = []

    def begin(puppet: Puppet) -> Any:
        replies.append(puppet.defer())
        puppet.start_job("work", trio.sleep, 3)
        return DEFERRED

    ref = spawn(supervisor, diary, on_job_end=lambda _, end: replies[0].answer(end.name))

    async def ask() -> None:
        answers.append(await ref.ask(begin, timeout_s=60))

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        await supervisor.stop(ref, grace_s=5)
    assert trio.current_time() - began == 3
    assert answers == ["work"]
    assert diary == ["start", JobEnded(name="work"), "stopped"]


async def test_stop_lets_begun_work_finish_but_not_beyond_the_grace(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)
    await ref.ask(lambda puppet: puppet.start_job("work", trio.sleep_forever), timeout_s=1)
    began = trio.current_time()
    await supervisor.stop(ref, grace_s=5)
    assert 5 <= trio.current_time() - began <= 5 + 1 / 64
    assert diary == ["start", JobEnded(name="work", cancelled=True), "stopped"]


async def test_stop_lets_begun_work_finish_within_the_earliest_grace_that_was_named(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    ref = spawn(supervisor)
    await ref.ask(lambda puppet: puppet.start_job("work", trio.sleep_forever), timeout_s=1)
    began = trio.current_time()
    supervisor.stop_soon(ref, grace_s=5)
    await trio.sleep(1)
    supervisor.stop_soon(ref, grace_s=60)  # later than the first: changes nothing
    supervisor.stop_soon(ref, grace_s=2)
    await supervisor.stop(ref, grace_s=30)
    assert 3 <= trio.current_time() - began <= 3 + 1 / 64


async def test_stop_lets_begun_work_finish_and_work_begun_within_the_grace_has_what_is_left_of_it(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []

    def go_on(puppet: Puppet, end: JobEnded) -> None:
        if end.name == "login":
            puppet.start_job("save", trio.sleep_forever)

    ref = spawn(supervisor, diary, on_job_end=go_on)
    await ref.ask(lambda puppet: puppet.start_job("login", trio.sleep, 2), timeout_s=1)
    began = trio.current_time()
    await supervisor.stop(ref, grace_s=5)
    assert 5 <= trio.current_time() - began <= 5 + 1 / 64
    ends = [JobEnded(name="login"), JobEnded(name="save", cancelled=True)]
    assert diary == ["start", *ends, "stopped"]


async def test_stop_lets_begun_work_finish_that_an_actor_begins_after_stopping_itself(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)

    def stop_and_begin(puppet: Puppet) -> None:
        puppet.stop(grace_s=4)
        puppet.start_job("work", trio.sleep_forever)

    began = trio.current_time()
    await ref.ask(stop_and_begin, timeout_s=1)
    await supervisor.stop(ref, grace_s=60)
    assert 4 <= trio.current_time() - began <= 4 + 1 / 64
    assert diary == ["start", JobEnded(name="work", cancelled=True), "stopped"]


async def test_an_actor_that_begins_each_job_anew_can_be_stopped(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []

    def begin(puppet: Puppet, _: object = None) -> None:
        puppet.start_job("pump", trio.sleep_forever)

    ref = spawn(supervisor, diary, on_job_end=begin)
    await ref.ask(begin, timeout_s=1)
    began = trio.current_time()
    await supervisor.stop(ref)
    assert trio.current_time() == began
    assert diary == ["start", JobEnded(name="pump", cancelled=True), "stopped"]


async def test_on_stop_always_runs_once_after_the_last_job(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []

    async def slow_to_leave() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(3)
            diary.append("job left")

    ref = spawn(supervisor, diary)
    await ref.ask(lambda puppet: puppet.start_job("job", slow_to_leave), timeout_s=1)
    await supervisor.stop(ref)
    assert diary == ["start", "job left", JobEnded(name="job", cancelled=True), "stopped"]


async def test_on_stop_always_runs_also_after_a_crash(supervisor: Supervisor) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary)
    with pytest.raises(ActorCrashed):
        await ref.ask(lambda _: accident(), timeout_s=1)
    await supervisor.stop(ref)
    assert diary == ["start", "crashed"]


async def test_on_stop_always_runs_also_when_the_start_failed(supervisor: Supervisor) -> None:
    diary: list[Any] = []

    async def fail(_: Puppet) -> None:
        raise Accident

    ref = spawn(supervisor, diary, on_start=fail)
    with pytest.raises(ActorStopped):
        await ref.ask("never", timeout_s=1)
    assert diary == ["start", "crashed"]


async def test_on_stop_always_runs_but_not_for_ever(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    policy = ActorPolicy(stop_timeout_s=7)
    ref = spawn(supervisor, diary, policy=policy, on_stop=sleeping(inf))
    await settled(ref)
    began = trio.current_time()
    await supervisor.stop(ref)
    assert trio.current_time() - began == 7
    assert diary == ["start", "stopped"]


async def test_on_stop_always_runs_and_one_that_raises_disturbs_nobody(
    supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_: Puppet) -> None:
        raise Accident

    ref = spawn(supervisor, on_stop=fail)
    other = spawn(supervisor, address="puppet/2")
    await settled(ref)
    await supervisor.stop(ref)
    assert [(it.message, it.actor) for it in caplog.records] == [("on_stop_failed", "puppet/1")]  # type: ignore[attr-defined]
    assert await other.ask("alive", timeout_s=1) == "alive"
    assert supervisor.statistics().crashes == 0


async def test_on_stop_always_runs_and_what_it_begins_ends_with_its_incarnation(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []

    async def begin(puppet: Puppet) -> None:
        puppet.set_timer("timer", 3, "from the grave")
        puppet.start_job("job", trio.sleep, 3)
        puppet.ref.tell_nowait("sent to the next one")

    ref = spawn(supervisor, diary, policy=PERMANENT, on_stop=begin)
    await settled(ref)
    ref.tell_nowait(lambda _: accident())
    await trio.sleep(10)
    await settled(ref)
    assert diary == ["start", "crashed", "start", "sent to the next one"]


# -- after a crash -----------------------------------------------------------------------------


async def test_restart_keeps_the_inbox_and_the_ref_but_not_the_message_that_crashed_it(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    ref = spawn(supervisor, diary, policy=PERMANENT)
    await settled(ref)
    ref.tell_nowait("before")
    ref.tell_nowait(lambda _: accident())
    ref.tell_nowait("after")
    ref.signal("control")
    await settled(ref)
    assert diary == ["start", "control", "before", "crashed", "start", "after"]


async def test_restart_keeps_the_inbox_and_makes_a_new_state(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    built: list[Puppet] = []

    def build() -> Puppet:
        built.append(Puppet())
        return built[-1]

    ref = supervisor.spawn(build, "puppet/1", policy=PERMANENT)
    with pytest.raises(ActorCrashed):
        await ref.ask(lambda _: accident(), timeout_s=1)
    await settled(ref)
    assert len(built) == 2
    assert built[0] is not built[1]


async def test_restart_keeps_the_inbox_and_ends_what_its_former_incarnation_held(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    asker_ends: list[Any] = []
    ref = spawn(supervisor, diary, policy=PERMANENT)

    def hold(puppet: Puppet) -> Any:
        puppet.defer(on_gone="gone")
        puppet.set_timer("timer", 5, "timer")
        puppet.start_job("job", trio.sleep, 5)
        return DEFERRED

    async def ask() -> None:
        with pytest.raises(ActorCrashed) as caught:
            await ref.ask(hold, timeout_s=60)
        asker_ends.append(caught.value.__cause__)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        ref.tell_nowait(lambda _: accident())
    assert len(supervisor.deadlines) == 0
    await trio.sleep(20)
    await settled(ref)
    assert [type(end) for end in asker_ends] == [Accident]
    assert diary == ["start", "crashed", "start"]


async def test_restart_keeps_the_inbox_but_not_what_fires_while_its_incarnation_ends(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    """An asker that leaves and a timer that fires during `on_stop` are the old one's matter."""
    diary: list[Any] = []
    ref = spawn(supervisor, diary, policy=PERMANENT, on_stop=sleeping(5))

    def hold(puppet: Puppet) -> Any:
        puppet.defer(on_gone="gone")
        puppet.set_timer("timer", 3, "timer")
        return DEFERRED

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(ref.ask, hold, timeout_s=60))
        await wait_all_tasks_blocked()
        ref.tell_nowait(lambda _: accident())
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    await trio.sleep(20)
    await settled(ref)
    assert diary == ["start", "crashed", "start"]


async def test_a_crash_is_contained_it_disturbs_no_other_actor(
    supervisor: Supervisor, autojump_clock: MockClock
) -> None:
    diary: list[Any] = []
    other = spawn(supervisor, diary, address="puppet/2")
    await other.ask(lambda puppet: puppet.start_job("job", trio.sleep, 2), timeout_s=1)
    ref = spawn(supervisor)
    with pytest.raises(ActorCrashed):
        await ref.ask(lambda _: accident(), timeout_s=1)
    await trio.sleep(3)
    await settled(other)
    assert diary == ["start", JobEnded(name="job")]
    assert supervisor.statistics().actors == 1
    assert supervisor.statistics().crashes == 1


async def test_a_crash_is_contained_while_jobs_run_and_is_not_mistaken_for_theirs(
    supervisor: Supervisor, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    ends: list[Any] = []
    watcher = spawn(supervisor, ends, address="watcher/1")

    async def fail_in_company() -> None:
        # The cancellation and the error leave together, as a group.
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise RuntimeError("chromium could not be killed")

    ref = spawn(supervisor, watcher=watcher)
    await ref.ask(lambda puppet: puppet.start_job("job", fail_in_company), timeout_s=1)
    with pytest.raises(ActorCrashed) as caught:
        await ref.ask(lambda _: accident(), timeout_s=1)
    assert isinstance(caught.value.__cause__, Accident)
    await wait_all_tasks_blocked()
    assert [type(end.error) for end in ends if isinstance(end, ActorEnded)] == [Accident]
    (ended,) = [it for it in caplog.records if it.message == "job_failed_while_ending"]
    assert (ended.actor, ended.job) == ("puppet/1", "job")  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_what_is_no_exception_is_not_contained_and_leaves_nobody_waiting(
    error: type[BaseException],
) -> None:
    ends: list[Any] = []

    def raise_it(_: Puppet) -> None:
        raise error

    async def run() -> None:
        async with open_supervisor("doomed") as supervisor:
            ref = spawn(supervisor)
            other = spawn(supervisor, ends, address="puppet/2")
            await settled(other)
            try:
                await ref.ask(raise_it, timeout_s=60)
            except ActorStopped:
                ends.append("answered")

    with pytest.raises(BaseExceptionGroup) as caught:
        await run()
    assert caught.group_contains(error)
    assert sorted(ends) == ["answered", "start", "stopped"]
