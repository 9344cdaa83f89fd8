"""A context: isolated, with one page, and no windows, dialogs or files that nobody asked for."""

from __future__ import annotations

import pytest
import trio

from actors.browser.chromium import Chromium
from actors.browser.driver import connect
from actors.browser.driver.browser import ChromiumBrowser
from actors.browser.driver.context import ChromiumContext
from actors.browser.page import BrowserGone
from tests.actors.browser.site import Site, page

LINKS = """<!doctype html><title>Home</title>
<a id=blank href=/window target=_blank>blank</a>
<a id=opener href=/window target=_blank rel=opener>with opener</a>
<button id=script onclick="window.opened = window.open('/window')">script</button>
<button id=count onclick="this.textContent = 'clicked'">count</button>
<a id=file href=/file download>file</a>"""


async def opened(browser: ChromiumBrowser, site: Site, html: str = LINKS) -> ChromiumContext:
    """A context whose page shows the html."""
    site.pages["/"] = page(html)
    context = await browser.open_context()
    await context.page.goto(f"{site.url}/", timeout_s=40)
    return context


async def windows(browser: ChromiumBrowser, context: ChromiumContext) -> int:
    found = await browser._wire.browser.call("Target.getTargets", {"filter": [{"type": "page"}]})
    return sum(each["browserContextId"] == context.id for each in found["targetInfos"])


async def closed(browser: ChromiumBrowser, context: ChromiumContext, *, popups: int) -> None:
    """Return once as many windows were closed and only the page's own is left."""
    with trio.fail_after(40):
        while context.popups_closed < popups or await windows(browser, context) > 1:
            await trio.sleep(0.01)


async def test_contexts_share_neither_cookies_nor_storage(
    browser: ChromiumBrowser, site: Site
) -> None:
    one, another = await opened(browser, site), await opened(browser, site)
    write = "(who) => { document.cookie = who; localStorage.who = sessionStorage.who = who; }"
    await one.page.evaluate(write, "one=1")
    read = "() => [document.cookie, localStorage.who ?? '', sessionStorage.who ?? '']"
    assert await one.page.evaluate(read) == ["one=1"] * 3
    assert await another.page.evaluate(read) == [""] * 3


async def test_a_closed_context_is_gone_and_closing_it_again_is_fine(
    browser: ChromiumBrowser,
) -> None:
    context = await browser.open_context()
    assert await browser.context_ids() == (context.id,)
    await browser.close_context(context.id)
    await browser.close_context(context.id)
    assert await browser.context_ids() == ()


async def test_closing_a_context_ends_what_is_pending_in_it(browser: ChromiumBrowser) -> None:
    context = await browser.open_context()

    async def close_later() -> None:
        await trio.testing.wait_all_tasks_blocked(0.02)
        await browser.close_context(context.id)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(close_later)
        with trio.fail_after(40), pytest.raises(BrowserGone, match="closed"):
            await context.page.evaluate("() => new Promise(() => {})")


async def test_closed_contexts_leave_nothing_in_the_connection(browser: ChromiumBrowser) -> None:
    def kept() -> list[int]:
        peer = browser._wire._connection
        return [
            len(each)
            for each in (browser._contexts, browser._wire._tabs, peer._sessions, peer._callbacks)
        ]

    for _ in range(3):
        context = await browser.open_context()
        await context.page.evaluate("() => { window.open('about:blank') }")
        await context.page.screenshot()
        await browser.close_context(context.id)
    with trio.fail_after(40):
        while kept() != [0, 0, 0, 0]:
            await trio.sleep(0.01)


async def test_the_page_is_1280_by_900(browser: ChromiumBrowser) -> None:
    context = await browser.open_context()
    size = await context.page.evaluate("() => [innerWidth, innerHeight, devicePixelRatio]")
    assert size == [1280, 900, 1]


@pytest.mark.parametrize("link", ["#script", "#blank", "#opener"])
async def test_a_window_that_a_page_opens_is_closed_and_counted(
    browser: ChromiumBrowser, site: Site, link: str
) -> None:
    context = await opened(browser, site)
    for count in (1, 2, 3):
        await context.page.click(link)
        await closed(browser, context, popups=count)
    assert context.popups_closed == 3


async def test_a_popup_opened_by_script_without_a_click_is_closed_and_counted(
    browser: ChromiumBrowser, site: Site
) -> None:
    context = await opened(browser, site)
    await context.page.evaluate("() => { for (let i = 0; i < 4; i++) window.open('/nag' + i); }")
    await closed(browser, context, popups=4)
    assert context.popups_closed == 4


async def test_the_page_can_be_used_while_its_windows_are_being_closed(
    browser: ChromiumBrowser, site: Site
) -> None:
    context = await opened(browser, site)
    for _ in range(3):
        await context.page.click("#script")
        await context.page.click("#count")
        assert len(await context.page.screenshot()) > 1000
    text = "() => document.querySelector('#count').textContent"
    assert await context.page.evaluate(text) == "clicked"
    assert await context.page.evaluate("() => document.visibilityState") == "visible"


