"""Sessions that outlive their server: one house closes or is killed, and another opens there."""

from __future__ import annotations

import msgspec
import pytest
import trio

from actors.browser.errors import (
    AuthenticationFailed,
    BrowserUnavailable,
    CaptchaFailed,
    NotWritten,
    PortalUnreachable,
    SessionNotFound,
)
from actors.browser.messages import CloseSession, GetSession
from actors.browser.place import stream_of
from actors.browser.portals.portal import Credentials
from engine.errors import StoreUnavailable
from engine.seal import MasterKey
from engine.store import MemoryDisk
from tests.actors.browser.fakes import HOME, Site, Task
from tests.actors.browser.house import KEY, House, open_house

ELSEWHERE = "https://portal.test/elsewhere"
OTHER_KEY = MasterKey(b"o" * 32)


async def left_by_a_kill(site: Site, *numbers: int, **changes: object) -> tuple[MemoryDisk, list]:
    """Log in, and return what a server leaves that is killed right after the answers."""
    async with open_house(site=site, leaves=False, **changes) as house:
        ids = [(await house.get(number)).session_id for number in numbers]
        return house.killed(), ids


async def statuses(house: House) -> list[str]:
    return [view.status for view in await house.list()]


# -- coming back -----------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["id", "credentials"])
async def test_a_session_of_a_killed_server_answers_under_its_id_without_a_login(
    autojump_clock, by: str
):
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    async with open_house(disk=disk, site=site) as house:
        assert await statuses(house) == ["waiting"]
        how = {"session_id": session_id} if by == "id" else {"number": 1}
        done = await house.run(Task(), **how)
        assert (done.session_id, done.is_new_session) == (session_id, False)
        assert await statuses(house) == ["live"]
        assert site.logins == {"driver-1": 1}
        types = await house.events(session_id)
        told = ["session.parked", "restore.started", "session.recovered"]
        assert [type_ for type_ in types if type_ in told] == told


async def test_a_clean_stop_parks_sessions_and_says_so(autojump_clock):
    site, disk = Site(), MemoryDisk()
    async with open_house(disk=disk, site=site, leaves=False) as house:
        session_id = (await house.get()).session_id
    async with open_house(disk=disk, site=site) as house:
        kind, data = await house.last_event(session_id)
        assert (kind, data) == ("session.parked", {"reason": "server_stopped"})
        granted = await house.get()
        assert (granted.session_id, granted.is_new) == (session_id, False)
        await trio.sleep(1.0)
        kind, data = await house.last_event(session_id)
        assert (kind, data) == ("session.recovered", {"login": "kept"})
        assert site.logins == {"driver-1": 1}


async def test_cookies_that_hold_no_more_cost_a_login_with_the_saved_credentials(autojump_clock):
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    site.log_all_out()
    async with open_house(disk=disk, site=site) as house:
        assert (await house.run(Task(), session_id)).answer.user == "driver-1"
        assert site.logins == {"driver-1": 2}
        page = await house.store.read(stream_of(session_id), limit=100)
        recovered = [it for it in page.events if it.type == "session.recovered"]
        assert [msgspec.json.decode(it.body)["data"] for it in recovered] == [{"login": "renewed"}]


async def test_what_is_saved_is_as_it_was_after_the_latest_operation(autojump_clock):
    site = Site()
    async with open_house(site=site, leaves=False) as house:
        session_id = (await house.get()).session_id
        site.log_all_out()
        await house.run(Task(), session_id)  # logs in again, under another cookie
        disk = house.killed()
    async with open_house(disk=disk, site=site) as house:
        await house.run(Task(), session_id)
        assert site.logins == {"driver-1": 2}


async def left_elsewhere(site: Site) -> tuple[MemoryDisk, str]:
    """Return what a killed server leaves of a session whose page has moved on by itself."""
    async with open_house(site=site, leaves=False) as house:
        session_id = (await house.get()).session_id
        house.machine.profile_of().url = ELSEWHERE
        await trio.sleep(62.0)
        return house.killed(), session_id


async def test_what_a_page_changes_by_itself_is_saved_within_a_minute_and_opened_again(
    autojump_clock,
):
    site = Site()
    disk, session_id = await left_elsewhere(site)
    async with open_house(disk=disk, site=site, restore="eager") as house:
        assert (await house.view(session_id)).current_url == ELSEWHERE
        await trio.sleep(20.0)
        view = await house.view(session_id)
        assert (view.status, view.current_url) == ("live", ELSEWHERE)
        assert house.machine.profile_of().url == ELSEWHERE
        assert site.logins == {"driver-1": 1}


