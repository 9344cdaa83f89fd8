"""The adapter in a real Chromium, against the demo portal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import httpx
import msgspec
import pytest
import trio

from actors.browser.captcha import TwoCaptcha
from actors.browser.driver.browser import ChromiumBrowser
from actors.browser.errors import (
    AuthenticationFailed,
    CaptchaFailed,
    LoginLost,
    OperationFailed,
    PortalUnreachable,
)
from actors.browser.page import Context
from actors.browser.portals import Credentials, UnknownPortal, make_portal, operations_of
from actors.browser.portals.emodal import ContainerNotFound, Emodal, GetBookingNumber
from api.demo.captcha import KEY, KEY_OF_FORGERIES, KEY_UNSOLVABLE
from api.demo.run import DemoUrls, open_demo
from engine.clock import SystemClock


class Desk:
    """A page, the portal that it is used with, and the demo behind it."""

    def __init__(self, urls: DemoUrls, http: httpx.AsyncClient, context: Context) -> None:
        self.urls = urls
        self.http = http
        self.context = context
        self.page = context.page
        self.portal = Emodal(urls.portal_url)

    async def log_in(
        self, username: str = "driver-1", password: str = "harbor-1", key: str = KEY
    ) -> None:
        captcha = TwoCaptcha(
            self.http, base_url=self.urls.captcha_url, api_key=key, poll_interval_s=0.05
        )
        credentials = Credentials(username=username, password=password, captcha_api_key=key)
        await self.portal.login(self.page, credentials, captcha)

    async def booking(self, container_id: str) -> str | None:
        request = GetBookingNumber(container_id=container_id)
        answer = await self.portal.get_booking_number(self.page, request)
        assert answer.container_id == container_id
        return answer.booking_number

    async def control(self, **change: object) -> dict:
        url = f"{self.urls.portal_url}/__control"
        return (await self.http.post(url, json=change)).json()


@pytest.fixture
async def desk(browser: ChromiumBrowser) -> AsyncIterator[Desk]:
    async with (
        open_demo(SystemClock(), solve_s=0.0) as urls,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        context = await browser.open_context()
        yield Desk(urls, http, context)
        await browser.close_context(context.id)


# -- login ----------------------------------------------------------------------------------------


async def test_a_login_passes_the_captcha_and_rests_on_the_containers_page(desk: Desk) -> None:
    await desk.log_in()
    assert desk.page.url == desk.portal.home_url
    assert await desk.portal.is_logged_in(desk.page)
    assert (await desk.control())["logins"] == {"driver-1": 1}


async def test_who_is_logged_in_is_not_logged_in_again(desk: Desk) -> None:
    await desk.log_in()
    await desk.log_in()
    assert (await desk.control())["logins"] == {"driver-1": 1}


async def test_a_wrong_password_is_invalid_credentials(desk: Desk) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        await desk.log_in(password="harbor-2")
    assert caught.value.details == "Invalid credentials"
    assert not await desk.portal.is_logged_in(desk.page)


async def test_the_same_page_can_log_in_after_it_was_refused(desk: Desk) -> None:
    with pytest.raises(AuthenticationFailed):
        await desk.log_in(password="harbor-2")
    await desk.log_in()
    assert await desk.portal.is_logged_in(desk.page)


async def test_a_token_that_the_portal_refuses_is_a_failed_captcha(desk: Desk) -> None:
    with pytest.raises(CaptchaFailed, match="the portal says: Captcha validation failed"):
        await desk.log_in(key=KEY_OF_FORGERIES)


async def test_a_captcha_that_is_not_solved_is_a_failed_captcha(desk: Desk) -> None:
    with pytest.raises(CaptchaFailed, match="ERROR_CAPTCHA_UNSOLVABLE"):
        await desk.log_in(key=KEY_UNSOLVABLE)


async def test_a_portal_that_answers_500_is_unreachable(desk: Desk) -> None:
    await desk.control(fail=True)
    with pytest.raises(PortalUnreachable, match="it answered 500"):
        await desk.log_in()
    with pytest.raises(PortalUnreachable, match="it answered 500"):
        await desk.portal.refresh(desk.page)


async def test_a_portal_that_nobody_serves_is_unreachable_with_the_cause(desk: Desk) -> None:
    desk.portal = Emodal("http://127.0.0.1:1")
    with pytest.raises(PortalUnreachable, match=r"127\.0\.0\.1:1: .*(REFUSED|UNSAFE)"):
        await desk.log_in()


async def test_a_portal_that_is_slow_is_waited_for(desk: Desk) -> None:
    await desk.control(delay_s=0.5)
    await desk.log_in()
    assert await desk.booking("TRHU1866154") == "RICFEM857500"


async def test_a_nag_window_and_an_alert_do_not_get_in_the_way(desk: Desk) -> None:
    await desk.log_in()
    seen = "() => sessionStorage.getItem('noticed-login')"
    await desk.page.wait_until(seen, timeout_s=40, what="the alert to be answered")
    assert await desk.booking("TRHU1866154") == "RICFEM857500"
    assert desk.context.popups_closed == 1
    assert desk.context.dialogs_dismissed == 1


# -- refresh --------------------------------------------------------------------------------------


async def test_a_refresh_opens_the_containers_page_and_tells_whether_the_login_lives(
    desk: Desk,
) -> None:
    await desk.log_in()
    await desk.page.goto("about:blank", timeout_s=40)
    assert not await desk.portal.is_logged_in(desk.page)
    await desk.portal.refresh(desk.page)
    assert await desk.portal.is_logged_in(desk.page)
    await desk.control(logout_all=True)
    await desk.portal.refresh(desk.page)
    assert not await desk.portal.is_logged_in(desk.page)


# -- get_booking_number ---------------------------------------------------------------------------


async def test_the_booking_number_is_read_from_the_expanded_row(desk: Desk) -> None:
    await desk.log_in()
    assert await desk.booking("TRHU1866154") == "RICFEM857500"
    assert await desk.booking("HLXU3010370") == "BKG3010370"
    assert await desk.booking("TRHU1866154") == "RICFEM857500"


async def test_a_container_without_a_booking_has_none(desk: Desk) -> None:
    await desk.log_in()
    assert await desk.booking("MSCU5165756") is None  # an import: there is no such field
    assert await desk.booking("OOLU3011480") is None  # an export: the field says N/A


async def test_a_container_far_down_is_found_by_scrolling(desk: Desk) -> None:
    await desk.log_in()
    assert await desk.booking("MSDU5772413") == "BKG5772413"


async def test_a_container_that_is_not_there_is_looked_for_to_the_end(desk: Desk) -> None:
    await desk.log_in()
    with pytest.raises(ContainerNotFound) as caught:
        await desk.booking("NOPE0000000")
    assert caught.value.error == "Container not found"
    assert caught.value.fields == {"container_id": "NOPE0000000"}
    rows = "() => document.querySelectorAll('.element-row').length"
    assert await desk.page.evaluate(rows) == 203


async def test_a_login_that_was_lost_before_the_operation_is_said_so(desk: Desk) -> None:
    await desk.log_in()
    await desk.control(logout_all=True)
    with pytest.raises(LoginLost):
        await desk.booking("TRHU1866154")
    await desk.log_in()
    assert await desk.booking("TRHU1866154") == "RICFEM857500"


async def once_the_table_is_read(desk: Desk, **change: object) -> None:
    """Change the portal's behaviour when the page is there and its rows are still coming."""

    def opened() -> int:
        return sum("goto" in step and "/containers" in step for step in desk.page.journal)

    before = opened()
    while opened() == before:
        await trio.sleep(0.01)
    await desk.control(**change)


