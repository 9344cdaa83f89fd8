"""Signing up, logging in and out: what a browser meets."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.partner import PartnerSettings
from tests.api.dashboard.house import ADA, Dash, dashing, problems_in


@pytest.fixture(name="dash")
async def a_dashboard(tmp_path: Path) -> AsyncIterator[Dash]:
    async with dashing(tmp_path) as dash:
        yield dash


async def test_whoever_signs_up_is_logged_in_and_sees_the_overview(dash: Dash) -> None:
    answer = await dash.post("/dashboard/signup", **ADA)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    (cookie,) = answer.headers.get_list("Set-Cookie")
    for mark in ("HttpOnly", "SameSite=Lax", "Path=/"):
        assert mark in cookie
    overview = await dash.get("/dashboard")
    assert overview.status_code == 200
    assert ADA["email"] in overview.text


async def test_over_https_the_cookie_is_for_this_host_over_https_only(tmp_path: Path) -> None:
    async with dashing(tmp_path, is_https=True) as dash:
        for door in ("signup", "login"):
            answer = await dash.post(f"/dashboard/{door}", **ADA)
            (cookie,) = answer.headers.get_list("Set-Cookie")
            assert cookie.startswith("__Host-mooring-partner=")
            marks = {mark.strip() for mark in cookie.split(";")[1:]}
            assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= marks
            assert not any(mark.startswith("Domain") for mark in marks)
        held = {"Origin": dash.url, "Cookie": cookie.partition(";")[0]}
        assert (await dash.get("/dashboard", headers=held)).status_code == 200
        plain = held | {"Cookie": held["Cookie"].removeprefix("__Host-")}
        assert (await dash.get("/dashboard", headers=plain)).status_code == 303
        out = await dash.client.post("/dashboard/logout", headers=held)
        (gone,) = out.headers.get_list("Set-Cookie")
        assert gone.startswith("__Host-mooring-partner=;")
        assert "Secure" in gone


async def test_what_is_wrong_is_said_beside_its_field_and_what_was_typed_is_kept(
    dash: Dash,
) -> None:
    answer = await dash.post("/dashboard/signup", email="ada@harbour.example", password="short")
    assert answer.status_code == 400
    assert problems_in(answer).keys() == {"password"}
    assert 'value="ada@harbour.example"' in answer.text
    assert "short" not in answer.text.replace("short-", "")

    answer = await dash.post("/dashboard/signup", email="<b>ada", password=ADA["password"])
    assert answer.status_code == 400
    assert problems_in(answer).keys() == {"email"}
    assert "<b>ada" not in answer.text
    assert ADA["password"] not in answer.text


async def test_an_address_that_has_an_account_is_told_to_log_in(dash: Dash) -> None:
    await dash.sign_up()
    answer = await dash.post("/dashboard/signup", **ADA)
    assert answer.status_code == 409
    assert "Log in instead" in problems_in(answer)["email"]


async def test_a_wrong_password_and_an_unknown_address_are_answered_alike(dash: Dash) -> None:
    await dash.sign_up()
    pages = []
    for email, password in ((ADA["email"], "wrong wrong wrong"), ("no@x.example", "wrong wrong")):
        answer = await dash.post("/dashboard/login", email=email, password=password)
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert password not in answer.text
        pages.append(answer.text.replace(email, "…"))
    assert pages[0] == pages[1]


async def test_without_a_login_every_page_leads_to_one_and_back(dash: Dash) -> None:
    for path in ("/dashboard", "/dashboard/sessions?state=pending", "/dashboard/keys/new"):
        answer = await dash.get(path)
        assert answer.status_code == 303
        where = answer.headers["Location"]
        assert where.startswith("/dashboard/login?next=")
        assert "expired" not in where
        login = await dash.get(where)
        (following,) = re.findall(r'name="next" value="([^"]*)"', login.text)
        assert following.replace("&amp;", "&") == path


async def test_a_login_that_has_ended_says_so_and_comes_back_to_the_page(dash: Dash) -> None:
    await dash.sign_up()
    cookies = dict(dash.client.cookies)
    await dash.post("/dashboard/logout")
    dash.client.cookies.update(cookies)
    answer = await dash.get("/dashboard/usage")
    assert answer.headers["Location"] == "/dashboard/login?next=%2Fdashboard%2Fusage&expired=1"
    page = await dash.get(answer.headers["Location"])
    assert "Your login has ended" in page.text
    back = await dash.post("/dashboard/login", next="/dashboard/usage", **ADA)
    assert (back.status_code, back.headers["Location"]) == (303, "/dashboard/usage")


async def test_a_script_of_a_page_whose_login_has_ended_is_told_so(dash: Dash) -> None:
    answer = await dash.get("/dashboard", headers={"X-Part": "1"})
    assert answer.status_code == 401
    assert answer.text == ""


async def test_signing_out_ends_the_login(dash: Dash) -> None:
    await dash.sign_up()
    cookies = dict(dash.client.cookies)
    answer = await dash.post("/dashboard/logout")
    assert answer.headers["Location"] == "/dashboard/login"
    assert dict(dash.client.cookies) == {}
    dash.client.cookies.update(cookies)  # somebody had a copy
    assert (await dash.get("/dashboard")).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {},
    ],
)
@pytest.mark.parametrize("path", ["/dashboard/keys/new", "/dashboard/logout", "/dashboard/profile"])
async def test_a_form_of_another_site_changes_nothing(
    dash: Dash, path: str, headers: dict[str, str]
) -> None:
    await dash.sign_up()
    answer = await dash.client.post(path, data={"name": "evil"}, headers=headers)
    assert answer.status_code in {303, 401, 403}
    if answer.status_code == 303:
        assert answer.headers["Location"].startswith("/dashboard/login")
    assert (await dash.get("/dashboard")).status_code == 200
    assert "evil" not in (await dash.get("/dashboard/keys")).text
    assert "evil" not in (await dash.get("/dashboard/profile")).text


async def test_where_sign_up_is_closed_the_pages_say_who_makes_accounts(tmp_path: Path) -> None:
    async with dashing(tmp_path, PartnerSettings(signup="closed")) as dash:
        page = await dash.get("/dashboard/signup")
        assert "Sign-up is closed" in page.text
        assert "<form" not in page.text
        answer = await dash.post("/dashboard/signup", **ADA)
        assert answer.status_code == 403
        assert "/dashboard/signup" not in (await dash.get("/dashboard/login")).text


async def test_after_many_wrong_guesses_the_page_says_when_to_try_again(dash: Dash) -> None:
    await dash.sign_up()
    for _ in range(100):
        answer = await dash.post("/dashboard/login", email=ADA["email"], password="wrong guess!")
        if answer.status_code != 401:
            break
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert "Try again in" in answer.text
    assert f'value="{ADA["email"]}"' in answer.text


async def test_a_client_tries_the_door_so_many_times_a_minute_whatever_account_it_names(
    tmp_path: Path,
) -> None:
    async with dashing(tmp_path, PartnerSettings(rate_limit_per_minute=3)) as dash:
        statuses = [
            (
                await dash.post(f"/dashboard/{door}", email=f"no{at}@x.example", password="short")
            ).status_code
            for at, door in enumerate(("login", "signup", "login", "login", "signup"))
        ]
    assert statuses == [401, 400, 401, 429, 429]