async def test_a_page_that_opens_no_more_does_not_keep_its_session_from_coming_back(autojump_clock):
    site = Site()
    disk, session_id = await left_elsewhere(site)
    async with open_house(disk=disk, site=site) as house:
        house.machine.gone_pages.add(ELSEWHERE)
        await house.run(Task(), session_id)
        view = await house.view(session_id)
        assert (view.status, view.current_url) == ("live", HOME)
        assert site.logins == {"driver-1": 1}


async def test_a_page_that_logs_out_who_comes_back_to_it_is_left_for_home(autojump_clock):
    site = Site()
    disk, session_id = await left_elsewhere(site)
    async with open_house(disk=disk, site=site) as house:
        house.machine.logout_pages.add(ELSEWHERE)
        done = await house.run(Task(), session_id)
        assert done.answer.user == "driver-1"
        assert (await house.view(session_id)).current_url == HOME
        assert site.logins == {"driver-1": 2}


async def test_a_session_that_has_to_log_in_again_stays_at_home(autojump_clock):
    site = Site()
    disk, session_id = await left_elsewhere(site)  # perhaps it is where a lost login leads to
    site.log_all_out()
    async with open_house(disk=disk, site=site) as house:
        await house.run(Task(), session_id)
        assert (await house.view(session_id)).current_url == HOME
        assert site.logins == {"driver-1": 2}


async def test_the_list_shows_who_waits_and_counts_only_who_lives(autojump_clock):
    site = Site()
    async with open_house(site=site, leaves=False) as house:
        ids = [(await house.get(number)).session_id for number in (1, 2)]
        await trio.sleep(1.0)
        disk = house.killed()
    async with open_house(disk=disk, site=site) as house:
        views = await house.list()
        assert [view.session_id for view in views] == ids
        assert [view.username for view in views] == ["driver-1", "driver-2"]
        assert {view.status for view in views} == {"waiting"}
        assert {view.in_use for view in views} == {False}
        assert {view.current_url for view in views} == {house.equipment.portal.home_url}
        assert all(view.last_refresh is not None for view in views)
        assert (await house.pool()).contexts == 0
        await house.run(Task(), ids[0])
        assert await statuses(house) == ["live", "waiting"]


async def test_another_password_never_gets_a_session_that_waits(autojump_clock):
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    async with open_house(disk=disk, site=site) as house:
        with pytest.raises(AuthenticationFailed):
            await house.get(1, "wrong")
        assert await statuses(house) == ["waiting"]
        assert (await house.get(1)).session_id == session_id


async def test_twenty_callers_at_once_restore_a_session_once(autojump_clock):
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    async with open_house(disk=disk, site=site) as house:
        callers = [house.get_soon() for _ in range(10)]
        callers += [house.run_soon(Task(), session_id) for _ in range(10)]
        for caller in callers:
            assert (await caller.outcome()).session_id == session_id
        assert not any(caller.answer.is_new for caller in callers[:10])
        assert site.logins == {"driver-1": 1}
        assert site.refreshes == 1


async def test_a_session_comes_back_again_and_again(autojump_clock):
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    for _ in range(3):
        async with open_house(disk=disk, site=site, leaves=False) as house:
            await house.run(Task(), session_id)
            disk = house.killed()
    assert site.logins == {"driver-1": 1}


async def test_a_registry_that_crashes_finds_its_sessions_again(autojump_clock):
    async with open_house(crashes=1) as house:
        session_id = (await house.get()).session_id
        house.registry.signal("what no registry knows")
        await trio.sleep(1.0)
        assert await statuses(house) == ["waiting"]
        assert (await house.get()).session_id == session_id
        assert house.site.logins == {"driver-1": 1}


async def test_a_journal_that_crashes_writes_on_where_it_was(autojump_clock):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        house.equipment.journal.signal("what no journal knows")
        await trio.sleep(1.0)
        await house.run(Task(), session_id)
        await trio.sleep(1.0)
        types = await house.events(session_id)
        assert types[-1] == "lease.released"


# -- capacity --------------------------------------------------------------------------------------


async def test_a_session_that_waits_takes_a_place_only_when_it_is_restored(autojump_clock):
    site = Site()
    disk, ids = await left_by_a_kill(site, 1, 2, 3)
    async with open_house(disk=disk, site=site, capacity=1, capacity_wait_s=0.0) as house:
        new = await house.get(4)
        assert new.is_new
        await house.run(Task(), ids[0])  # evicts it, as any other start would
        assert sorted(await statuses(house)) == ["live", "waiting", "waiting"]
        with pytest.raises(SessionNotFound) as told:
            await house.run(Task(), new.session_id)
        assert told.value.fields == {"reason": "evicted"}


