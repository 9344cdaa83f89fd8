"""The connection to Chromium: how it is lost, left, and taken up again."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
import trio_asyncio
from trio.testing import MockClock

from actors.browser import processes
from actors.browser.chromium import Chromium
from actors.browser.driver import connect
from actors.browser.driver.browser import ChromiumBrowser
from actors.browser.page import BrowserGone
from tests.actors.browser.relay import relaying
from tests.actors.browser.site import Site, page

NEVER = "() => new Promise(() => {})"


def sockets() -> set[str]:
    """This process's open sockets."""
    links = []
    for each in Path("/proc/self/fd").iterdir():
        try:
            links.append(os.readlink(each))
        except OSError:
            continue
    return {each for each in links if each.startswith("socket:")}


async def gone(*pending: Callable[[], Awaitable[Any]], after: Callable[[], None]) -> None:
    """Run all that is pending, then `after`, and see each of them end with `BrowserGone`."""

    async def expect(call: Callable[[], Awaitable[Any]]) -> None:
        with pytest.raises(BrowserGone):
            await call()

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for each in pending:
                nursery.start_soon(expect, each)
            await trio.testing.wait_all_tasks_blocked(0.05)
            after()


async def test_no_task_and_no_socket_is_left_of_a_connection(
    asyncio_loop: trio_asyncio.TrioEventLoop, shared_chromium: Chromium
) -> None:
    before = sockets()
    async with connect(shared_chromium.endpoint) as browser:
        context = await browser.open_context()
        await context.page.evaluate("() => 1")
        await browser.close_context(context.id)
    assert sockets() == before
    assert asyncio.all_tasks(asyncio_loop) == set()


async def test_nothing_is_left_of_a_connection_that_was_cancelled_while_opening(
    asyncio_loop: trio_asyncio.TrioEventLoop, shared_chromium: Chromium
) -> None:
    before = sockets()
    for steps in range(12):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_hold, shared_chromium.endpoint)
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                scope.cancel()
    assert sockets() == before
    assert asyncio.all_tasks(asyncio_loop) == set()


async def _hold(endpoint: str) -> None:
    async with connect(endpoint):
        await trio.sleep_forever()


async def test_an_error_in_the_body_leaves_as_it_was_raised(
    asyncio_loop: trio_asyncio.TrioEventLoop, shared_chromium: Chromium
) -> None:
    async def fail() -> None:
        async with connect(shared_chromium.endpoint):
            raise LookupError("from the body")

    with pytest.raises(LookupError, match="from the body"):
        await fail()


async def test_contexts_outlive_their_connection_and_can_be_adopted(
    browser: ChromiumBrowser, shared_chromium: Chromium, site: Site
) -> None:
    site.pages["/"] = page("<title>Home</title>")
    async with connect(shared_chromium.endpoint) as earlier:
        context = await earlier.open_context()
        await context.page.goto(f"{site.url}/", timeout_s=40)
        await context.page.evaluate("() => { window.kept = 42; sessionStorage.kept = 'yes'; }")
    assert context.id in await browser.context_ids()

    adopted = await browser.adopt_context(context.id)

    assert adopted.id == context.id
    assert adopted.page.url == f"{site.url}/"
    script = "() => [window.kept, sessionStorage.kept]"
    assert await adopted.page.evaluate(script) == [42, "yes"]


async def test_adopting_what_is_not_there_raises_browser_gone(browser: ChromiumBrowser) -> None:
    with pytest.raises(BrowserGone, match="no page"):
        await browser.adopt_context("0" * 32)


async def test_adopting_a_context_whose_page_is_gone_raises_browser_gone(
    browser: ChromiumBrowser, shared_chromium: Chromium
) -> None:
    context = await browser.open_context()
    async with connect(shared_chromium.endpoint) as another:
        target = {"targetId": context._tab.frame_id}
        await another._wire.browser.call("Target.closeTarget", target)
        with trio.fail_after(40):
            while not context.page.journal:
                await trio.sleep(0.01)
        with pytest.raises(BrowserGone, match="no page"):
            await another.adopt_context(context.id)


async def test_adopting_a_page_that_is_stuck_replaces_it(
    browser: ChromiumBrowser, shared_chromium: Chromium, mock_clock: MockClock
) -> None:
    mock_clock.rate = 1
    async with connect(shared_chromium.endpoint) as earlier:
        context = await earlier.open_context()
        await context.page.evaluate("() => { setTimeout(() => { for (;;); }) }")
    mock_clock.rate = 10
    adopted = await browser.adopt_context(context.id)
    mock_clock.rate = 1
    assert await adopted.page.evaluate("() => 1 + 1") == 2
    assert "the tab was replaced" in adopted.page.journal[-2]
    assert adopted.popups_closed == 0


# While a page is loaded again there is a document that may not look at its storage.
KEPT = "() => { try { return sessionStorage.kept } catch { return null } }"


