"""A page: navigation, scripts, waiting, and what happens when it misbehaves."""

from __future__ import annotations

import struct

import pytest
import trio

from actors.browser.driver import tab as tab_module
from actors.browser.driver.browser import ChromiumBrowser
from actors.browser.driver.page import ChromiumPage
from actors.browser.page import BrowserGone, NavigationFailed, PageTimeout, ScriptFailed
from tests.actors.browser.site import Site, page

TEXT = "(selector) => document.querySelector(selector).textContent"


async def shown(browser: ChromiumBrowser, site: Site, html: str) -> ChromiumPage:
    """A page that shows the html."""
    site.pages["/"] = page(html)
    tab = (await browser.open_context()).page
    assert await tab.goto(f"{site.url}/", timeout_s=40) == 200
    return tab


@pytest.mark.parametrize("status", [200, 404, 500])
@pytest.mark.parametrize("html", ["<p>said", ""])
async def test_goto_returns_the_status(
    browser: ChromiumBrowser, site: Site, status: int, html: str
) -> None:
    site.pages["/"] = page(html, status=status)
    tab = (await browser.open_context()).page
    assert await tab.goto(f"{site.url}/", timeout_s=40) == status


async def test_goto_follows_redirects_and_the_url_is_the_last_one(
    browser: ChromiumBrowser, site: Site
) -> None:
    site.pages["/old"] = page("", ("Location", "/new?x=1#y"), status=302)
    site.pages["/new"] = page("<p>new")
    tab = (await browser.open_context()).page
    assert await tab.goto(f"{site.url}/old", timeout_s=40) == 200
    assert tab.url == f"{site.url}/new?x=1#y"


async def test_goto_returns_when_the_dom_is_ready_and_waits_for_no_image(
    browser: ChromiumBrowser, site: Site
) -> None:
    site.pages["/slow.png"] = None
    tab = await shown(browser, site, "<img src=/slow.png><p id=last>last")
    assert await tab.evaluate(TEXT, "#last") == "last"


async def test_goto_within_a_document_keeps_its_status(
    browser: ChromiumBrowser, site: Site
) -> None:
    tab = await shown(browser, site, "<p id=there>")
    assert await tab.goto(f"{site.url}/#there", timeout_s=40) == 200
    assert tab.url == f"{site.url}/#there"


async def test_goto_blank_has_no_status(browser: ChromiumBrowser) -> None:
    assert await (await browser.open_context()).page.goto("about:blank", timeout_s=40) == 0


async def test_an_address_where_nothing_listens_fails(browser: ChromiumBrowser) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    tab = (await browser.open_context()).page
    with pytest.raises(NavigationFailed, match="ERR_CONNECTION_REFUSED"):
        await tab.goto(f"http://127.0.0.1:{port}/", timeout_s=40)
    assert await tab.evaluate("() => 1") == 1


async def test_a_server_that_hangs_fails_in_time_and_the_page_is_usable_after(
    browser: ChromiumBrowser, site: Site
) -> None:
    site.pages["/hang"] = None
    tab = await shown(browser, site, "<p id=here>here")
    for _ in range(2):
        with pytest.raises(NavigationFailed, match=r"no answer within 0\.1 s"):
            await tab.goto(f"{site.url}/hang", timeout_s=0.1)
        assert await tab.evaluate(TEXT, "#here") == "here"
    assert await tab.goto(f"{site.url}/?next", timeout_s=40) == 200


async def test_a_cancelled_goto_leaves_the_page_usable(
    browser: ChromiumBrowser, site: Site
) -> None:
    site.pages["/hang"] = None
    tab = await shown(browser, site, "<p id=here>here")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: tab.goto(f"{site.url}/hang", timeout_s=60))
        await site.wait_asked("/hang")
        nursery.cancel_scope.cancel()
    assert await tab.evaluate(TEXT, "#here") == "here"
    assert await tab.goto(f"{site.url}/?next", timeout_s=40) == 200