async def test_one_that_finds_no_room_waits_on_and_comes_back_later(autojump_clock):
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    async with open_house(disk=disk, site=site, capacity=1, capacity_wait_s=5.0) as house:
        busy = house.run_soon(Task(name="busy", seconds=60.0), number=2)
        await house.begun("busy")
        with pytest.raises(Exception, match="capacity"):
            await house.get(1)
        assert await statuses(house) == ["waiting", "in_use"]
        await busy.outcome()
        assert (await house.get(1)).session_id == session_id
        assert site.logins["driver-1"] == 1


async def test_a_restoring_that_nobody_waits_for_any_more_loses_no_session(autojump_clock):
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    async with open_house(disk=disk, site=site, capacity=1) as house:
        await house.get(2)
        site.page_s = 10.0
        caller = house.get_soon(1)  # without a place, as a challenger
        await trio.sleep(2.0)
        await caller.leave()
        assert await statuses(house) == ["waiting", "live"]
        again = house.get_soon(1)  # while the former start is still on its way out
        assert (await again.outcome()).session_id == session_id
        assert site.logins["driver-1"] == 1


async def test_a_restoring_with_a_place_goes_on_when_its_caller_leaves(autojump_clock):
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    async with open_house(disk=disk, site=site) as house:
        caller = house.get_soon(1)
        await trio.sleep(1.0)
        assert await statuses(house) == ["recovering"]
        await caller.leave()
        await trio.sleep(10.0)
        assert await statuses(house) == ["live"]
        await house.run(Task(), session_id)


# -- eager and off ---------------------------------------------------------------------------------


async def test_eager_restores_the_most_recently_used_as_far_as_there_is_room(autojump_clock):
    site = Site()
    async with open_house(site=site, leaves=False) as house:
        ids = []
        for number in range(4):
            ids.append((await house.get(number)).session_id)
            await trio.sleep(10.0)
        disk = house.killed()
    async with open_house(disk=disk, site=site, capacity=2, restore="eager") as house:
        await trio.sleep(10.0)
        assert await statuses(house) == ["waiting", "waiting", "live", "live"]
        assert site.logins.total() == 4
        # It was no use of them: they idle on from when they were used last.
        await trio.sleep(585.0)
        assert await statuses(house) == []


async def test_eager_restores_more_than_ten_ten_at_a_time(autojump_clock):
    site = Site()
    disk, _ = await left_by_a_kill(site, *range(13), capacity=20)
    async with open_house(disk=disk, site=site, capacity=20, restore="eager") as house:
        await trio.sleep(0.5)
        assert sorted(await statuses(house)) == ["recovering"] * 10 + ["waiting"] * 3
        await trio.sleep(30.0)
        assert await statuses(house) == ["live"] * 13
        assert site.logins.total() == 13


async def test_restore_off_ends_what_has_waited_with_a_reason_and_erases_it(autojump_clock):
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    async with open_house(disk=disk, site=site, restore="off") as house:
        assert await house.list() == ()
        with pytest.raises(SessionNotFound) as told:
            await house.run(Task(), session_id)
        assert told.value.fields == {"reason": "closed"}
        await trio.sleep(1.0)
        await expect_erased(house, session_id, reason="closed")
        assert (await house.get()).is_new


async def test_without_persist_nothing_is_written_and_a_stop_closes_sessions(autojump_clock):
    site, disk = Site(), MemoryDisk()
    async with open_house(disk=disk, site=site, leaves=False, persist=False) as house:
        session_id = (await house.get()).session_id
        await house.run(Task(), session_id)
        await trio.sleep(130.0)
        loaded = await house.store.load(stream_of(session_id))
        assert loaded.snapshot is None
        assert (loaded.row.summary, loaded.row.tags) == (b"", {})
    async with open_house(disk=disk, site=site) as house:
        assert await house.list() == ()
        assert await house.last_event(session_id) == ("session.closed", {"reason": "closed"})
        assert (await house.get()).is_new


async def test_persist_turned_off_erases_what_an_earlier_server_has_saved(autojump_clock):
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    async with open_house(disk=disk, site=site, persist=False) as house:
        assert await house.list() == ()
        await trio.sleep(1.0)
        await expect_erased(house, session_id, reason="closed")