async def test_adopting_a_page_on_which_a_dialog_opened_meanwhile_loads_it_again(
    browser: ChromiumBrowser, shared_chromium: Chromium, site: Site, mock_clock: MockClock
) -> None:
    site.pages["/"] = page("<p>home")
    site.pages["/asked"] = page("")
    mock_clock.rate = 1
    async with connect(shared_chromium.endpoint) as earlier:
        context = await earlier.open_context()
        await context.page.goto(f"{site.url}/", timeout_s=40)
        await context.page.evaluate("() => { sessionStorage.kept = 'yes' }")
        nag = "() => { setTimeout(() => { fetch('/asked'); alert('nag'); }, 99) }"
        await context.page.evaluate(nag)
    await site.wait_asked("/asked")
    mock_clock.rate = 2
    adopted = await browser.adopt_context(context.id)
    mock_clock.rate = 1
    assert await adopted.page.wait_until(KEPT, timeout_s=40, what="it") == "yes"


async def test_a_page_whose_renderer_ends_while_it_is_loaded_again_is_loaded_once_more(
    chromium: Chromium, site: Site, mock_clock: MockClock
) -> None:
    site.pages["/"] = page("<p>home")
    mock_clock.rate = 1
    async with connect(chromium.endpoint) as earlier:
        context = await earlier.open_context()
        await context.page.goto(f"{site.url}/", timeout_s=40)
        await context.page.evaluate("() => { sessionStorage.kept = 'yes' }")
        found = await earlier._wire.browser.call("SystemInfo.getProcessInfo")
    renderers = [each["id"] for each in found["processInfo"] if each["type"] == "renderer"]
    for each in renderers:
        os.kill(each, signal.SIGSTOP)
    async with connect(chromium.endpoint) as browser, trio.open_nursery() as nursery:

        async def end_them() -> None:
            while not (there := browser._contexts.get(context.id)) or not there.page.journal:
                await trio.sleep(0.01)
            await trio.sleep(1)  # it is being loaded again
            for each in renderers:
                os.kill(each, signal.SIGKILL)

        nursery.start_soon(end_them)
        adopted = await browser.adopt_context(context.id)
        assert [step.partition(" s ")[2] for step in adopted.page.journal] == [
            "the tab did not answer",
            "the page crashed",
            "the tab did not answer",
        ]
        assert await adopted.page.wait_until(KEPT, timeout_s=40, what="it") == "yes"


async def test_where_nothing_listens_connecting_raises_browser_gone(
    asyncio_loop: trio_asyncio.TrioEventLoop,
) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    with pytest.raises(BrowserGone, match="cannot be reached"):
        await _hold(f"ws://127.0.0.1:{port}/devtools/browser/x")
    assert asyncio.all_tasks(asyncio_loop) == set()


async def test_where_nobody_answers_connecting_raises_browser_gone_in_time(
    asyncio_loop: trio_asyncio.TrioEventLoop, autojump_clock: MockClock
) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    with pytest.raises(BrowserGone, match="cannot be reached"):
        await _hold(f"ws://127.0.0.1:{port}/devtools/browser/x")
    assert trio.current_time() < 10
    await listeners[0].aclose()


async def test_a_cut_socket_ends_at_once_all_that_is_pending_and_all_that_comes_later(
    asyncio_loop: trio_asyncio.TrioEventLoop, shared_chromium: Chromium
) -> None:
    async with relaying(shared_chromium.endpoint) as relay, connect(relay.endpoint) as browser:
        context = await browser.open_context()
        another = await browser.open_context()
        await gone(
            lambda: context.page.evaluate(NEVER),
            lambda: another.page.wait_until("() => false", timeout_s=60, what="never"),
            after=relay.cut,
        )
        with trio.fail_after(1):
            await browser.wait_gone()
        for call in (browser.ping, browser.open_context, context.page.html, context.save):
            with pytest.raises(BrowserGone):
                await call()
    async with connect(shared_chromium.endpoint) as browser:
        await browser.close_context(context.id)
        await browser.close_context(another.id)


async def test_after_a_cut_socket_the_page_is_found_with_its_state(
    browser: ChromiumBrowser, shared_chromium: Chromium, site: Site
) -> None:
    site.pages["/"] = page("<input id=name>", ("Set-Cookie", "login=1; HttpOnly"))
    async with relaying(shared_chromium.endpoint) as relay, connect(relay.endpoint) as cut:
        context = await cut.open_context()
        await context.page.goto(f"{site.url}/", timeout_s=40)
        await context.page.fill("#name", "typed before the cut")
        await gone(lambda: context.page.evaluate(NEVER), after=relay.cut)
    adopted = await browser.adopt_context(context.id)
    typed = await adopted.page.evaluate("() => document.querySelector('#name').value")
    assert typed == "typed before the cut"
    await adopted.page.goto(f"{site.url}/", timeout_s=40)
    assert site.cookies[-1] == "login=1"


