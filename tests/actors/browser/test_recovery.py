"""A session whose Chromium dies, or whose socket drops, comes back under the same id."""

from __future__ import annotations

import pytest
import trio

from actors.browser.errors import (
    AuthenticationFailed,
    BrowserCrashed,
    BrowserUnavailable,
    CaptchaFailed,
    LoginTimedOut,
    OperationTimedOut,
    PortalUnreachable,
)
from tests.actors.browser.fakes import Task
from tests.actors.browser.house import House, open_house
from tests.actors.browser.test_session import reason_of


async def wait_status(house: House, session_id: str, status: str) -> None:
    with trio.fail_after(20.0):
        while (await house.view(session_id)).status != status:
            await trio.sleep(0.01)


async def test_a_session_whose_chromium_dies_while_it_idles_comes_back_without_a_login(
    autojump_clock,
):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        house.kill()
        await wait_status(house, session_id, "recovering")
        assert not (await house.view(session_id)).in_use
        await wait_status(house, session_id, "live")
        assert (await house.run(Task(), session_id)).answer.user == "driver-1"
        assert house.site.logins == {"driver-1": 1}


async def test_an_operation_is_told_at_once_when_its_chromium_dies_and_the_next_one_works(
    autojump_clock,
):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        cut = house.run_soon(Task(name="cut", seconds=100.0), session_id)
        await house.begun("cut")
        queued = house.run_soon(Task(name="queued"), session_id)
        await trio.sleep(1.0)
        killed_at = trio.current_time()
        house.kill()
        with pytest.raises(BrowserCrashed) as told:
            await cut.outcome()
        assert cut.ended_at == killed_at
        assert told.value.fields["session_id"] == session_id
        assert (await queued.outcome()).session_id == session_id
        assert (await house.run(Task(), session_id)).session_id == session_id
        assert trio.current_time() - killed_at < 10.0
        assert house.site.logins == {"driver-1": 1}


async def test_all_sessions_of_a_chromium_that_dies_answer_again_within_ten_seconds(autojump_clock):
    async with open_house(capacity=10, sessions_per_process=5) as house:
        ids = [(await house.get(number)).session_id for number in range(10)]
        (first, *_) = house.machine.running.values()
        killed_at = trio.current_time()
        first.kill()
        callers = [house.run_soon(Task(), session_id) for session_id in ids]
        for caller in callers:
            with trio.fail_after(10.0):
                await caller.over.wait()
        for session_id in ids:
            assert (await house.run(Task(), session_id)).session_id == session_id
        assert trio.current_time() - killed_at < 10.0
        assert len(await house.list()) == 10
        assert house.site.logins.total() == 10


async def test_a_login_is_begun_again_when_its_chromium_dies_under_it(autojump_clock):
    async with open_house() as house:
        caller = house.get_soon()
        await trio.sleep(1.0)
        house.kill()
        assert (await caller.outcome()).is_new
        assert house.site.logins == {"driver-1": 1}


async def test_a_login_whose_chromium_dies_each_time_is_given_up_and_said_so(autojump_clock):
    async with open_house() as house:
        caller = house.get_soon()
        while not caller.ended:
            await trio.sleep(0.3)
            if house.machine.contexts and (await house.pool()).contexts:
                house.kill()
        with pytest.raises(BrowserCrashed):
            await caller.outcome()
        assert await house.list() == ()


async def test_a_session_whose_chromium_dies_under_a_refresh_recovers(autojump_clock):
    async with open_house(refresh_interval_s=100.0) as house:
        session_id = (await house.get()).session_id
        await trio.sleep(100.5)
        assert (await house.view(session_id)).status == "refreshing"
        house.kill()
        await wait_status(house, session_id, "recovering")
        await wait_status(house, session_id, "live")
        assert house.site.logins == {"driver-1": 1}
        assert (await house.run(Task(), session_id)).session_id == session_id


async def test_a_session_whose_chromium_dies_under_a_recovery_recovers_from_that_too(
    autojump_clock,
):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        house.kill()
        await wait_status(house, session_id, "recovering")
        await trio.sleep(1.5)
        assert (await house.pool()).contexts == 1
        assert (await house.view(session_id)).status == "recovering"
        house.kill()
        await trio.sleep(1.0)
        assert (await house.view(session_id)).status == "recovering"
        await wait_status(house, session_id, "live")
        assert (await house.run(Task(), session_id)).session_id == session_id
        assert house.site.logins == {"driver-1": 1}