async def test_a_login_that_was_cut_off_by_a_kill_is_closed_as_crashed(autojump_clock):
    site = Site()
    async with open_house(site=site, leaves=False) as house:
        house.get_soon()
        await trio.sleep(1.5)
        (view,) = await house.list()
        disk = house.killed()
    async with open_house(disk=disk, site=site) as house:
        assert await house.list() == ()
        await trio.sleep(1.0)
        closed = ("session.closed", {"reason": "crashed"})
        assert await house.last_event(view.session_id) == closed


# -- ends ------------------------------------------------------------------------------------------


async def expect_erased(house: House, session_id: str, *, reason: str) -> None:
    loaded = await house.store.load(stream_of(session_id))
    assert loaded.snapshot is None or loaded.snapshot.body == b""
    assert loaded.row is not None
    assert (loaded.row.status, loaded.row.summary, loaded.row.tags) == ("closed", b"", {})
    assert await house.last_event(session_id) == ("session.closed", {"reason": reason})
    assert not house.disk._aliases


async def test_a_session_that_was_closed_is_erased_before_that_is_answered(autojump_clock):
    async with open_house() as house:
        session_id = (await house.get()).session_id
        assert (await house.store.load(stream_of(session_id))).snapshot is not None
        await house.close(session_id)
        await expect_erased(house, session_id, reason="closed")


async def test_one_that_waits_can_be_closed_and_is_erased(autojump_clock):
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    async with open_house(disk=disk, site=site) as house:
        await house.close(session_id)
        assert await house.list() == ()
        await expect_erased(house, session_id, reason="closed")
        with pytest.raises(SessionNotFound):
            await house.run(Task(), session_id)
        assert (await house.get()).session_id != session_id


async def test_an_evicted_one_and_one_that_idled_are_erased(autojump_clock):
    async with open_house(capacity=1, idle_timeout_s=100.0) as house:
        first = (await house.get(1)).session_id
        await house.get(2)
        await trio.sleep(1.0)
        loaded = await house.store.load(stream_of(first))
        assert loaded.snapshot is not None
        assert loaded.snapshot.body == b""
        second = (await house.list())[0].session_id
        await trio.sleep(101.0)
        await expect_erased(house, second, reason="idle_timeout")


async def test_idle_time_goes_on_while_no_server_runs(autojump_clock):
    site = Site()
    disk, (first,) = await left_by_a_kill(site, 1)
    await trio.sleep(599.0)
    async with open_house(disk=disk, site=site) as house:
        assert await house.list() == ()
        with pytest.raises(SessionNotFound) as told:
            await house.run(Task(), first)
        assert told.value.fields == {"reason": "idle_timeout"}
        await trio.sleep(1.0)
        await expect_erased(house, first, reason="idle_timeout")


async def test_one_that_waits_idles_out_by_its_last_use_under_the_former_server(autojump_clock):
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    await trio.sleep(300.0)
    async with open_house(disk=disk, site=site) as house:
        await trio.sleep(280.0)
        assert await statuses(house) == ["waiting"]
        await trio.sleep(20.0)
        assert await statuses(house) == []
        await expect_erased(house, session_id, reason="idle_timeout")


async def test_use_that_was_no_operation_is_remembered_too(autojump_clock):
    site = Site()
    async with open_house(site=site, leaves=False) as house:
        await house.get()
        await trio.sleep(500.0)
        await house.get()
        await trio.sleep(61.0)
        disk = house.killed()
    async with open_house(disk=disk, site=site) as house:
        assert await statuses(house) == ["waiting"]


async def test_a_password_that_was_changed_ends_the_session_as_login_lost(autojump_clock):
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    site.log_all_out()
    site.passwords["driver-1"] = "changed"
    async with open_house(disk=disk, site=site) as house:
        with pytest.raises(AuthenticationFailed):
            await house.run(Task(), session_id)
        with pytest.raises(SessionNotFound) as told:
            await house.run(Task(), session_id)
        assert told.value.fields == {"reason": "login_lost"}
        with pytest.raises(AuthenticationFailed):
            await house.get()
        assert site.logins == {"driver-1": 2}  # tried once, and then remembered
        await trio.sleep(1.0)
        await expect_erased(house, session_id, reason="login_lost")