async def test_the_url_follows_the_page_without_asking(
    browser: ChromiumBrowser, site: Site
) -> None:
    tab = await shown(browser, site, "<p>")
    await tab.evaluate("() => { history.pushState({}, '', '/pushed?a=1') }")
    assert tab.url == f"{site.url}/pushed?a=1"
    site.pages["/other"] = page("<p id=other>other")
    await tab.evaluate("() => { setTimeout(() => { location = '/other' }) }")
    await tab.wait_for("body", timeout_s=40)
    await tab.wait_until("() => location.pathname === '/other'", timeout_s=40, what="other")
    assert tab.url == f"{site.url}/other"


async def test_a_frame_inside_does_not_change_the_url(browser: ChromiumBrowser, site: Site) -> None:
    site.pages["/inner"] = page("<p>inner")
    tab = await shown(browser, site, "<iframe src=/inner onload='window.loaded = 1'></iframe>")
    await tab.wait_until("() => window.loaded", timeout_s=40, what="the frame")
    assert tab.url == f"{site.url}/"


async def test_arguments_and_answers_of_scripts_are_json(browser: ChromiumBrowser) -> None:
    tab = (await browser.open_context()).page
    given = [1, 2.5, "ü\"'</script>\u2028\n", None, True, {"a": [{"b": {}}]}]
    assert await tab.evaluate("(...all) => all", *given) == given
    assert await tab.evaluate("async () => { return 'later' }") == "later"
    assert await tab.evaluate("() => undefined") is None
    assert await tab.evaluate("function () { return this === window } // a comment") is True


async def test_a_script_that_throws_raises_what_it_said(browser: ChromiumBrowser) -> None:
    tab = (await browser.open_context()).page
    with pytest.raises(ScriptFailed, match=r"^TypeError: no such thing$"):
        await tab.evaluate("() => { throw new TypeError('no such thing') }")
    with pytest.raises(ScriptFailed, match="SyntaxError"):
        await tab.evaluate("() => {{{")
    with pytest.raises(ScriptFailed, match="refused"):
        await tab.evaluate("async () => { throw 'refused' }")


async def test_a_script_whose_page_is_left_fails_and_does_not_hang(
    browser: ChromiumBrowser, site: Site
) -> None:
    tab = await shown(browser, site, "<p>")
    with trio.fail_after(40), pytest.raises(ScriptFailed):
        await tab.evaluate("() => { location = '/?left'; return new Promise(() => {}) }")


async def test_a_script_that_computes_for_ever_is_stopped(
    browser: ChromiumBrowser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tab_module, "_COMPUTE_TIMEOUT_MS", 50)
    tab = (await browser.open_context()).page
    with pytest.raises(ScriptFailed):
        await tab.evaluate("() => { for (;;); }")
    assert await tab.evaluate("() => 1") == 1


async def test_wait_until_returns_the_truthy_value_once_it_is_there(
    browser: ChromiumBrowser,
) -> None:
    tab = (await browser.open_context()).page
    await tab.evaluate("() => { setTimeout(() => { window.found = {row: 7} }, 60) }")
    found = await tab.wait_until("(name) => window[name]", "found", timeout_s=40, what="a row")
    assert found == {"row": 7}


async def test_wait_until_survives_navigations(browser: ChromiumBrowser, site: Site) -> None:
    site.pages["/2"] = page("<script>setTimeout(() => { location = '/3' }, 20)</script>")
    site.pages["/3"] = page("<p id=arrived>here")
    tab = await shown(browser, site, "<script>setTimeout(() => { location = '/2' }, 20)</script>")
    await tab.wait_for("#arrived", timeout_s=40)
    await tab.evaluate("() => { document.querySelector('p').textContent = 'x' }")


async def test_what_never_comes_is_named_when_its_time_is_over(browser: ChromiumBrowser) -> None:
    tab = (await browser.open_context()).page
    with pytest.raises(PageTimeout, match=r"the table did not come within 0\.1 s") as caught:
        await tab.wait_until("() => false", timeout_s=0.1, what="the table")
    assert caught.value.what == "the table"
    with pytest.raises(PageTimeout, match="#never"):
        await tab.wait_for("#never", timeout_s=0.1)
    assert await tab.evaluate("() => 1") == 1


