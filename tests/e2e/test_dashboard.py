"""The dashboard in a real Chromium: by mouse, by keyboard alone, live, offline, without scripts."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from actors.partner import PartnerSettings
from tests.api.dashboard.house import ADA, PARTNER, Dash, dashing
from tests.api.harness import server
from tests.e2e.browsing import Browsing, browsing
from tests.e2e.test_chat_page import free_port

RETURN_URL = "https://yourapp.example/callback"
DIALOG = "() => document.querySelector('dialog[open]')"
PAGES = (
    "/dashboard",
    "/dashboard/sessions",
    "/dashboard/sessions/new",
    "/dashboard/keys",
    "/dashboard/keys/new",
    "/dashboard/webhooks",
    "/dashboard/webhooks/new",
    "/dashboard/usage",
    "/dashboard/audit",
    "/dashboard/profile",
    "/dashboard/nowhere",
)
NASTY = (
    "<script>document.title = 'taken'</script><img src=x onerror=\"document.title='taken'\">"
    "\N{RIGHT-TO-LEFT OVERRIDE}\N{ARABIC LETTER AIN}evil'\"&amp;"
)


# Posts wait until they are let go.
HOLD_POSTS = """() => {
  const send = window.fetch;
  window.posts = 0;
  const held = new Promise(done => { window.letGo = done; });
  window.fetch = async (url, how) => {
    if (how?.method !== "POST") return send(url, how);
    window.posts += 1;
    await held;
    return send(url, how);
  };
}"""
# Time goes on as it does, from where it is put: so many seconds are left.
SHIFT_TIME = """() => {
  const now = performance.now.bind(performance);
  let ahead = 0;
  performance.now = () => now() + ahead;
  const it = document.querySelector("count-down");
  window.leave = left => { ahead += (it.left - left) * 1000; };
  window.over = 0;
  it.addEventListener("over", () => { window.over += 1; });
}"""


@asynccontextmanager
async def opened(
    tmp_path: Path, settings: PartnerSettings = PARTNER
) -> AsyncIterator[tuple[Browsing, Dash]]:
    """A dashboard with a browser in front of it, where somebody has signed up."""
    async with dashing(tmp_path, settings) as dash, browsing(dash.url) as tab:
        await tab.open("/dashboard/signup")
        await tab.fill("#email", ADA["email"])
        await tab.fill("#password", ADA["password"])
        await tab.click("main button")
        await tab.see("Make your first session")
        yield tab, dash


async def create_in_dialog(tab: Browsing, **fields: str) -> str:
    """Create a session on the page in hand, and leave the dialog open; return its id."""
    # Before its script has run a click follows the link, which is a page with the same form.
    await tab.until("() => document.querySelector('modal-link:defined')", what="the script")
    await tab.click("modal-link a")
    await tab.until("() => document.querySelector('dialog #return_url')", what="the form")
    for name, text in ({"return_url": RETURN_URL} | fields).items():
        await tab.fill(f"dialog #{name}", text)
    await tab.click("dialog button[type=submit]")
    await tab.until("() => document.querySelector('dialog #session-id')", what="the session")
    return await tab.text("dialog #session-id")


async def fault_of(tab: Browsing) -> list[str]:
    """Return what is wrong with the page as it stands, light, dark, and on a small phone."""
    faults = []
    for width, height, dark in ((1280, 900, False), (1280, 900, True), (320, 568, False)):
        await tab.look_like(width, height, dark=dark)
        how = f"{width} px, {'dark' if dark else 'light'}"
        faults += [f"{how}: {finding}" for finding in await tab.findings()]
        if await tab.scrolls_sideways():
            faults.append(f"{how}: scrolls sideways")
    await tab.look_like(1280, 900)
    return faults


async def test_the_checker_finds_what_is_wrong(tmp_path: Path) -> None:
    async with opened(tmp_path) as (tab, _):
        await tab.page.evaluate(
            "() => { const it = document.createElement('img'); it.src = '/x'; it.width = 2000;"
            " document.querySelector('main').append(it); }"
        )
        faults = await fault_of(tab)
    assert any("image-alt" in fault for fault in faults)
    assert any("sideways" in fault for fault in faults)


async def test_every_page_is_for_everybody_light_dark_and_on_a_small_phone(
    tmp_path: Path,
) -> None:
    async with dashing(tmp_path) as dash, browsing(dash.url) as tab:
        faults: dict[str, list[str]] = {}

        async def look(name: str) -> None:
            if found := await fault_of(tab):
                faults[name] = found

        for path in ("/dashboard/login?expired=1", "/dashboard/signup"):
            await tab.open(path)
            await look(path)
        await tab.fill("#email", ADA["email"])
        await tab.fill("#password", ADA["password"])
        await tab.click("main button")
        await tab.see("Make your first session")
        for path in PAGES:
            await tab.open(path)
            await look(f"{path}, empty")

        await tab.open("/dashboard")
        session_id = await create_in_dialog(tab, user_id="user-123", purpose="Share your address")
        await look("the created session")
        await tab.open("/dashboard/keys/new")
        await tab.click("main button[type=submit]")
        await tab.see("Key generated")
        await look("the generated key")
        await tab.open("/dashboard/webhooks/new")
        await tab.fill("#url", "http://127.0.0.1:9/hook")
        await tab.click("main button[type=submit]")
        await tab.see("Signing secret")
        await look("the signing secret")
        await dash.cancel(session_id)
        await tab.open("/dashboard/webhooks")
        await tab.click("main li a")
        await tab.see("Attempts")
        with trio.fail_after(40):
            while "session.cancelled" not in await tab.text("[aria-labelledby=attempts-name]"):
                await tab.open(tab.page.url)
        await tab.page.evaluate(
            "() => document.querySelectorAll('details').forEach(it => it.open = true)"
        )
        await look("a webhook")
        for path in (*PAGES, f"/dashboard/sessions/{session_id}"):
            await tab.open(path)
            await look(path)
        await tab.open("/dashboard/keys")
        await tab.click("td.act a")
        await tab.until("() => document.querySelector('dialog .danger')")
        await look("the question before revoking")
    assert faults == {}


async def test_two_clicks_make_a_session_and_the_overview_shows_it_without_a_reload(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as (tab, _):
        await tab.page.evaluate("() => { window.sameDocument = true; }")
        session_id = await create_in_dialog(tab, user_id="user-123")
        url = await tab.text("dialog #session-url")
        assert url.startswith(f"{tab.url}/s/")
        for what in (".qr", "count-down", "#session-id", "#session-url"):
            assert await tab.page.evaluate(
                "it => document.querySelector(`dialog ${it}`).checkVisibility()", what
            )
        await tab.until(
            "() => /29:\\d\\d/.test(document.querySelector('dialog count-down').innerText)"
        )
        await tab.click("dialog [data-close]")
        await tab.until(
            "id => document.getElementById(`row-${id}`) && !document.querySelector('dialog')",
            session_id,
            what="the session on the overview",
        )
        assert "Make your first session" not in await tab.text("main")
        figures = await tab.text(".figures")
        assert "Sandbox\n1\nof 100" in figures
        assert await tab.page.evaluate("() => window.sameDocument === true")


async def test_copying_says_that_it_did_and_gives_what_is_shown(tmp_path: Path) -> None:
    async with opened(tmp_path) as (tab, _):
        await tab.grant_clipboard()
        await create_in_dialog(tab)
        url = await tab.text("dialog #session-url")
        await tab.click("copy-button[target=session-url] button")
        await tab.until(
            "() => document.querySelector('copy-button[target=session-url] [role=status]')"
            ".innerText === 'Copied'",
            what="the feedback",
        )
        assert await tab.page.evaluate("() => navigator.clipboard.readText()") == url
        await tab.until(
            "() => document.querySelector('copy-button[target=session-url] [data-label]')"
            ".innerText === 'Copy'"
        )


async def test_a_mistake_keeps_what_was_typed_and_goes_to_the_field(tmp_path: Path) -> None:
    async with opened(tmp_path) as (tab, _):
        await tab.click("modal-link a")
        await tab.until("() => document.querySelector('dialog #return_url')")
        await tab.fill("dialog #return_url", "javascript:alert(1)")
        await tab.fill("dialog #user_id", "user-123")
        await tab.fill("dialog #purpose", "Because")
        await tab.click("dialog button[type=submit]")
        await tab.until("() => document.querySelector('dialog .problem')", what="the problem")
        assert "Must begin with https://" in await tab.text("dialog #return_url-problem")
        typed = await tab.page.evaluate(
            "() => [...document.querySelectorAll('dialog input:not([type=hidden])')]"
            ".map(it => it.value)"
        )
        assert typed == ["javascript:alert(1)", "user-123", "Because"]
        assert (await tab.focused()).startswith("Return URL")


async def test_a_limit_is_said_in_the_dialog(tmp_path: Path) -> None:
    async with opened(tmp_path, PartnerSettings(monthly_quota=0)) as (tab, _):
        await tab.click("modal-link a")
        await tab.until("() => document.querySelector('dialog #return_url')")
        await tab.fill("dialog #return_url", RETURN_URL)
        await tab.click("dialog button[type=submit]")
        await tab.until("() => document.querySelector('dialog [role=alert]')", what="the limit")
        assert "Usage quota exceeded" in await tab.text("dialog [role=alert]")
        kept = await tab.page.evaluate("() => document.querySelector('dialog #return_url').value")
        assert kept == RETURN_URL


async def test_without_a_line_the_dialog_says_so_and_the_next_try_goes_through(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as (tab, _):
        await tab.click("modal-link a")
        await tab.until("() => document.querySelector('dialog #return_url')")
        await tab.fill("dialog #return_url", RETURN_URL)
        await tab.offline()
        await tab.click("dialog button[type=submit]")
        await tab.see("The server cannot be reached")
        await tab.offline(is_offline=False)
        await tab.click("dialog button[type=submit]")
        await tab.until("() => document.querySelector('dialog #session-id')", what="the session")


async def test_the_dialog_by_keyboard_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as (tab, _):
        await tab.open("/dashboard")
        await tab.tab_to("Create Session")
        await tab.press("Enter")
        await tab.until("() => document.activeElement.id === 'return_url'", what="the first field")
        order = [await tab.focused()]
        for _ in range(7):
            await tab.press("Tab")
            order.append(await tab.focused())
        assert [one.replace(" optional", "") for one in order[:7]] == [
            "Return URL",
            "User ID",
            "Environment",
            "Flow",
            "Purpose",
            "Create Session",
            "Cancel",
        ]
        inside = "() => document.querySelector('dialog').contains(document.activeElement)"
        assert order[7] == "" or await tab.page.evaluate(inside), "the page behind is out of reach"

        await tab.press("Escape")
        await tab.until("() => !document.querySelector('dialog')", what="the dialog closed")
        assert await tab.focused() == "Create Session"

        await tab.press("Enter")
        await tab.until("() => document.activeElement.id === 'return_url'")
        await tab.type(RETURN_URL)
        await tab.press("Enter")
        await tab.until("() => document.querySelector('dialog #session-id')", what="the session")
        assert await tab.focused() == "Session created"
        await tab.press("Escape")
        await tab.until("() => !document.querySelector('dialog')")
        assert await tab.focused() == "Create Session"


async def test_the_first_tab_skips_to_the_content_and_the_menu_opens_by_key(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as (tab, _):
        await tab.look_like(320, 568)
        await tab.open("/dashboard/usage")
        await tab.press("Tab")
        assert await tab.focused() == "Skip to content"
        await tab.press("Enter")
        await tab.until("() => document.activeElement.id === 'main'", what="the content")
        await tab.open("/dashboard/usage")
        await tab.tab_to("Menu")
        await tab.press("Enter")
        await tab.press("Tab")
        assert await tab.focused() == "Overview"
        assert not await tab.scrolls_sideways()
        await tab.press("Escape")
        assert await tab.focused() == "Menu"


async def test_what_happens_to_a_session_shows_on_the_pages_that_are_open(tmp_path: Path) -> None:
    async with opened(tmp_path) as (tab, dash):
        await tab.until("() => document.querySelector('live-stream').dataset.state === 'live'")
        session_id = await dash.create(user_id="from-the-api")
        await tab.until(
            "id => document.getElementById(`row-${id}`)", session_id, what="the new session"
        )
        await dash.cancel(session_id)
        await tab.until(
            "id => document.getElementById(`row-${id}`).closest('tr').innerText"
            ".includes('Cancelled')",
            session_id,
            what="its end",
        )


async def test_a_sessions_own_page_follows_it_to_its_end(tmp_path: Path) -> None:
    async with opened(tmp_path) as (tab, dash):
        session_id = await dash.create()
        await tab.open(f"/dashboard/sessions/{session_id}")
        await tab.until("() => document.querySelector('live-stream').dataset.state === 'live'")
        await dash.cancel(session_id)
        await tab.until(
            "() => document.querySelectorAll('.timeline li').length === 2", what="the end"
        )
        assert "Cancelled" in await tab.text("[data-live-part=heading]")
        assert "Cancel session" not in await tab.text("main")
        await tab.until("() => document.querySelector('live-stream').dataset.state === 'over'")


async def test_without_scripts_everything_can_be_done(tmp_path: Path) -> None:
    async with opened(tmp_path) as (tab, _):
        await tab.without_scripts()
        await tab.visit("/dashboard", "Make your first session")
        await tab.follow("modal-link a")
        await tab.html_with("Return URL")
        await tab.enter("#return_url", RETURN_URL)
        await tab.press("Enter")
        made = await tab.html_with("Session created")
        assert 'class="qr"' in made
        (session_id,) = re.findall(r'href="/dashboard/sessions/([0-9a-f-]{36})"', made)
        assert session_id in await tab.visit("/dashboard", "Newest sessions")

        await tab.visit("/dashboard/keys/new", "Generate key")
        await tab.enter("#name", "Server")
        await tab.press("Enter")
        await tab.html_with("Copy it now")
        await tab.visit("/dashboard/keys", "Last used")
        await tab.follow("td.act a")
        await tab.html_with("Revoke this key?")
        await tab.follow(".danger")
        await tab.html_with("The key is revoked")
        await tab.visit("/dashboard/usage", "Show as a table")
        await tab.follow(".leave button")
        await tab.html_with("New here?")


@pytest.mark.parametrize("text", [NASTY, "long" * 2500], ids=["markup", "10 KB"])
async def test_whatever_somebody_wrote_is_text_and_breaks_nothing(
    tmp_path: Path, text: str
) -> None:
    async with opened(tmp_path) as (tab, dash):
        part = text[:255]
        session_id = await dash.create(user_id=part, more=text, purpose=text[:500])
        await dash.name_everything(text)
        for path in (
            "/dashboard",
            "/dashboard/sessions",
            f"/dashboard/sessions/{session_id}",
            f"/dashboard/sessions/{session_id}/cancel",
            "/dashboard/keys",
            "/dashboard/webhooks",
            "/dashboard/audit",
            "/dashboard/profile",
        ):
            await tab.open(path)
            assert await tab.page.evaluate("() => document.title") != "taken"
            assert (
                await tab.page.evaluate(
                    "() => document.querySelectorAll('script:not([src]), img').length"
                )
                == 0
            )
            for width in (1280, 320):
                await tab.look_like(width, 700)
                assert not await tab.scrolls_sideways(), f"{path} at {width} px"
            assert await tab.spills() == [], path
        await tab.open(f"/dashboard/sessions/{session_id}")
        metadata = json.loads(await tab.text("[data-live-part=metadata] pre"))
        assert metadata["user_id"] == part
        assert metadata["more"] == text


async def test_nothing_is_asked_of_another_host_and_nothing_is_blocked(tmp_path: Path) -> None:
    async with opened(tmp_path) as (tab, dash):
        session_id = await dash.create()
        for path in (*PAGES, f"/dashboard/sessions/{session_id}"):
            await tab.watch_for_violations(path)
            hosts = await tab.page.evaluate(
                "() => [...new Set(performance.getEntriesByType('resource')"
                ".map(it => new URL(it.name).origin))]"
            )
            assert hosts == [tab.url], path
            assert await tab.page.evaluate("() => window.violations ?? []") == [], path


async def test_the_first_paint_does_not_wait_for_scripts(tmp_path: Path) -> None:
    async with opened(tmp_path) as (tab, _):
        await tab.open("/dashboard")
        assert await tab.first_paint_ms() > 0
        blocking = await tab.page.evaluate(
            "() => performance.getEntriesByType('resource')"
            ".filter(it => it.renderBlockingStatus === 'blocking' && !it.name.endsWith('.css'))"
            ".map(it => it.name)"
        )
        assert blocking == []


async def test_a_form_that_is_on_its_way_says_so_and_is_sent_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as (tab, dash):
        await tab.click("modal-link a")
        await tab.until("() => document.querySelector('dialog #return_url')")
        await tab.fill("dialog #return_url", RETURN_URL)
        await tab.page.evaluate(HOLD_POSTS)
        await tab.click("dialog button[type=submit]")
        await tab.until("() => document.querySelector('dialog button[aria-busy=true]')")
        assert await tab.text("dialog > [role=status]") == "Sending"
        await tab.click("dialog button[type=submit]")
        assert await tab.page.evaluate("() => { window.letGo(); return window.posts; }") == 1
        await tab.until("() => document.querySelector('dialog #session-id')", what="the session")
        assert await tab.text("dialog > [role=status]") == ""
        principal = await dash.whose()
        assert len((await dash.partner.hosted.list(principal)).sessions) == 1


async def test_how_long_is_left_is_said_now_and_then_and_the_end_is_told(tmp_path: Path) -> None:
    async with opened(tmp_path) as (tab, dash):
        session_id = await dash.create()
        await tab.open(f"/dashboard/sessions/{session_id}")
        await tab.page.evaluate(SHIFT_TIME)
        await tab.until("() => document.querySelector('live-stream').dataset.state === 'live'")
        said = (
            "text => document.querySelector('count-down [role=status]').textContent.endsWith(text)"
        )
        assert await tab.text("count-down [role=status]") == ""
        for left_s, text in ((590, "10 minutes left"), (25, " seconds left"), (0, "Time is up")):
            await tab.page.evaluate("left => window.leave(left)", left_s)
            await tab.until(said, text, what=text)
        assert await tab.text("count-down [data-left]") == "0:00"
        assert await tab.page.evaluate("() => window.over") == 1
        # Somebody has put it off: it goes on, and says it anew.
        await tab.page.evaluate(
            "() => { const it = document.querySelector('count-down');"
            " it.setAttribute('until', Number(it.getAttribute('until')) + 200); }"
        )
        await tab.until("() => document.querySelector('[data-left]').textContent > '3:'")
        await tab.page.evaluate("left => window.leave(left)", 100)
        await tab.until(said, "2 minutes left", what="2 minutes left")


async def test_pages_that_are_open_go_on_once_a_killed_server_is_back(tmp_path: Path) -> None:
    port = free_port()
    env = {"MOORING_BIND": f"127.0.0.1:{port}"}
    url, live = f"http://127.0.0.1:{port}", "() => document.querySelector('live-stream').dataset"
    async with browsing(url) as tab:
        async with server(tmp_path, env=env) as running:
            await running.wait_ready()
            await tab.open("/dashboard/signup")
            await tab.fill("#email", ADA["email"])
            await tab.fill("#password", ADA["password"])
            await tab.click("main button")
            await tab.see("Make your first session")
            await tab.until(f"{live}.state === 'live'", what="the line")
            await running.stop(signal.SIGKILL)
        await tab.until(f"{live}.state === 'waiting'", what="the line cut")
        assert "Reconnecting" in await tab.text(".heading")
        async with server(tmp_path, env=env) as running:
            await running.wait_ready()
            await tab.until(f"{live}.state === 'live'", what="the line again")
            other = await tab.same_person()
            await other.open("/dashboard")
            session_id = await create_in_dialog(other)
            row = "id => document.getElementById(`row-${id}`)"
            await tab.until(row, session_id, what="the session on the page that was open")