async def test_a_killed_chromium_ends_at_once_all_that_is_pending(chromium: Chromium) -> None:
    async with connect(chromium.endpoint) as browser:
        context = await browser.open_context()
        await gone(
            lambda: context.page.evaluate(NEVER),
            lambda: context.page.wait_for("#never", timeout_s=60),
            after=chromium.kill,
        )
        with trio.fail_after(1):
            await browser.wait_gone()


async def test_a_frozen_chromium_is_noticed_by_a_ping_and_then_is_gone_for_all(
    chromium: Chromium, mock_clock: MockClock
) -> None:
    mock_clock.rate = 1
    async with connect(chromium.endpoint) as browser:
        context = await browser.open_context()
        mock_clock.rate = 20
        freeze(chromium)
        await gone(
            lambda: context.page.evaluate(NEVER),
            lambda: context.page.goto("about:blank", timeout_s=600),
            browser.ping,
            after=lambda: None,
        )
        await browser.wait_gone()
        mock_clock.rate = 1


async def test_a_frozen_chromium_is_noticed_by_the_deadline_of_a_call(
    chromium: Chromium, mock_clock: MockClock
) -> None:
    mock_clock.rate = 1
    async with connect(chromium.endpoint) as browser:
        context = await browser.open_context()
        mock_clock.rate = 20
        freeze(chromium)
        with pytest.raises(BrowserGone, match="does not answer"):
            await context.page.evaluate("() => 1")
        mock_clock.rate = 1


def freeze(chromium: Chromium) -> None:
    for each in processes.find(str(chromium.profile_dir), {chromium.pid}):
        os.kill(each.pid, signal.SIGSTOP)


async def test_a_frozen_renderer_is_told_from_a_frozen_browser(
    browser: ChromiumBrowser, mock_clock: MockClock
) -> None:
    mock_clock.rate = 1
    context = await browser.open_context()
    mock_clock.rate = 20
    with pytest.raises(Exception, match="did not come within 10 s"):
        await context.page.evaluate(NEVER)
    await browser.ping()


async def test_a_cancelled_call_disturbs_nobody_else(browser: ChromiumBrowser) -> None:
    busy = await browser.open_context()
    idle = await browser.open_context()
    slow = "() => new Promise((done) => setTimeout(done, 30))"
    for _ in range(5):
        with trio.move_on_after(0.01):
            await busy.page.evaluate(slow)
        assert await idle.page.evaluate("() => 1 + 1") == 2
    # The late answers meet nobody, and the connection goes on.
    await busy.page.evaluate(slow)
    assert await busy.page.evaluate("() => 2 + 2") == 4


async def test_whatever_is_cancelled_whenever_the_page_stays_usable(
    browser: ChromiumBrowser, site: Site
) -> None:
    site.pages["/"] = page("<input><button onclick='window.open(`/nag`)'>go</button>")
    context = await browser.open_context()
    tab = context.page
    await tab.goto(f"{site.url}/", timeout_s=40)
    state = await context.save()
    calls: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: tab.goto(f"{site.url}/", timeout_s=40),
        lambda: tab.click("button"),
        lambda: tab.fill("input", "text"),
        tab.screenshot,
        lambda: tab.wait_until("() => window.never", timeout_s=40, what="never"),
        context.save,
        lambda: context.restore(state),
    )
    for turn in range(70):
        with trio.move_on_after(turn * 7 % 23 / 1000):
            await calls[turn % len(calls)]()
    assert await tab.goto(f"{site.url}/", timeout_s=40) == 200
    await tab.fill("input", "after it all")
    typed = await tab.evaluate("() => document.querySelector('input').value")
    assert typed == "after it all"


async def test_a_cancelled_open_leaves_no_context(browser: ChromiumBrowser) -> None:
    for after_s in (0.0, 0.002, 0.01, 0.03):
        with trio.move_on_after(after_s):
            await browser.open_context()
    with trio.fail_after(40):
        while await browser.context_ids():
            await trio.sleep(0.01)


async def test_what_asyncio_complains_of_is_logged_and_ends_nothing(
    browser: ChromiumBrowser, asyncio_loop: trio_asyncio.TrioEventLoop
) -> None:
    with structlog.testing.capture_logs() as logs:
        secret = RuntimeError("password=harbor-1")
        asyncio_loop.call_exception_handler({"message": "lost", "exception": secret})
    assert logs == [
        {"event": "asyncio_error", "log_level": "warning", "message": "lost"}
        | {"error": "RuntimeError"}
    ]
    await browser.ping()


async def test_no_command_is_written_to_the_log(
    browser: ChromiumBrowser, caplog: pytest.LogCaptureFixture
) -> None:
    context = await browser.open_context()
    with caplog.at_level(logging.DEBUG):
        await context.page.evaluate("(secret) => secret.length", "harbor-1")
    assert caplog.text == ""
