"""One login for each pair of credentials: who gets it, who waits, who is refused, who must go."""

from __future__ import annotations

import re

import pytest
import trio

from actors.browser.errors import (
    AuthenticationFailed,
    BrowserSessionError,
    CaptchaFailed,
    LoginTimedOut,
    PortalUnreachable,
    SessionClosed,
    SessionNotFound,
)
from actors.browser.messages import GetSession, RunOperation
from actors.browser.portals.portal import Credentials
from tests.actors.browser.fakes import Task
from tests.actors.browser.house import credentials, open_house

# -- one login -------------------------------------------------------------------------------------


async def test_twenty_callers_with_the_same_credentials_share_one_login_that_one_has_made(
    autojump_clock,
):
    async with open_house() as house:
        callers = [house.get_soon() for _ in range(20)]
        granted = [await caller.outcome() for caller in callers]
        assert house.site.logins == {"driver-1": 1}
        assert len({each.session_id for each in granted}) == 1
        assert [each.is_new for each in granted].count(True) == 1
        assert (await house.pool()).contexts == 1


async def test_a_session_that_lives_is_given_to_whoever_has_its_credentials(autojump_clock):
    async with open_house() as house:
        first, second = await house.get(), await house.get()
        assert (first.is_new, second.is_new) == (True, False)
        assert first.session_id == second.session_id
        assert house.site.logins == {"driver-1": 1}


async def test_a_session_id_has_its_shape_and_a_hundred_and_twenty_eight_random_bits(
    autojump_clock,
):
    async with open_house() as house:
        ids = [(await house.get(number)).session_id for number in range(3)]
        for session_id in ids:
            assert re.fullmatch(r"session_\d{10}_\d{39}", session_id)
        assert len(set(ids)) == 3


async def test_when_the_first_caller_leaves_the_earliest_that_remains_has_made_the_session(
    autojump_clock,
):
    async with open_house() as house:
        first = house.get_soon()
        await trio.sleep(0.1)
        second = house.get_soon()
        await trio.sleep(0.1)
        third = house.get_soon()
        await trio.sleep(0.5)
        await first.leave()
        assert (await second.outcome()).is_new
        assert not (await third.outcome()).is_new
        assert house.site.logins == {"driver-1": 1}


async def test_a_login_ends_and_returns_its_context_when_its_last_caller_leaves(autojump_clock):
    async with open_house() as house:
        callers = [house.get_soon(), house.get_soon()]
        await trio.sleep(2.0)
        assert [view.status for view in await house.list()] == ["starting"]
        await callers[0].leave()
        assert len(await house.list()) == 1
        await callers[1].leave()
        assert await house.list() == ()
        await trio.sleep(1.0)
        assert (await house.pool()).contexts == 0
        assert house.site.logins == {}


async def test_a_caller_that_leaves_before_its_context_is_there_leaves_nothing_behind(
    autojump_clock,
):
    async with open_house() as house:
        caller = house.get_soon()
        await trio.sleep(0.1)
        await caller.leave()
        await trio.sleep(5.0)
        found = await house.pool()
        assert (found.contexts, found.spare, found.waiting) == (0, True, 0)


async def test_an_operation_by_credentials_makes_the_session_that_it_needs(autojump_clock):
    async with open_house() as house:
        done = await house.run(Task(), number=1)
        assert done.is_new_session
        again = await house.run(Task(), number=1)
        assert not again.is_new_session
        assert again.session_id == done.session_id


async def test_an_operation_with_both_goes_by_credentials_only_when_its_session_has_gone(
    autojump_clock,
):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        assert (await house.run(Task(), session_id, number=1)).session_id == session_id
        await house.close(session_id)
        done = await house.run(Task(), session_id, number=1)
        assert done.session_id != session_id
        assert done.is_new_session


async def test_an_operation_may_name_a_session_whose_login_is_still_running(autojump_clock):
    async with open_house() as house:
        caller = house.get_soon()
        await trio.sleep(1.0)
        (view,) = await house.list()
        done = await house.run(Task(), view.session_id)
        assert not done.is_new_session
        assert (await caller.outcome()).session_id == view.session_id


# -- logins that fail ------------------------------------------------------------------------------


async def test_a_wrong_password_is_told_and_remembered_for_a_minute_without_a_second_login(
    autojump_clock,
):
    async with open_house() as house:
        for _ in range(3):
            with pytest.raises(AuthenticationFailed) as told:
                await house.get(1, "wrong")
            assert told.value.details == "Invalid credentials"
        assert house.site.logins == {"driver-1": 1}
        await trio.sleep(60.5)
        with pytest.raises(AuthenticationFailed):
            await house.get(1, "wrong")
        assert house.site.logins == {"driver-1": 2}