async def test_a_login_that_is_lost_while_the_table_loads_is_said_so(desk: Desk) -> None:
    await desk.log_in()
    await desk.control(delay_s=0.3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(once_the_table_is_read, desk, logout_all=True))
        with pytest.raises(LoginLost):
            await desk.booking("MSDU5772413")


async def test_a_portal_that_breaks_while_the_table_loads_fails_the_operation(desk: Desk) -> None:
    await desk.log_in()
    await desk.control(delay_s=0.3)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(once_the_table_is_read, desk, fail=True))
        with pytest.raises(OperationFailed, match="the portal says: Containers could not be"):
            await desk.booking("MSDU5772413")


async def test_a_portal_that_is_broken_already_is_unreachable(desk: Desk) -> None:
    await desk.log_in()
    await desk.control(fail=True)
    with pytest.raises(PortalUnreachable, match="it answered 500"):
        await desk.booking("TRHU1866154")


# -- requests -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "container_id", ["", " ", "a\x00b", "a\n", "\ta", "x" * 33, 5, None, ["TRHU1866154"]]
)
def test_a_container_number_that_cannot_be_one_is_refused(container_id: object) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"container_id"):
        msgspec.convert({"container_id": container_id}, GetBookingNumber)


def test_a_request_may_hold_the_fields_of_other_routes() -> None:
    body = {"container_id": "TRHU1866154", "debug": True, "session_id": "session_1_2"}
    assert msgspec.convert(body, GetBookingNumber) == GetBookingNumber(
        container_id="TRHU1866154", debug=True
    )


# -- the catalogue --------------------------------------------------------------------------------


def test_emodal_is_at_its_own_hosts_unless_told_otherwise() -> None:
    assert make_portal("emodal").home_url == "https://truckerportal.emodal.com/containers"
    assert make_portal("emodal", "http://127.0.0.1:7/").home_url == "http://127.0.0.1:7/containers"
    assert list(operations_of(make_portal("emodal"))) == ["get_booking_number"]


def test_an_unknown_portal_names_the_known_ones() -> None:
    with pytest.raises(UnknownPortal, match="there is no portal 'other'; known: emodal"):
        make_portal("other")


@pytest.mark.parametrize("base_url", ["ftp://x", "127.0.0.1:80", "", "http://"])
def test_an_address_that_is_none_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match="must begin with http"):
        make_portal("emodal", base_url)
