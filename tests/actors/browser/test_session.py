"""One session: its operations, its callers, its refreshes, what it shows of itself."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio

from actors.browser.agenda import Operate
from actors.browser.errors import (
    AuthenticationFailed,
    CaptchaFailed,
    LoginLost,
    NotAtPortal,
    OperationFailed,
    OperationTimedOut,
    SessionNotFound,
)
from actors.browser.messages import RunOperation
from actors.browser.page import PageError
from actors.browser.report import SessionReport
from actors.browser.session import BrowserSession
from engine import ActorCrashed
from engine.registry import LeaseLapsed, LeaseReleased
from tests.actors.browser.bench import Ear
from tests.actors.browser.fakes import Task
from tests.actors.browser.house import House, credentials, open_house


async def reason_of(house: House, session_id: str) -> str:
    with pytest.raises(SessionNotFound) as told:
        await house.run(Task(), session_id)
    reason: str = told.value.fields["reason"]
    return reason


# -- operations ------------------------------------------------------------------------------------


async def test_operations_on_one_session_run_one_at_a_time_in_order_of_arrival(autojump_clock):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        names = [str(number) for number in range(10)]
        callers = []
        for name in names:
            callers.append(house.run_soon(Task(name=name, seconds=5.0), session_id))
            await trio.sleep(0.1)
        done = [await caller.outcome() for caller in callers]
        assert [each.answer.name for each in done] == names
        assert house.site.begun == house.site.ended == names


async def test_operations_on_different_sessions_run_at_once(autojump_clock):
    async with open_house() as house:
        for number in (1, 2, 3):
            await house.get(number)
        before = trio.current_time()
        callers = [house.run_soon(Task(seconds=60.0), number=number) for number in (1, 2, 3)]
        for caller in callers:
            await caller.outcome()
        assert trio.current_time() - before < 61.0


async def test_an_operation_whose_caller_left_before_it_began_is_never_begun(autojump_clock):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        first = house.run_soon(Task(name="first", seconds=10.0), session_id)
        await house.begun("first")
        second = house.run_soon(Task(name="second"), session_id)
        third = house.run_soon(Task(name="third"), session_id)
        await trio.sleep(1.0)
        await second.leave()
        await third.outcome()
        assert first.ended
        assert house.site.begun == ["first", "third"]
        assert not (await house.view(session_id)).in_use


async def test_the_lease_of_a_caller_that_left_ends_at_once_and_not_with_the_step_it_waited_for(
    autojump_clock,
):
    async with open_house(refresh_interval_s=100.0, login_timeout_s=1000.0) as house:
        session_id = (await house.get()).session_id
        house.site.page_s = 500.0
        await trio.sleep(110.0)
        caller = house.run_soon(Task(name="never"), session_id)
        await trio.sleep(1.0)
        view = await house.view(session_id)
        assert (view.status, view.in_use) == ("refreshing", True)
        await caller.leave()
        view = await house.view(session_id)
        assert (view.status, view.in_use) == ("refreshing", False)
        house.site.page_s = 1.0
    assert house.site.begun == []


async def test_an_operation_goes_on_and_stays_in_use_when_its_caller_leaves(autojump_clock):
    async with open_house(capacity=1, capacity_wait_s=0.0) as house:
        session_id = (await house.get()).session_id
        caller = house.run_soon(Task(name="long", seconds=100.0), session_id)
        await house.begun("long")
        await caller.leave()
        await trio.sleep(50.0)
        view = await house.view(session_id)
        assert (view.in_use, view.status) == (True, "in_use")
        await trio.sleep(51.0)
        view = await house.view(session_id)
        assert (view.in_use, view.status) == (False, "live")
        assert house.site.ended == ["long"]


async def test_a_caller_that_leaves_while_its_login_runs_begins_no_operation(autojump_clock):
    async with open_house() as house:
        caller = house.run_soon(Task(name="never"), number=1)
        other = house.get_soon(1)
        await trio.sleep(2.0)
        await caller.leave()
        granted = await other.outcome()
        assert not (await house.view(granted.session_id)).in_use
    assert house.site.begun == []


async def test_an_answer_of_the_portal_that_says_no_reaches_the_caller_as_it_is(autojump_clock):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        task = Task(error=NotAtPortal("no such container", container_id="X"))
        with pytest.raises(NotAtPortal) as told:
            await house.run(task, session_id)
        assert told.value.fields["container_id"] == "X"
        assert told.value.fields["session_id"] == session_id
        assert (await house.view(session_id)).status == "live"


async def test_a_page_that_does_not_behave_is_a_failed_operation_and_harms_no_later_one(
    autojump_clock,
):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        with pytest.raises(OperationFailed):
            await house.run(Task(error=PageError("no such element")), session_id)
        assert (await house.run(Task(), session_id)).session_id == session_id


async def test_an_operation_that_takes_too_long_is_told_and_the_page_recovered_before_the_next(
    autojump_clock,
):
    async with open_house(operation_timeout_s=30.0) as house:
        session_id = (await house.get()).session_id
        before = trio.current_time()
        late = house.run_soon(Task(name="late", seconds=math.inf), session_id)
        await house.begun("late")
        queued = house.run_soon(Task(name="queued"), session_id)
        with pytest.raises(OperationTimedOut):
            await late.outcome()
        assert trio.current_time() - before == pytest.approx(30.0, abs=0.1)
        refreshes = house.site.refreshes
        await trio.sleep(0.5)
        view = await house.view(session_id)
        assert (view.status, house.site.begun) == ("recovering", ["late"])
        assert (await queued.outcome()).session_id == session_id
        assert house.site.refreshes == refreshes + 1
        assert house.site.logins == {"driver-1": 1}


async def test_an_operation_that_finds_the_login_lost_logs_in_and_is_tried_once_more(
    autojump_clock,
):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        house.site.log_all_out()
        done = await house.run(Task(name="again"), session_id)
        assert done.session_id == session_id
        assert house.site.begun == ["again", "again"]
        assert house.site.ended == ["again"]
        assert house.site.logins == {"driver-1": 2}


async def test_an_operation_that_finds_the_login_lost_twice_says_so_and_a_refresh_follows(
    autojump_clock,
):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        with pytest.raises(LoginLost):
            await house.run(Task(name="lost", error=LoginLost()), session_id)
        assert house.site.begun == ["lost", "lost"]
        await trio.sleep(0.5)
        assert (await house.view(session_id)).status == "refreshing"


async def test_credentials_that_fail_inside_an_operation_end_the_session_with_login_lost(
    autojump_clock,
):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        house.site.log_all_out()
        house.site.passwords["driver-1"] = "changed"
        first = house.run_soon(Task(name="first"), session_id)
        second = house.run_soon(Task(name="second"), session_id)
        for caller in (first, second):
            with pytest.raises(AuthenticationFailed):
                await caller.outcome()
        # The account is not tried again with each operation.
        assert house.site.logins == {"driver-1": 2}
        assert await reason_of(house, session_id) == "login_lost"


async def test_a_portal_adapter_that_breaks_ends_its_session_and_no_other(autojump_clock):
    async with open_house(session_crashes=1) as house:
        broken, whole = await house.get(1), await house.get(2)
        with pytest.raises(ActorCrashed) as told:
            await house.run(Task(error=RuntimeError("a bug")), broken.session_id)
        assert isinstance(told.value.__cause__, RuntimeError)
        assert await reason_of(house, broken.session_id) == "crashed"
        assert (await house.run(Task(), whole.session_id)).answer.user == "driver-2"
        await trio.sleep(1.0)
        assert (await house.pool()).contexts == 1


async def test_an_operation_that_never_gets_its_turn_is_told_and_does_not_stay_leased(
    autojump_clock,
):
    async with open_house(operation_timeout_s=100.0, login_timeout_s=10.0) as house:
        session_id = (await house.get()).session_id
        callers = []
        for name in ("1", "2", "3"):
            callers.append(house.run_soon(Task(name=name, seconds=90.0), session_id))
            await trio.sleep(0.1)
        with pytest.raises(OperationTimedOut):
            await callers.pop().outcome()
        for caller in callers:
            await caller.outcome()
        await trio.sleep(100.0)
        assert not (await house.view(session_id)).in_use
        assert house.site.begun == ["1", "2"]


async def test_an_operation_whose_lease_lapses_is_stopped_and_told_and_the_page_recovered(
    autojump_clock,
):
    heard: list[Any] = []
    async with open_house() as house:
        registry = house.sessions.spawn(lambda: Ear(heard), "ear/registry")
        session = house.sessions.spawn(
            lambda: BrowserSession(
                "alone",
                credentials(),
                equipment=house.equipment,
                registry=registry,
                clock=house.clock,
            ),
            "browser/alone",
        )
        await trio.sleep(5.0)
        call = RunOperation(name="do_task", request=Task(name="stuck", seconds=1e6))
        stuck = house.ask_soon(Operate(call=call, token=7, is_new=False), of=session)
        await house.begun("stuck")
        session.signal(LeaseLapsed(token=7))
        with pytest.raises(OperationTimedOut):
            await stuck.outcome()
        await trio.sleep(0.5)
        assert [it.status for it in heard if isinstance(it, SessionReport)][-1] == "recovering"
        await house.sessions.stop(session)
        await house.sessions.stop(registry)
    assert heard.count(LeaseReleased(token=7)) == 1


# -- refresh and idling ----------------------------------------------------------------------------


async def test_a_refresh_opens_the_portals_page_each_interval(autojump_clock):
    async with open_house(refresh_interval_s=100.0, idle_timeout_s=1e5) as house:
        session_id = (await house.get()).session_id
        first = (await house.view(session_id)).last_refresh
        await trio.sleep(100.5)
        view = await house.view(session_id)
        assert (view.status, view.in_use, view.last_refresh) == ("refreshing", False, first)
        await trio.sleep(2.0)
        view = await house.view(session_id)
        assert view.status == "live"
        assert view.last_refresh > first
        assert house.site.refreshes == 1
        assert house.site.logins == {"driver-1": 1}


async def test_a_refresh_counts_as_no_use(autojump_clock):
    async with open_house(refresh_interval_s=100.0, idle_timeout_s=250.0) as house:
        session_id = (await house.get()).session_id
        used = (await house.view(session_id)).last_used
        await trio.sleep(220.0)
        assert (await house.view(session_id)).last_used == used
        await trio.sleep(40.0)
        assert await reason_of(house, session_id) == "idle_timeout"


async def test_refresh_and_idle_timeout_that_fall_due_under_an_operation_do_not_disturb_it(
    autojump_clock,
):
    async with open_house(
        refresh_interval_s=20.0, idle_timeout_s=50.0, operation_timeout_s=300.0
    ) as house:
        session_id = (await house.get()).session_id
        caller = house.run_soon(Task(name="long", seconds=200.0), session_id)
        await house.begun("long")
        await trio.sleep(199.0)
        assert (await house.view(session_id)).status == "in_use"
        assert house.site.refreshes == 0
        await caller.outcome()
        await trio.sleep(0.5)
        assert (await house.view(session_id)).status == "refreshing"
        await trio.sleep(48.0)
        assert len(await house.list()) == 1
        await trio.sleep(2.0)
        assert await reason_of(house, session_id) == "idle_timeout"
        assert house.site.logins == {"driver-1": 1}


async def test_a_refresh_waits_for_the_operations_that_came_before_it(autojump_clock):
    async with open_house(refresh_interval_s=20.0) as house:
        session_id = (await house.get()).session_id
        callers = [house.run_soon(Task(seconds=15.0), session_id) for _ in range(3)]
        await trio.sleep(44.0)
        assert (len(house.site.ended), house.site.refreshes) == (2, 0)
        for caller in callers:
            await caller.outcome()
        await trio.sleep(0.5)
        assert house.site.refreshes == 1


async def test_a_refresh_that_finds_the_login_lost_logs_in_again(autojump_clock):
    async with open_house(refresh_interval_s=100.0) as house:
        session_id = (await house.get()).session_id
        house.site.log_all_out()
        await trio.sleep(110.0)
        assert house.site.logins == {"driver-1": 2}
        assert (await house.view(session_id)).status == "live"
        assert (await house.run(Task(), session_id)).session_id == session_id
        assert house.site.logins == {"driver-1": 2}


@pytest.mark.parametrize(
    ("trouble", "told"), [("password", AuthenticationFailed), ("captcha", CaptchaFailed)]
)
async def test_a_refresh_that_cannot_log_in_again_ends_the_session_with_login_lost(
    autojump_clock, trouble: str, told: type[Exception]
):
    async with open_house(refresh_interval_s=100.0) as house:
        session_id = (await house.get()).session_id
        house.site.log_all_out()
        if trouble == "password":
            house.site.passwords["driver-1"] = "changed"
        house.site.captcha_fails = trouble == "captcha"
        await trio.sleep(101.0)
        waiting = house.run_soon(Task(name="never"), session_id)
        with pytest.raises(told):
            await waiting.outcome()
        assert await reason_of(house, session_id) == "login_lost"
        assert house.site.begun == []


@pytest.mark.parametrize("trouble", ["down", "hangs", "scripts_fail"])
async def test_a_portal_that_is_down_at_a_refresh_is_tried_three_times(
    autojump_clock, trouble: str
):
    async with open_house(refresh_interval_s=100.0, login_timeout_s=10.0) as house:
        session_id = (await house.get()).session_id
        setattr(house.site, trouble, True)
        await trio.sleep(120.0)
        assert house.site.refreshes == 1
        await trio.sleep(40.0)
        assert house.site.refreshes == 2
        assert (await house.view(session_id)).status == "live"
        await trio.sleep(40.0)
        assert house.site.refreshes == 3
        assert await reason_of(house, session_id) == "login_lost"
        assert house.site.logins == {"driver-1": 1}


async def test_a_portal_that_comes_back_in_time_costs_nobody_a_session(autojump_clock):
    async with open_house(refresh_interval_s=100.0, idle_timeout_s=1e5) as house:
        session_id = (await house.get()).session_id
        for round_ in range(3):
            house.site.down = True
            while house.site.refreshes < 3 * round_ + 2:
                await trio.sleep(1.0)
            house.site.down = False
            await trio.sleep(40.0)
        assert (await house.view(session_id)).status == "live"
        assert house.site.logins == {"driver-1": 1}


# -- debug bundles ---------------------------------------------------------------------------------


async def test_an_operation_leaves_a_debug_bundle_when_asked_to_whether_it_works_or_fails(tmp_path):
    # In real time: bundles are written in threads, which virtual time does not wait for.
    async with open_house(bundles=tmp_path, leaves=False) as house:
        house.machine.launch_s = house.machine.open_s = house.site.page_s = 0.0
        session_id = (await house.get()).session_id
        done = await house.run(Task(), session_id, debug=True)
        with pytest.raises(OperationFailed) as told:
            await house.run(Task(error=PageError("no such element")), session_id, debug=True)
        for name in (done.debug_bundle, told.value.fields["debug_bundle"]):
            assert await house.equipment.bundles.read(name) is not None
        assert (await house.run(Task(), session_id)).debug_bundle is None


async def test_an_operation_whose_chromium_died_leaves_a_debug_bundle_of_what_there_is(tmp_path):
    async with open_house(bundles=tmp_path, leaves=False) as house:
        house.machine.launch_s = house.machine.open_s = house.site.page_s = 0.0
        session_id = (await house.get()).session_id
        caller = house.run_soon(Task(name="cut", seconds=math.inf), session_id, debug=True)
        await house.begun("cut")
        house.kill()
        await caller.over.wait()
        name = caller.error.fields["debug_bundle"]
        assert await house.equipment.bundles.read(name) is not None


async def test_a_disk_that_takes_no_bundle_costs_nobody_an_answer(tmp_path):
    (tmp_path / "file").write_text("in the way")
    async with open_house(bundles=tmp_path / "file", leaves=False) as house:
        house.machine.launch_s = house.machine.open_s = house.site.page_s = 0.0
        done = await house.run(Task(), number=1, debug=True)
        assert (done.answer.name, done.debug_bundle) == ("task", None)