async def test_a_wrong_password_leaves_the_session_of_that_name_and_all_others_untouched(
    autojump_clock,
):
    async with open_house() as house:
        mine, other = await house.get(1), await house.get(2)
        with pytest.raises(AuthenticationFailed):
            await house.get(1, "wrong")
        wrong = credentials(1, "wrong")
        call = RunOperation(name="do_task", request=Task(), credentials=wrong)
        with pytest.raises(AuthenticationFailed):
            await house.ask_soon(call).outcome()
        assert (await house.run(Task(), mine.session_id)).answer.user == "driver-1"
        assert (await house.get(1)).session_id == mine.session_id
        assert (await house.run(Task(), other.session_id)).answer.user == "driver-2"
        assert len(await house.list()) == 2


async def test_every_caller_of_a_login_that_fails_is_told_by_an_error_of_its_own(autojump_clock):
    async with open_house() as house:
        callers = [house.get_soon(1, "wrong") for _ in range(5)]
        for caller in callers:
            with pytest.raises(AuthenticationFailed):
                await caller.outcome()
        assert len({id(caller.error) for caller in callers}) == 5
        assert house.site.logins == {"driver-1": 1}


async def test_a_password_of_another_length_never_makes_the_key_of_another_pair(autojump_clock):
    async with open_house() as house:
        house.site.passwords |= {"ab": "c", "a": "bc"}
        pairs = [("ab", "c"), ("a", "bc")]
        ids = set()
        for username, password in pairs:
            wanted = Credentials(username=username, password=password, captcha_api_key="key")
            granted = await house.ask_soon(GetSession(credentials=wanted)).outcome()
            ids.add(granted.session_id)
        assert len(ids) == 2


async def test_a_user_name_that_is_no_text_is_refused_by_the_portal_and_harms_nobody(
    autojump_clock,
):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        odd = Credentials(username="\ud800", password="x", captcha_api_key="key")
        with pytest.raises(AuthenticationFailed):
            await house.ask_soon(GetSession(credentials=odd)).outcome()
        await house.run(Task(), session_id)


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        ("down", PortalUnreachable),
        ("hangs", LoginTimedOut),
        ("captcha_fails", CaptchaFailed),
    ],
)
async def test_a_login_that_fails_is_told_returns_its_context_and_frees_its_place(
    autojump_clock, trouble: str, told: type[BrowserSessionError]
):
    async with open_house(capacity=1, capacity_wait_s=0.0) as house:
        setattr(house.site, trouble, True)
        with pytest.raises(told):
            await house.get(1)
        await trio.sleep(1.0)
        assert await house.list() == ()
        assert (await house.pool()).contexts == 0
        house.site.heal()
        assert (await house.get(2)).is_new
        # It was not these credentials' fault: they are tried again at once.
        assert (await house.get(1)).is_new


async def test_a_login_that_takes_too_long_is_told_at_its_deadline(autojump_clock):
    async with open_house(login_timeout_s=20.0) as house:
        house.site.hangs = True
        before = trio.current_time()
        with pytest.raises(LoginTimedOut):
            await house.get()
        assert trio.current_time() - before == pytest.approx(20.0, abs=0.1)


# -- ends ------------------------------------------------------------------------------------------


async def test_a_session_that_idles_is_closed_and_its_id_says_so(autojump_clock):
    async with open_house(idle_timeout_s=100.0) as house:
        session_id = (await house.get()).session_id
        await trio.sleep(99.0)
        assert len(await house.list()) == 1
        await trio.sleep(2.0)
        assert await house.list() == ()
        with pytest.raises(SessionNotFound) as told:
            await house.run(Task(), session_id)
        assert told.value.fields == {"reason": "idle_timeout"}


async def test_a_session_that_was_closed_says_so_and_cannot_be_closed_twice(autojump_clock):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        await house.close(session_id)
        assert await house.list() == ()
        with pytest.raises(SessionNotFound) as told:
            await house.run(Task(), session_id)
        assert told.value.fields == {"reason": "closed"}
        with pytest.raises(SessionNotFound):
            await house.close(session_id)