async def test_a_page_sees_that_its_window_was_closed(browser: ChromiumBrowser, site: Site) -> None:
    context = await opened(browser, site)
    await context.page.click("#script")
    await context.page.wait_until("() => window.opened?.closed", timeout_s=40, what="the end")


async def test_windows_of_one_context_are_not_counted_in_another(
    browser: ChromiumBrowser, site: Site
) -> None:
    one, another = await opened(browser, site), await opened(browser, site)
    await one.page.click("#script")
    await closed(browser, one, popups=1)
    assert another.popups_closed == 0


async def test_windows_that_were_opened_while_nobody_was_connected_are_closed_at_adoption(
    browser: ChromiumBrowser, shared_chromium: Chromium, site: Site
) -> None:
    async with connect(shared_chromium.endpoint) as earlier:
        context = await opened(earlier, site)
        await context.page.evaluate("() => { setTimeout(() => window.open('/late'), 50); }")
    await site.wait_asked("/late")
    adopted = await browser.adopt_context(context.id)
    await closed(browser, adopted, popups=1)
    assert adopted.page.url == f"{site.url}/"


@pytest.mark.parametrize(
    ("script", "answer"),
    [
        ("() => { alert('hello'); return 'on'; }", "on"),
        ("() => confirm('really?')", False),
        ("() => prompt('who?', 'me')", None),
    ],
)
async def test_a_dialog_is_dismissed_and_counted(
    browser: ChromiumBrowser, script: str, answer: object
) -> None:
    context = await browser.open_context()
    with trio.fail_after(40):
        assert await context.page.evaluate(script) == answer
    assert context.dialogs_dismissed == 1


async def test_a_dialog_that_a_click_opens_does_not_hold_the_click(
    browser: ChromiumBrowser, site: Site
) -> None:
    context = await opened(browser, site, "<button onclick='alert(1); this.id = 2'>go</button>")
    with trio.fail_after(40):
        await context.page.click("button")
    await context.page.wait_until(
        "() => document.querySelector('button').id", timeout_s=40, what=""
    )
    assert context.dialogs_dismissed == 1


async def test_a_dialog_while_a_page_loads_does_not_hold_the_navigation(
    browser: ChromiumBrowser, site: Site
) -> None:
    context = await opened(browser, site, "<script>alert('nag')</script><p id=after>")
    await context.page.wait_until("() => document.querySelector('#after')", timeout_s=40, what="")
    assert context.dialogs_dismissed == 1


async def test_dialogs_of_a_page_that_is_being_left_do_not_hold_the_navigation(
    browser: ChromiumBrowser, site: Site
) -> None:
    # Some of them open when the next document is about to be put in place.
    site.pages["/nag"] = page("<script>setInterval(() => alert('nag'), 1)</script>")
    for _ in range(3):
        context = await opened(browser, site, "<p>quiet")
        for path in ("/nag", "/", "/nag", "/"):
            assert await context.page.goto(f"{site.url}{path}", timeout_s=40) == 200
        assert (
            await context.page.evaluate("() => document.querySelector('p').textContent") == "quiet"
        )
        await browser.close_context(context.id)


async def test_a_page_that_asks_whether_to_leave_is_left(
    browser: ChromiumBrowser, site: Site
) -> None:
    context = await opened(browser, site)
    await context.page.click("#count")
    await context.page.evaluate(
        "() => { addEventListener('beforeunload', (e) => e.preventDefault()) }"
    )
    with trio.fail_after(40):
        await context.page.goto(f"{site.url}/?again", timeout_s=40)
    assert context.page.url == f"{site.url}/?again"
    assert context.dialogs_dismissed == 1


async def test_nothing_is_downloaded(
    browser: ChromiumBrowser, shared_chromium: Chromium, site: Site
) -> None:
    attachment = ("Content-Disposition", 'attachment; filename="statement.pdf"')
    site.pages["/file"] = page("x" * 10_000, attachment)
    context = await opened(browser, site)
    await context.page.click("#file")
    await site.wait_asked("/file")
    await context.page.evaluate("() => 1")
    found = await trio.to_thread.run_sync(
        lambda: list(shared_chromium.profile_dir.rglob("*statement*"))
    )
    assert found == []


async def test_no_permission_is_granted_and_nothing_waits_for_an_answer(
    browser: ChromiumBrowser, site: Site
) -> None:
    context = await opened(browser, site)
    with trio.fail_after(40):
        answer = await context.page.evaluate("() => Notification.requestPermission()")
    assert answer == "denied"


async def test_the_default_context_is_not_listed(browser: ChromiumBrowser) -> None:
    assert await browser.context_ids() == ()