@pytest.mark.parametrize(
    ("trouble", "told"), [("down", PortalUnreachable), ("captcha_fails", CaptchaFailed)]
)
async def test_what_passes_costs_no_session(autojump_clock, trouble: str, told: type[Exception]):
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    site.log_all_out()
    setattr(site, trouble, True)
    async with open_house(disk=disk, site=site) as house:
        for _ in range(3):
            with pytest.raises(told):
                await house.run(Task(), session_id)
            assert await statuses(house) == ["waiting"]
        assert "restore.failed" in await house.events(session_id)
        site.heal()
        assert (await house.run(Task(), session_id)).session_id == session_id
        await trio.sleep(1.0)
        assert (await house.pool()).contexts == 1


async def test_without_a_chromium_sessions_wait_on(autojump_clock):
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    async with open_house(disk=disk, site=site) as house:
        house.machine.broken = True
        house.kill()
        with pytest.raises(BrowserUnavailable):
            await house.run(Task(), session_id)
        assert await statuses(house) == ["waiting"]
        house.machine.heal()
        await trio.sleep(60.0)
        await house.run(Task(), session_id)


async def test_given_credentials_go_before_saved_ones(autojump_clock):
    """The same login with another captcha key: the one that was given pays."""
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    site.log_all_out()
    async with open_house(disk=disk, site=site) as house:
        new = Credentials(username="driver-1", password="harbor-1", captcha_api_key="new")
        granted = await house.ask_soon(GetSession(credentials=new)).outcome()
        assert granted.session_id == session_id
        assert site.captcha_keys[-1] == "new"


# -- keys and the store ----------------------------------------------------------------------------


async def test_what_is_sealed_under_an_unknown_key_is_left_alone(autojump_clock):
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    async with open_house(disk=disk, site=site, key=OTHER_KEY) as house:
        assert await house.list() == ()
        with pytest.raises(SessionNotFound):
            await house.run(Task(), session_id)
        await house.get(2)
    async with open_house(disk=disk, site=site) as house:
        assert (await house.get()).session_id == session_id
        assert site.logins["driver-1"] == 1


async def test_a_session_of_an_older_key_is_found_by_its_credentials_and_sealed_anew(
    autojump_clock,
):
    site = Site()
    disk, (session_id,) = await left_by_a_kill(site, 1)
    async with open_house(
        disk=disk, site=site, key=OTHER_KEY, more_keys=(KEY,), leaves=False
    ) as house:
        assert (await house.get()).session_id == session_id
        house.machine.profile_of().url = "https://portal.test/elsewhere"
        await trio.sleep(62.0)
        disk = house.killed()
    async with open_house(disk=disk, site=site, key=OTHER_KEY) as house:
        assert (await house.get()).session_id == session_id
        assert site.logins == {"driver-1": 1}


async def test_a_state_that_does_not_open_costs_a_login_where_credentials_are_given(
    autojump_clock,
):
    site = Site()
    disk, ids = await left_by_a_kill(site, 1, 2)
    for session_id in ids:
        log = disk._logs[stream_of(session_id)]
        body = log.snapshot.body
        log.snapshot = type(log.snapshot)(seq=log.snapshot.seq, body=body[:-1] + b"x")
    async with open_house(disk=disk, site=site) as house:
        assert (await house.get(1)).session_id == ids[0]
        assert site.logins["driver-1"] == 2
        with pytest.raises(Exception, match="does not open"):
            await house.run(Task(), ids[1])
        with pytest.raises(SessionNotFound) as told:
            await house.run(Task(), ids[1])
        assert told.value.fields == {"reason": "login_lost"}


async def test_nothing_of_a_secret_is_written_in_the_clear(autojump_clock):
    async with open_house() as house:
        await house.get()
        (cookie,) = house.machine.profile_of().cookies
        async with house.store.export() as lines:
            text = b"".join([line async for line in lines])
        for secret in (b"harbor-1", b'"key"', cookie.value.encode()):
            assert secret not in text


async def test_a_store_that_is_away_costs_a_session_nothing_but_its_safety(
    autojump_clock, monkeypatch: pytest.MonkeyPatch
):
    async def fail(*_: object, **__: object) -> None:
        await trio.lowlevel.checkpoint()
        raise StoreUnavailable("the disk is full")

    async with open_house() as house:
        session_id = (await house.get()).session_id
        with monkeypatch.context() as patch:
            patch.setattr(house.store, "commit", fail)
            house.site.log_all_out()
            done = await house.run(Task(), session_id)  # its cookies are others now
            assert done.answer.user == "driver-1"
            with pytest.raises(NotWritten):
                await house.ask_soon(CloseSession(session_id=session_id)).outcome()
            assert await house.list() == ()
        await trio.sleep(5.0)
        await expect_erased(house, session_id, reason="closed")