async def test_an_unknown_id_without_credentials_is_not_found(autojump_clock):
    async with open_house() as house:
        for session_id in ("session_1_1", "", "x" * 10_000):
            with pytest.raises(SessionNotFound):
                await house.run(Task(), session_id)
        with pytest.raises(SessionNotFound):
            await house.ask_soon(RunOperation(name="do_task", request=Task())).outcome()


async def test_closing_in_the_middle_of_a_login_is_answered_at_once_and_so_are_its_callers(
    autojump_clock,
):
    async with open_house() as house:
        callers = [house.get_soon(), house.get_soon()]
        await trio.sleep(1.5)
        (view,) = await house.list()
        closed_at = trio.current_time()
        await house.close(view.session_id)
        assert await house.list() == ()
        for caller in callers:
            with pytest.raises(SessionClosed):
                await caller.outcome()
            assert caller.ended_at == closed_at
        assert house.site.logins == {}


async def test_closing_in_the_middle_of_an_operation_is_answered_at_once_and_so_are_its_callers(
    autojump_clock,
):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        running = house.run_soon(Task(name="running", seconds=60.0), session_id)
        await house.begun("running")
        queued = house.run_soon(Task(name="queued"), session_id)
        await trio.sleep(1.0)
        closed_at = trio.current_time()
        await house.close(session_id)
        assert await house.list() == ()
        for caller in (running, queued):
            with pytest.raises(SessionClosed):
                await caller.outcome()
            assert caller.ended_at == closed_at
        assert house.site.begun == ["running"]
        assert house.site.ended == []


async def test_after_a_close_the_same_credentials_get_a_session_of_another_id(autojump_clock):
    async with open_house() as house:
        first = await house.get()
        await house.close(first.session_id)
        second = await house.get()
        assert second.is_new
        assert second.session_id != first.session_id


async def test_a_registry_that_crashes_ends_its_sessions_and_begins_anew(autojump_clock):
    async with open_house(crashes=1, persist=False) as house:
        session_id = (await house.get()).session_id
        running = house.run_soon(Task(name="running", seconds=60.0), session_id)
        await house.begun("running")
        house.registry.signal("what no registry knows")
        with pytest.raises(SessionClosed):
            await running.outcome()
        await trio.sleep(1.0)
        assert await house.list() == ()
        assert (await house.pool()).contexts == 0
        assert (await house.get()).session_id != session_id


# -- lists -----------------------------------------------------------------------------------------


async def test_a_list_is_answered_at_once_while_a_page_hangs_for_ever(autojump_clock):
    async with open_house(operation_timeout_s=1e6, login_timeout_s=1e6) as house:
        session_id = (await house.get()).session_id
        hanging = house.run_soon(Task(name="hang", seconds=float("inf")), session_id)
        await house.begun("hang")
        house.site.hangs = True
        login = house.get_soon(2)
        await trio.sleep(10.0)
        assert [view.status for view in await house.list()] == ["in_use", "starting"]
        for view in await house.list():
            await house.close(view.session_id)
        for caller in (hanging, login):
            with pytest.raises(SessionClosed):
                await caller.outcome()


async def test_a_list_shows_who_when_and_where(autojump_clock):
    async with open_house() as house:
        await trio.sleep(100.0)
        started = house.clock.now()
        granted = await house.get()
        ready = house.clock.now()
        assert granted.created_at == started
        assert granted.username == "driver-1"
        await trio.sleep(50.0)
        view = await house.view(granted.session_id)
        assert (view.username, view.created_at, view.last_used) == ("driver-1", started, ready)
        assert (view.in_use, view.status, view.keep_alive) == (False, "live", True)
        assert view.last_refresh == ready
        assert view.current_url == house.equipment.portal.home_url
        await house.run(Task(seconds=10.0), granted.session_id)
        used = (await house.view(granted.session_id)).last_used
        assert used == house.clock.now()


async def test_a_session_that_has_not_logged_in_yet_was_last_used_when_it_was_made(autojump_clock):
    async with open_house() as house:
        await trio.sleep(100.0)
        started = house.clock.now()
        caller = house.get_soon()
        await trio.sleep(2.0)
        (view,) = await house.list()
        assert (view.created_at, view.last_used, view.last_refresh) == (started, started, None)
        await caller.outcome()


async def test_sessions_are_listed_oldest_first_with_the_capacity(autojump_clock):
    async with open_house(capacity=7) as house:
        ids = [(await house.get(number)).session_id for number in (3, 1, 2)]
        await house.run(Task(), ids[0])
        assert [view.session_id for view in await house.list()] == ids
