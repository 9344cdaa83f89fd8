"""Saving a context in one Chromium and restoring it in another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import msgspec
import pytest

from actors.browser.chromium import Chromium
from actors.browser.driver import connect
from actors.browser.driver.browser import ChromiumBrowser
from actors.browser.driver.context import ChromiumContext
from actors.browser.page import BrowserState, Cookie, OriginStorage
from tests.actors.browser.site import Site, page

READ = "() => [{...localStorage}, {...sessionStorage}]"
WRITE = """(who) => {
  localStorage.setItem('local', who);
  sessionStorage.setItem('session', who);
  localStorage.setItem('length', '1'); localStorage.setItem('__proto__', 'p');
  localStorage.setItem('', 'ü\\u2028"');
}"""
WRITTEN = {"length": "1", "__proto__": "p", "": 'ü\u2028"'}


@asynccontextmanager
async def another_context(chromium: Chromium) -> AsyncIterator[ChromiumContext]:
    """A fresh context in another Chromium process."""
    async with connect(chromium.endpoint) as browser:
        yield await browser.open_context()


async def logged_in(browser: ChromiumBrowser, site: Site) -> ChromiumContext:
    """A context with an HttpOnly cookie, a lasting one, and storage."""
    site.pages["/"] = page(
        "<p>home",
        ("Set-Cookie", "login=secret; HttpOnly; SameSite=Lax; Path=/"),
        ("Set-Cookie", "lasting=1; Max-Age=86400; Path=/"),
        ("Set-Cookie", "deep=1; Path=/deep"),
    )
    context = await browser.open_context()
    await context.page.goto(f"{site.url}/", timeout_s=40)
    await context.page.evaluate(WRITE, "driver-1")
    return context


async def test_all_that_a_login_consists_of_comes_back_in_another_chromium(
    browser: ChromiumBrowser, chromium: Chromium, site: Site
) -> None:
    state = await (await logged_in(browser, site)).save()
    assert state.url == f"{site.url}/"

    async with another_context(chromium) as restored:
        await restored.restore(state)
        again = await restored.save()
        assert sorted(again.cookies, key=lambda each: each.name) == sorted(
            state.cookies, key=lambda each: each.name
        )
        await restored.page.goto(state.url, timeout_s=40)
        assert sorted(site.cookies[-1].split("; ")) == ["lasting=1", "login=secret"]
        local, session = await restored.page.evaluate(READ)
        assert local["local"] == "driver-1"
        assert session == {"session": "driver-1"}
        assert (await restored.save()).storage == state.storage


async def test_what_is_saved_holds_http_only_cookies_and_every_key(
    browser: ChromiumBrowser, site: Site
) -> None:
    state = await (await logged_in(browser, site)).save()
    cookies = {each.name: each for each in state.cookies}
    assert cookies["login"] == Cookie(
        name="login", value="secret", domain="127.0.0.1", http_only=True, same_site="Lax"
    )
    assert cookies["lasting"].expires is not None
    assert cookies["deep"].path == "/deep"
    assert state.storage == (
        OriginStorage(
            origin=site.url,
            local={"local": "driver-1", **WRITTEN},
            session={"session": "driver-1"},
        ),
    )


async def test_what_is_saved_survives_being_written_down(
    browser: ChromiumBrowser, site: Site
) -> None:
    state = await (await logged_in(browser, site)).save()
    assert msgspec.json.decode(msgspec.json.encode(state), type=BrowserState) == state
    assert "secret" not in repr(state)


async def test_restoring_asks_no_server(
    browser: ChromiumBrowser, chromium: Chromium, site: Site
) -> None:
    state = await (await logged_in(browser, site)).save()
    asked, connections = len(site.requests), site.connections
    async with another_context(chromium) as restored:
        await restored.restore(state)
        assert restored.page.url == "about:blank"
    assert (len(site.requests), site.connections) == (asked, connections)


async def test_storage_of_a_frame_of_the_same_site_comes_back_too(
    browser: ChromiumBrowser,
    chromium: Chromium,
    site: Site,
    another_site: AbstractAsyncContextManager[Site],
) -> None:
    async with another_site as identity:
        identity.pages["/frame"] = page("<script>localStorage.token = 'abc'</script>")
        frame = f"<iframe src='{identity.url}/frame' onload='window.loaded = 1'></iframe>"
        site.pages["/"] = page(f"<script>localStorage.own = '1'</script>{frame}")
        context = await browser.open_context()
        await context.page.goto(f"{site.url}/", timeout_s=40)
        await context.page.wait_until("() => window.loaded", timeout_s=40, what="the frame")
        state = await context.save()
        assert {each.origin: each.local for each in state.storage} == {
            site.url: {"own": "1"},
            identity.url: {"token": "abc"},
        }
        identity.pages["/frame"] = page(
            "<script>parent.postMessage(localStorage.token, '*')</script>"
        )
        listen = "addEventListener('message', (event) => { window.token = event.data })"
        site.pages["/"] = page(f"<script>{listen}</script>{frame}")
        async with another_context(chromium) as restored:
            await restored.restore(state)
            await restored.page.goto(state.url, timeout_s=40)
            found = await restored.page.wait_until(
                "() => window.token", timeout_s=40, what="the token"
            )
    assert found == "abc"


async def test_a_page_that_replaced_its_own_storage_functions_is_saved_all_the_same(
    browser: ChromiumBrowser, site: Site
) -> None:
    context = await logged_in(browser, site)
    await context.page.evaluate(
        "() => { Storage.prototype.getItem = Storage.prototype.key = () => 'forged' }"
    )
    state = await context.save()
    assert state.storage[0].local["local"] == "driver-1"


async def test_a_blank_page_has_cookies_but_no_storage(
    browser: ChromiumBrowser, site: Site
) -> None:
    context = await logged_in(browser, site)
    await context.page.goto("about:blank", timeout_s=40)
    state = await context.save()
    assert state.url == "about:blank"
    assert state.storage == ()
    assert len(state.cookies) == 3


async def test_one_cookie_that_chromium_refuses_costs_no_other(
    browser: ChromiumBrowser,
) -> None:
    context = await browser.open_context()
    good = Cookie(name="good", value="1", domain="127.0.0.1")
    bad = Cookie(name="__Host-bad", value="1", domain=".example.com", path="/x")
    await context.restore(BrowserState(url="about:blank", cookies=(bad, good)))
    assert (await context.save()).cookies == (good,)


async def test_a_cookie_for_a_whole_domain_is_told_from_one_for_a_host(
    browser: ChromiumBrowser,
) -> None:
    cookies = (
        Cookie(name="host", value="1", domain="portal.example.com", secure=True),
        Cookie(name="whole", value="1", domain=".example.com", secure=True, same_site="None"),
        Cookie(name="__Host-strict", value="1", domain="portal.example.com", secure=True),
    )
    context = await browser.open_context()
    await context.restore(BrowserState(url="about:blank", cookies=cookies))
    saved = (await context.save()).cookies
    assert sorted(saved, key=lambda each: each.name) == sorted(cookies, key=lambda each: each.name)


async def test_a_partitioned_cookie_keeps_its_partition(browser: ChromiumBrowser) -> None:
    cookie = Cookie(
        name="chips",
        value="1",
        domain="identity.example",
        secure=True,
        same_site="None",
        partition_key={"topLevelSite": "https://portal.example", "hasCrossSiteAncestor": True},
    )
    context = await browser.open_context()
    await context.restore(BrowserState(url="about:blank", cookies=(cookie,)))
    assert (await context.save()).cookies == (cookie,)


async def test_restoring_in_one_context_leaves_the_others_as_they_were(
    browser: ChromiumBrowser, site: Site
) -> None:
    state = await (await logged_in(browser, site)).save()
    untouched = await browser.open_context()
    restored = await browser.open_context()
    await restored.restore(state)
    assert (await untouched.save()).cookies == ()


async def test_storage_that_cannot_be_restored_is_noted_and_the_rest_is_restored(
    browser: ChromiumBrowser, site: Site
) -> None:
    site.pages["/"] = page("<p>")
    full = OriginStorage(origin="http://127.0.0.2:1234", local={"a": "x" * 6_000_000}, session={})
    good = OriginStorage(origin=site.url, local={"a": "b"}, session={})
    context = await browser.open_context()
    await context.restore(BrowserState(url=site.url, storage=(full, good)))
    assert "storage of http://127.0.0.2:1234 not restored" in "\n".join(context.page.journal)
    await context.page.goto(f"{site.url}/", timeout_s=40)
    assert await context.page.evaluate(READ) == [{"a": "b"}, {}]


@pytest.mark.parametrize("origin", ["file://", "null", "javascript:alert(1)//", "chrome://version"])
async def test_only_web_origins_are_opened_to_restore_them(
    browser: ChromiumBrowser, origin: str
) -> None:
    context = await browser.open_context()
    storage = (OriginStorage(origin=origin, local={"a": "b"}, session={}),)
    await context.restore(BrowserState(url="about:blank", storage=storage))
    assert "not restored" in "\n".join(context.page.journal)
    assert context.page.url == "about:blank"
