"""What the demo remembers from one run to the next."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import trio

from api.demo.run import open_demo
from api.demo.site import SESSION_COOKIE
from engine.clock import SystemClock

from .conftest import Visitor


@asynccontextmanager
async def visited(file: Path, cookies: httpx.Cookies | None = None) -> AsyncIterator[Visitor]:
    async with (
        open_demo(SystemClock(), solve_s=0.0, remember=file) as urls,
        httpx.AsyncClient(trust_env=False, cookies=cookies, timeout=40) as http,
    ):
        yield Visitor(urls, http)


async def is_in(visitor: Visitor) -> bool:
    return (await visitor.get("/containers", follow=False)).status_code == 200


async def test_logins_and_their_counts_are_known_to_the_next_run_on_the_same_ports(
    tmp_path: Path,
) -> None:
    file = tmp_path / "demo.json"
    async with visited(file) as visitor:
        await visitor.log_in("driver-7", "harbor-7")
        cookies, urls = visitor.http.cookies, visitor.urls
    async with visited(file, cookies) as visitor:
        assert visitor.urls == urls
        assert await is_in(visitor)
        assert (await visitor.get("/__control")).json()["logins"] == {"driver-7": 1}
        visitor.http.cookies.clear()
        await visitor.log_in("driver-8", "harbor-8")
    async with visited(file) as visitor:
        assert not await is_in(visitor)
        logins = (await visitor.get("/__control")).json()["logins"]
        assert logins == {"driver-7": 1, "driver-8": 1}


async def test_who_was_logged_out_stays_so(tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    async with visited(file) as visitor:
        await visitor.log_in("driver-7", "harbor-7")
        cookies = visitor.http.cookies
        await visitor.control(logout_all=True)
    async with visited(file, cookies) as visitor:
        assert not await is_in(visitor)
        await visitor.log_in("driver-7", "harbor-7")
        cookies = httpx.Cookies(visitor.http.cookies)
        await visitor.http.post(f"{visitor.urls.portal_url}/Account/Logout")
    async with visited(file, cookies) as visitor:
        assert not await is_in(visitor)


async def test_the_file_lets_nobody_in(tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    async with visited(file) as visitor:
        await visitor.log_in("driver-7", "harbor-7")
        cookie = visitor.http.cookies[SESSION_COOKIE]
    text = file.read_text()
    assert "driver-7" in text
    assert cookie not in text
    assert "harbor-7" not in text
    assert file.stat().st_mode & 0o077 == 0


async def test_a_port_that_somebody_else_has_by_now_is_done_without(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("api.demo.run._FORMER_S", 0.1)
    file = tmp_path / "demo.json"
    async with visited(file) as visitor:
        await visitor.log_in("driver-7", "harbor-7")
        cookies, urls = visitor.http.cookies, visitor.urls
    port = int(urls.portal_url.rpartition(":")[2])
    (taker,) = await trio.open_tcp_listeners(port, host="127.0.0.1")
    async with taker, visited(file, cookies) as visitor:
        assert visitor.urls.portal_url != urls.portal_url
        assert visitor.urls.captcha_url == urls.captcha_url
        assert await is_in(visitor)


async def test_a_file_that_is_none_is_as_good_as_no_file(tmp_path: Path) -> None:
    file = tmp_path / "demo.json"
    file.write_text("not json")
    async with visited(file) as visitor:
        assert (await visitor.get("/__control")).json()["logins"] == {}
        await visitor.log_in("driver-7", "harbor-7")
    async with visited(file) as visitor:
        assert (await visitor.get("/__control")).json()["logins"] == {"driver-7": 1}
