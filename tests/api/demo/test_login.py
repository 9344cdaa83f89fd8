from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest

from api.demo.captcha import KEY_OF_FORGERIES
from api.demo.identity import WRONG_CAPTCHA, WRONG_PASSWORD
from api.demo.site import SESSION_COOKIE

from .conftest import Visitor


async def test_a_stranger_is_led_from_the_containers_to_the_identity_page(
    visitor: Visitor,
) -> None:
    page = await visitor.get("/containers")
    steps = [urlsplit(str(step.url)).path for step in [*page.history, page]]
    assert steps == ["/containers", "/login", "/connect/authorize", "/Account/Login"]
    assert 'class="g-recaptcha"' in page.text
    assert 'name="Username"' in page.text


async def test_a_login_comes_back_through_signin_oidc_to_the_page_that_was_asked_for(
    visitor: Visitor,
) -> None:
    page = await visitor.log_in("driver-7", "harbor-7", path="/myappointments")
    steps = [urlsplit(str(step.url)).path for step in [*page.history, page]]
    assert steps == ["/Account/Login", "/signin-oidc", "/myappointments"]
    assert page.status_code == 200
    assert "Driver 7" in page.text
    assert (await visitor.get("/containers", follow=False)).status_code == 200


async def test_the_session_cookie_is_out_of_reach_of_scripts(visitor: Visitor) -> None:
    page = await visitor.log_in("driver-7", "harbor-7")
    [setting] = [
        value
        for step in page.history
        for value in step.headers.get_list("set-cookie")
        if value.startswith(SESSION_COOKIE)
    ]
    assert "HttpOnly" in setting
    assert "SameSite=Lax" in setting


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("driver-7", "harbor-8"),
        ("driver-7", ""),
        ("driver-", "harbor-"),
        ("driver-x", "harbor-x"),
        ("nobody", "harbor-"),
        ("driver-7", "harbor-7" + "7" * 300),
    ],
)
async def test_a_wrong_pair_gets_the_form_again_with_a_reason(
    visitor: Visitor, username: str, password: str
) -> None:
    page = await visitor.log_in(username, password)
    assert page.status_code == 200
    assert WRONG_PASSWORD in page.text
    assert (await visitor.control()).json()["logins"] == {}
    assert (await visitor.get("/containers", follow=False)).status_code == 302


async def test_any_whole_number_is_an_account(visitor: Visitor) -> None:
    page = await visitor.log_in("driver-123456789012345678901", "harbor-123456789012345678901")
    assert page.url.path == "/containers"


async def test_a_captcha_token_works_once(visitor: Visitor, other_visitor: Visitor) -> None:
    token = await visitor.token()
    assert (await visitor.log_in("driver-1", "harbor-1", token=token)).url.path == "/containers"
    again = await other_visitor.log_in("driver-2", "harbor-2", token=token)
    assert WRONG_CAPTCHA in again.text


@pytest.mark.parametrize("token", ["", "03Amade-up", "x" * 5000])
async def test_a_token_that_was_never_issued_is_refused(visitor: Visitor, token: str) -> None:
    page = await visitor.log_in("driver-1", "harbor-1", token=token)
    assert WRONG_CAPTCHA in page.text


async def test_the_key_of_forgeries_gives_a_token_that_the_portal_refuses(
    visitor: Visitor,
) -> None:
    page = await visitor.log_in("driver-1", "harbor-1", token=await visitor.token(KEY_OF_FORGERIES))
    assert WRONG_CAPTCHA in page.text


async def test_a_form_without_its_anti_forgery_token_is_refused(visitor: Visitor) -> None:
    form = await visitor.get("/login")
    fields = {"Username": "driver-1", "Password": "harbor-1", "__RequestVerificationToken": "0"}
    page = await visitor.http.post(str(form.url), data=fields)
    assert "expired" in page.text
    assert (await visitor.control()).json()["logins"] == {}


async def test_a_code_from_another_browser_opens_nothing(
    visitor: Visitor, other_visitor: Visitor
) -> None:
    form = await visitor.get("/login")
    forgery = re.search(r'name="__RequestVerificationToken" value="(\w+)"', form.text)
    assert forgery is not None
    fields = {
        "Username": "driver-1",
        "Password": "harbor-1",
        "g-recaptcha-response": await visitor.token(),
        "__RequestVerificationToken": forgery[1],
    }
    answer = await visitor.http.post(str(form.url), data=fields)
    back = answer.headers["location"]
    assert back.startswith("/signin-oidc?code=")
    assert (await other_visitor.get(back)).url.path == "/Account/Login"


async def test_a_return_url_of_another_site_is_not_followed(visitor: Visitor) -> None:
    page = await visitor.get("/Account/Login?ReturnUrl=https://evil.example/connect")
    assert page.url.path == "/Account/Login"
    assert "evil" not in str(page.url)
    page = await visitor.log_in("driver-1", "harbor-1", path="/login?returnUrl=//evil.example")
    assert page.url.path == "/containers"


async def test_a_name_is_shown_as_text_and_never_as_markup(visitor: Visitor) -> None:
    page = await visitor.log_in('"><script>alert(1)</script>', "x")
    assert "<script>alert" not in page.text


async def test_logging_out_ends_the_session(visitor: Visitor) -> None:
    await visitor.log_in("driver-1", "harbor-1")
    await visitor.http.post(f"{visitor.urls.portal_url}/Account/Logout")
    assert (await visitor.get("/containers", follow=False)).status_code == 302


async def test_who_is_logged_in_need_not_log_in_again(visitor: Visitor) -> None:
    await visitor.log_in("driver-1", "harbor-1")
    assert (await visitor.get("/login")).url.path == "/containers"
    assert (await visitor.control()).json()["logins"] == {"driver-1": 1}