async def test_a_session_whose_chromium_dies_under_every_recovery_ends_as_crashed(autojump_clock):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        while await house.list():
            await trio.sleep(0.3)
            if house.machine.contexts and (await house.pool()).contexts:
                house.kill()
        assert await reason_of(house, session_id) == "crashed"


async def test_a_chromium_that_dies_in_the_last_moment_of_a_login_is_noticed_after_it(
    autojump_clock,
):
    async with open_house() as house:
        house.machine.save_s = 1.0
        caller = house.get_soon()
        await trio.sleep(4.0)
        assert {profile.used_by for profile in house.machine.contexts} == {"save", None}
        house.kill()
        session_id = (await caller.outcome()).session_id
        await wait_status(house, session_id, "recovering")
        await wait_status(house, session_id, "live")
        assert (await house.run(Task(), session_id)).session_id == session_id


async def test_a_dropped_socket_is_reattached_without_a_login_or_another_context(autojump_clock):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        taken = house.machine.profile_of()
        house.drop()
        await wait_status(house, session_id, "recovering")
        await wait_status(house, session_id, "live")
        assert house.machine.profile_of() is taken
        # The spare was nobody's; another one is ready.
        await trio.sleep(5.0)
        assert len(house.machine.contexts) == 2
        assert (await house.run(Task(), session_id)).session_id == session_id
        assert house.site.logins == {"driver-1": 1}
        assert house.machine.launches == 1


async def test_an_operation_whose_socket_drops_is_told_at_once_and_keeps_its_context(
    autojump_clock,
):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        taken = house.machine.profile_of()
        cut = house.run_soon(Task(name="cut", seconds=100.0), session_id)
        await house.begun("cut")
        house.drop()
        with pytest.raises(BrowserCrashed):
            await cut.outcome()
        assert (await house.run(Task(), session_id)).session_id == session_id
        assert house.machine.profile_of() is taken
        assert house.site.logins == {"driver-1": 1}


async def test_a_recovery_that_comes_before_the_pool_knows_waits_for_what_the_pool_learns(
    autojump_clock,
):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        taken = house.machine.profile_of()
        # The page's own connection goes a moment before the browser's does.
        house.run_soon(Task(name="cut", seconds=100.0), session_id)
        await house.begun("cut")
        house.equipment.contexts[taken.id].page.cut()
        await trio.sleep(0.1)
        house.drop()
        await wait_status(house, session_id, "live")
        assert house.machine.profile_of() is taken
        assert (await house.run(Task(), session_id)).session_id == session_id


async def test_a_context_that_has_lost_its_page_is_replaced_by_a_restored_one(autojump_clock):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        house.machine.profile_of().broken = True
        house.drop()
        await wait_status(house, session_id, "recovering")
        await wait_status(house, session_id, "live")
        assert (await house.run(Task(), session_id)).session_id == session_id
        assert house.site.logins == {"driver-1": 1}
        assert not any(profile.broken for profile in house.machine.contexts)


async def test_a_recovered_session_whose_login_is_lost_logs_in_again(autojump_clock):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        house.site.log_all_out()
        house.kill()
        await wait_status(house, session_id, "recovering")
        await wait_status(house, session_id, "live")
        assert house.site.logins == {"driver-1": 2}
        assert (await house.run(Task(), session_id)).session_id == session_id


@pytest.mark.parametrize("error", [AuthenticationFailed, CaptchaFailed])
async def test_a_recovery_that_cannot_log_in_again_ends_the_session_with_login_lost(
    autojump_clock, error: type[Exception]
):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        house.site.log_all_out()
        house.site.captcha_fails = error is CaptchaFailed
        if error is AuthenticationFailed:
            house.site.passwords["driver-1"] = "changed"
        house.kill()
        await wait_status(house, session_id, "recovering")
        queued = house.run_soon(Task(name="never"), session_id)
        with pytest.raises(error):
            await queued.outcome()
        assert await reason_of(house, session_id) == "login_lost"


