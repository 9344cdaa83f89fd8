"""Filling in and clicking, as the page and its frameworks see it."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from actors.browser.driver.browser import ChromiumBrowser
from actors.browser.page import PageTimeout
from tests.actors.browser.site import Site, page
from tests.actors.browser.test_driver_page import TEXT, shown


async def test_the_first_visible_element_is_meant(browser: ChromiumBrowser, site: Site) -> None:
    html = "<input class=a style='display:none'><input class=a id=second>"
    tab = await shown(browser, site, html)
    await tab.fill(".a", "x")
    assert await tab.evaluate("() => document.querySelector('#second').value") == "x"


FORM = """
<input id=text value=before><textarea id=area></textarea><div id=rich contenteditable>old</div>
<select id=select><option>one<option>two</select>
<script>
  window.events = [];
  for (const type of ['focus', 'input', 'change'])
    document.addEventListener(type, (e) => events.push([type, e.target.id, e.target.value]), true);
</script>"""


@pytest.mark.parametrize("field", ["text", "area", "select"])
async def test_fill_replaces_the_text_and_tells_the_page_as_typing_would(
    browser: ChromiumBrowser, site: Site, field: str
) -> None:
    tab = await shown(browser, site, FORM)
    await tab.fill(f"#{field}", "two")
    events = await tab.evaluate("() => events")
    assert [each[:2] for each in events] == [["focus", field], ["input", field], ["change", field]]
    assert [each[2] for each in events[1:]] == ["two", "two"]


async def test_fill_writes_into_what_is_editable(browser: ChromiumBrowser, site: Site) -> None:
    tab = await shown(browser, site, FORM)
    await tab.fill("#rich", "new")
    assert await tab.evaluate(TEXT, "#rich") == "new"


async def test_fill_reaches_a_framework_that_hides_the_value_behind_its_own_property(
    browser: ChromiumBrowser, site: Site
) -> None:
    html = """<input id=text><script>
      const input = document.querySelector('input');
      const native = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value');
      let tracked = '';
      Object.defineProperty(input, 'value', {
        get() { return native.get.call(this); },
        set(value) { tracked = value; native.set.call(this, value); },
      });
      input.addEventListener('input', () => { window.noticed = tracked !== input.value; });
    </script>"""
    tab = await shown(browser, site, html)
    await tab.fill("#text", "typed")
    assert await tab.evaluate("() => window.noticed") is True


async def test_fill_waits_for_an_input_that_is_disabled_at_first(
    browser: ChromiumBrowser, site: Site
) -> None:
    enable = "setTimeout(() => { document.querySelector('input').disabled = false }, 50)"
    html = f"<input disabled><script>{enable}</script>"
    tab = await shown(browser, site, html)
    await tab.fill("input", "now")
    assert await tab.evaluate("() => document.querySelector('input').value") == "now"


async def test_fill_and_click_say_what_they_waited_for(
    browser: ChromiumBrowser, mock_clock: MockClock
) -> None:
    mock_clock.rate = 1
    tab = (await browser.open_context()).page
    mock_clock.rate = 20
    with pytest.raises(PageTimeout, match="#user to be filled did not come within 10 s"):
        await tab.fill("#user", "harbor-1")
    with pytest.raises(PageTimeout, match="#go to be clicked did not come within 10 s"):
        await tab.click("#go")
    mock_clock.rate = 1


BUTTON = "<button onclick='this.textContent = `clicked ${event.isTrusted}`'>go</button>"


async def test_click_sends_a_real_click(browser: ChromiumBrowser, site: Site) -> None:
    tab = await shown(browser, site, BUTTON)
    await tab.click("button")
    assert await tab.evaluate(TEXT, "button") == "clicked true"


async def test_click_scrolls_to_what_is_out_of_view(browser: ChromiumBrowser, site: Site) -> None:
    space = "<div style='height:5000px;width:4000px'></div>"
    tab = await shown(
        browser, site, f"{space}<div style='margin-left:3000px'>{BUTTON}</div>{space}"
    )
    await tab.click("button")
    assert await tab.evaluate(TEXT, "button") == "clicked true"


async def test_click_waits_until_nothing_covers_the_element(
    browser: ChromiumBrowser, site: Site
) -> None:
    veil = "<div id=veil style='position:fixed;inset:0;background:#0008'></div>"
    gone = "<script>setTimeout(() => document.querySelector('#veil').remove(), 80)</script>"
    tab = await shown(browser, site, BUTTON + veil + gone)
    await tab.click("button")
    assert await tab.evaluate(TEXT, "button") == "clicked true"


async def test_click_waits_until_the_element_rests(browser: ChromiumBrowser, site: Site) -> None:
    style = """<style>button { position: absolute; animation: move .25s linear }
      @keyframes move { from { left: 900px; top: 500px } to { left: 0; top: 0 } }</style>"""
    tab = await shown(browser, site, style + BUTTON)
    await tab.click("button")
    assert await tab.evaluate(TEXT, "button") == "clicked true"


async def test_click_on_a_link_opens_it(browser: ChromiumBrowser, site: Site) -> None:
    site.pages["/next"] = page("<p id=next>")
    tab = await shown(browser, site, "<p>many words before <a href=/next>the link</a>")
    await tab.click("a")
    await tab.wait_for("body", timeout_s=40)
    await tab.wait_until("() => document.querySelector('#next')", timeout_s=40, what="next")
    assert tab.url == f"{site.url}/next"


async def test_click_on_a_checkbox_hidden_under_its_label_reaches_it(
    browser: ChromiumBrowser, site: Site
) -> None:
    cover = "<span style='position:absolute;inset:0;width:80px;height:40px'></span>"
    html = f"<label style='position:relative'><input type=checkbox>{cover}</label>"
    tab = await shown(browser, site, html)
    await tab.click("input")
    assert await tab.evaluate("() => document.querySelector('input').checked") is True
