"""The dashboard's cookie: what it looks like, and whose requests it opens."""

from __future__ import annotations

from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from quart import Blueprint, Response, request

from actors.partner.tenants.accounts import LIFE_S
from api.partner.cookie import cookie_name, forget_cookie, set_cookie
from api.partner.credentials import Reach
from api.partner.house import PartnerHouse
from api.partner.limits import partner_blueprint
from api.reply import reply
from tests.api.partner.partnering import PASSWORD, Counter, bearer, partnering
from tests.api.wire import Refused, lined

NAME = cookie_name(is_https=False)


def visits(partner: PartnerHouse, reach: Reach) -> Blueprint:
    credentials = partner.credentials(reach)
    routes = partner_blueprint("visits")

    @routes.route("/dashboard/who", methods=["GET", "POST"])
    async def who() -> Response:
        return reply({"user_id": (await credentials.by_cookie()).id})

    @routes.route("/dashboard/any", methods=["GET", "POST"])
    async def anybody() -> Response:
        principal = await credentials.by_any()
        return reply({"id": principal.id, "path": request.path})

    return routes


@pytest.mark.parametrize("is_https", [True, False])
def test_the_cookie_is_out_of_reach_of_scripts_and_other_hosts(is_https: bool) -> None:
    response = Response("")
    set_cookie(response, "token", is_https=is_https)
    (morsel,) = SimpleCookie(response.headers["Set-Cookie"]).values()
    assert morsel.key.startswith("__Host-") == is_https
    assert bool(morsel["secure"]) == is_https
    assert morsel["httponly"]
    assert (morsel["samesite"], morsel["path"], morsel["domain"]) == ("Lax", "/", "")
    assert int(morsel["max-age"]) == LIFE_S["web"]
    gone = Response("")
    forget_cookie(gone, is_https=is_https)
    (morsel,) = SimpleCookie(gone.headers["Set-Cookie"]).values()
    assert morsel.value == ""
    assert morsel["expires"].startswith("Thu, 01 Jan 1970")


async def token_of(it: Counter, email: str = "ada@example.com") -> str:
    accounts = it.partner.accounts
    entered = await accounts.log_in(email, PASSWORD, client="127.0.0.1", kind="web")
    return entered.token


async def test_a_cookie_says_who_has_logged_in_until_they_log_out(tmp_path: Path) -> None:
    async with partnering(tmp_path, extra=visits) as it:
        person = await it.sign_up()
        token = await token_of(it)
        held = {"Cookie": f"other=1; {NAME}={token}"}
        answer = await it.client.get("/dashboard/who", headers=held)
        assert (answer.status_code, answer.json()["user_id"]) == (200, person.user["user_id"])
        await it.partner.accounts.log_out_token(token, "web")
        answer = await it.client.get("/dashboard/who", headers=held)
        assert (answer.status_code, answer.json()["detail"]) == (
            401,
            "The session has ended; log in again",
        )
        assert (await it.client.get("/dashboard/who")).json()["detail"] == "Log in first"


async def test_a_cookie_changes_something_for_our_own_pages_only(tmp_path: Path) -> None:
    async with partnering(tmp_path, extra=visits) as it:
        await it.sign_up()
        held = {"Cookie": f"{NAME}={await token_of(it)}"}
        own = {"Origin": f"http://127.0.0.1:{it.port}"}
        for headers, status in (
            (own, 200),
            ({}, 401),
            ({"Sec-Fetch-Site": "same-origin"}, 401),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
        ):
            answer = await it.client.post("/dashboard/who", headers=held | headers)
            assert answer.status_code == status, headers


async def test_a_cookie_is_no_refresh_token_and_the_other_way_round(tmp_path: Path) -> None:
    async with partnering(tmp_path, extra=visits) as it:
        person = await it.sign_up()
        web = await token_of(it)
        assert (await it.post("/auth/refresh", {"refresh_token": web})).status_code == 401
        as_api = "vprt_" + web.removeprefix("vpws_")
        assert (await it.post("/auth/refresh", {"refresh_token": as_api})).status_code == 401
        for text in (person.refresh_token, "vpws_" + person.refresh_token.removeprefix("vprt_")):
            answer = await it.client.get("/dashboard/who", headers={"Cookie": f"{NAME}={text}"})
            assert answer.status_code == 401
        assert (await it.get("/profile", bearer(web))).status_code == 401
        assert (await it.get("/profile", {"Cookie": f"{NAME}={web}"})).status_code == 401


async def test_two_cookies_are_none(tmp_path: Path) -> None:
    async with partnering(tmp_path, extra=visits) as it:
        await it.sign_up()
        token = await token_of(it)
        held = {"Cookie": f"{NAME}={token}; {NAME}=x"}
        assert (await it.client.get("/dashboard/who", headers=held)).status_code == 401


async def test_a_header_goes_before_a_cookie_where_both_are_taken(tmp_path: Path) -> None:
    async with partnering(tmp_path, extra=visits) as it:
        person = await it.sign_up()
        held = {"Cookie": f"{NAME}={await token_of(it)}"}
        both = await it.client.get("/dashboard/any", headers=held | person.bearer)
        assert both.status_code == 200
        wrong = await it.client.get("/dashboard/any", headers=held | bearer("x"))
        assert wrong.status_code == 401
        assert (await it.client.get("/dashboard/any", headers=held)).status_code == 200


async def test_people_are_not_shut_out_by_a_busy_api(tmp_path: Path) -> None:
    async with partnering(tmp_path, extra=visits, rate_limit_per_minute=3) as it:
        person = await it.sign_up()
        held = {"Cookie": f"{NAME}={await token_of(it)}"}
        while (await it.get("/profile", person.bearer)).status_code == 200:
            pass
        assert (await it.client.get("/dashboard/who", headers=held)).status_code == 200


async def test_a_live_line_by_cookie_is_for_our_own_pages_only(tmp_path: Path) -> None:
    async with partnering(tmp_path, extra=visits) as it:
        person = await it.sign_up()
        body = {"return_url": "https://yourapp.com/cb"}
        made = (await it.post("/sessions", body, person.bearer)).json()
        path = f"/api/v1/sessions/{made['session_id']}/events?after=0"
        held = (b"cookie", f"{NAME}={await token_of(it)}".encode())
        own = (b"origin", f"http://127.0.0.1:{it.port}".encode())
        for headers, status in (
            ((held,), 401),
            ((held, (b"sec-fetch-site", b"same-origin")), 401),
            ((held, (b"origin", b"https://evil.example")), 403),
            ((own,), 401),
        ):
            with pytest.raises(Refused) as refused:
                async with lined(it.port, path, headers):
                    pass
            assert refused.value.status == status
        async with lined(it.port, path, (held, own)) as line:
            await line.until("session.created")