async def test_a_recovery_that_finds_the_portal_down_keeps_the_session_and_tries_again(
    autojump_clock,
):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        house.site.down = True
        house.kill()
        await wait_status(house, session_id, "recovering")
        await wait_status(house, session_id, "live")
        house.site.down = False
        refreshed = (await house.view(session_id)).last_refresh
        await trio.sleep(40.0)
        assert (await house.view(session_id)).last_refresh > refreshed
        assert (await house.run(Task(), session_id)).session_id == session_id
        assert house.site.logins == {"driver-1": 1}


async def test_a_page_that_does_not_come_back_is_given_up_for_another(autojump_clock):
    async with open_house(operation_timeout_s=20.0, login_timeout_s=10.0) as house:
        session_id = (await house.get()).session_id
        hung = house.machine.profile_of()
        hung.hangs = True
        with pytest.raises(OperationTimedOut):
            await house.run(Task(seconds=1e6), session_id)
        with pytest.raises(LoginTimedOut):
            await house.run(Task(name="never"), session_id)
        assert (await house.run(Task(name="next"), session_id)).session_id == session_id
        assert house.site.begun == ["task", "next"]
        assert hung not in house.machine.contexts
        assert house.site.logins == {"driver-1": 1}


async def test_after_a_recovery_that_failed_an_operation_recovers_first(autojump_clock):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        house.site.down = True
        house.kill()
        await wait_status(house, session_id, "recovering")
        await wait_status(house, session_id, "live")
        house.site.down = False
        assert (await house.run(Task(), session_id)).session_id == session_id
        assert house.site.logins == {"driver-1": 1}


async def test_a_session_outlives_a_while_in_which_no_chromium_starts(autojump_clock):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        house.machine.broken = True
        house.kill()
        for _ in range(5):
            await trio.sleep(2.0)
            with pytest.raises(BrowserUnavailable):
                await house.run(Task(name="never"), session_id)
        house.machine.broken = False
        await trio.sleep(15.0)
        assert (await house.pool()).spare
        assert house.site.begun == []
        assert (await house.run(Task(), session_id)).session_id == session_id
        assert house.site.logins == {"driver-1": 1}


async def test_a_session_ends_as_crashed_when_no_chromium_starts_for_long(autojump_clock):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        house.machine.broken = True
        house.kill()
        await trio.sleep(100.0)
        assert await reason_of(house, session_id) == "crashed"


async def test_a_new_session_is_told_when_no_chromium_starts_and_gets_one_when_it_does_again(
    autojump_clock,
):
    async with open_house() as house:
        house.machine.broken = True
        for _ in range(2):
            with pytest.raises(BrowserUnavailable) as told:
                await house.get()
            assert "Chromium did not start" in str(told.value.details)
        house.machine.broken = False
        await trio.sleep(60.0)
        assert (await house.get()).is_new


async def test_a_recovering_session_can_be_closed_at_once(autojump_clock):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        house.site.page_s = 100.0
        house.kill()
        await wait_status(house, session_id, "recovering")
        await trio.sleep(5.0)
        await house.close(session_id)
        assert await house.list() == ()


async def test_a_frozen_chromium_is_killed_and_its_sessions_recover(autojump_clock):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        for chromium in house.machine.running.values():
            chromium.frozen = True
        await trio.sleep(60.0)
        assert (await house.view(session_id)).status == "live"
        assert house.machine.launches == 2
        assert (await house.run(Task(), session_id)).session_id == session_id
        assert house.site.logins == {"driver-1": 1}


async def test_an_operation_is_told_when_the_portal_goes_down_as_it_logs_in_again(autojump_clock):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        house.site.log_all_out()
        house.site.down = True
        with pytest.raises(PortalUnreachable):
            await house.run(Task(), session_id)
        house.site.down = False
        assert (await house.run(Task(), session_id)).session_id == session_id
        assert house.site.logins == {"driver-1": 2}


async def test_sessions_outlive_a_pool_that_crashes(autojump_clock):
    async with open_house(crashes=1) as house:
        session_id = (await house.get()).session_id
        house.equipment.pool.signal("what no pool knows")
        await trio.sleep(1.0)
        with pytest.raises(BrowserCrashed):
            await house.run(Task(), session_id)
        assert (await house.run(Task(), session_id)).session_id == session_id
        assert house.site.logins == {"driver-1": 1}