@pytest.mark.parametrize(
    "style", ["display:none", "visibility:hidden", "width:0;padding:0;border:0"]
)
async def test_an_element_that_is_not_visible_is_waited_for(
    browser: ChromiumBrowser, site: Site, style: str
) -> None:
    tab = await shown(browser, site, f"<button style='{style}'></button>")
    with pytest.raises(PageTimeout):
        await tab.wait_for("button", timeout_s=0.1)
    await tab.evaluate(
        "() => { setTimeout(() => { document.querySelector('button').style = '' }, 30) }"
    )
    await tab.wait_for("button", timeout_s=40)


async def test_html_is_the_document_as_it_stands_now(browser: ChromiumBrowser, site: Site) -> None:
    tab = await shown(browser, site, "<!doctype html><p>before")
    await tab.evaluate("() => { document.querySelector('p').textContent = 'after' }")
    html = await tab.html()
    assert html.startswith("<!DOCTYPE html><html>")
    assert "<p>after</p>" in html


async def test_a_screenshot_is_a_png_of_the_viewport(browser: ChromiumBrowser, site: Site) -> None:
    tab = await shown(browser, site, "<div style='height:3000px'>long")
    shot = await tab.screenshot()
    assert shot.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", shot[16:24]) == (1280, 900)


async def test_a_crashed_page_ends_what_is_pending_and_goto_recovers_it(
    browser: ChromiumBrowser, site: Site
) -> None:
    tab = await shown(browser, site, "<p id=here>here")
    await tab.evaluate("() => { sessionStorage.kept = 'yes' }")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crash, tab)
        with trio.fail_after(40), pytest.raises(BrowserGone, match="crashed"):
            await tab.evaluate("() => new Promise(() => {})")
    with pytest.raises(BrowserGone, match="crashed"):
        await tab.evaluate("() => 1")
    await browser.ping()

    assert await tab.goto(f"{site.url}/", timeout_s=40) == 200
    assert await tab.evaluate("() => sessionStorage.kept") == "yes"
    await tab.click("#here")


async def crash(tab: ChromiumPage) -> None:
    tab._tab.post("Page.crash")
    with trio.fail_after(40):
        while "the page crashed" not in "".join(tab.journal[-2:]):
            await trio.sleep(0.01)


async def test_a_closed_tab_raises_and_goto_opens_another_one(
    browser: ChromiumBrowser, site: Site
) -> None:
    tab = await shown(browser, site, "<p>here")
    browser._wire.browser.post("Target.closeTarget", {"targetId": tab._tab.frame_id})
    with trio.fail_after(40):
        while "the tab was closed" not in tab.journal[-1]:
            await trio.sleep(0.01)
    with pytest.raises(BrowserGone, match="closed"):
        await tab.evaluate("() => 1")
    assert await tab.goto(f"{site.url}/", timeout_s=40) == 200
    assert await tab.evaluate(TEXT, "p") == "here"


async def test_the_journal_tells_the_steps_but_no_secret(
    browser: ChromiumBrowser, site: Site
) -> None:
    tab = await shown(browser, site, "<input id=password>")
    await tab.goto(f"{site.url}/?token=harbor-1#harbor-2", timeout_s=40)
    await tab.goto("data:text/html,<input id=password>harbor-3", timeout_s=40)
    await tab.fill("#password", "harbor-4")
    await tab.evaluate("(secret) => secret", "harbor-5")
    with pytest.raises(NavigationFailed) as caught:
        await tab.goto("http://user:harbor-6@127.0.0.1:1/?harbor-7", timeout_s=40)
    told = "\n".join(tab.journal) + str(caught.value)
    assert "harbor" not in told
    assert f"goto {site.url}/ (" in told
    assert "fill #password (" in told
    assert tab.journal[-1].endswith(", NavigationFailed)")


async def test_the_journal_is_bounded(browser: ChromiumBrowser) -> None:
    tab = (await browser.open_context()).page
    for _ in range(210):
        await tab.evaluate("() => 1")
    assert len(tab.journal) == 200
