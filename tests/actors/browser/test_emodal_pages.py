"""The adapter on pages that the demo portal does not show, but the real one may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors.browser.driver.browser import ChromiumBrowser
from actors.browser.errors import (
    AuthenticationFailed,
    BrowserSessionError,
    CaptchaFailed,
    OperationFailed,
    PortalUnreachable,
)
from actors.browser.page import Page
from actors.browser.portals import Credentials, emodal
from actors.browser.portals.emodal import ContainerNotFound, Emodal, GetBookingNumber
from tests.actors.browser.site import Site, page

CREDENTIALS = Credentials(username="anna", password="pass word", captcha_api_key="some-key")
USER = '<button class="mat-button user-button">Anna</button>'


class Solver:
    """A captcha solver that notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def solve(self, *, site_key: str, page_url: str) -> str:
        self.asked.append(site_key)
        return "the-token"


def form(extra: str = "", *, refusal: str = "", button: str = "") -> Any:
    return page(f"""<!doctype html><form action="/done">
        <div class="validation-summary-errors">{refusal}</div>
        <input name="Username"><input name="Password" type="password">{extra}
        <button type="submit" {button}>Login</button></form>""")


@pytest.fixture
async def tab(browser: ChromiumBrowser) -> AsyncIterator[Page]:
    context = await browser.open_context()
    yield context.page
    await browser.close_context(context.id)


@pytest.fixture
def portal(site: Site) -> Emodal:
    site.pages["/containers"] = page(USER)
    site.pages["/done"] = page(USER)
    return Emodal(site.url)


# -- login ----------------------------------------------------------------------------------------


async def test_a_form_without_a_captcha_costs_none(portal: Emodal, site: Site, tab: Page) -> None:
    site.pages["/login"] = form()
    solver = Solver()
    await portal.login(tab, CREDENTIALS, solver)
    assert solver.asked == []
    assert "/done?Username=anna&Password=pass+word" in site.requests


async def test_after_the_login_it_goes_to_its_resting_page(
    portal: Emodal, site: Site, tab: Page
) -> None:
    site.pages["/login"] = form()
    await portal.login(tab, CREDENTIALS, Solver())
    assert site.requests[-1] == "/containers"
    assert tab.url == portal.home_url


async def test_a_widget_drawn_by_script_is_found_by_its_frame_and_told_by_its_own_callback(
    portal: Emodal, site: Site, tab: Page
) -> None:
    site.pages["/recaptcha/api2/anchor"] = page("the box")
    site.pages["/login"] = form(
        """<div id="host"></div><script>
        setTimeout(() => {
          const host = document.getElementById('host');
          host.innerHTML = '<iframe src="/recaptcha/api2/anchor?ar=1&k=6Ldrawn"></iframe>' +
            '<textarea name="g-recaptcha-response" hidden></textarea>';
          const callback = () => { document.querySelector('button').disabled = false; };
          window.___grecaptcha_cfg = {clients: {0: {A: {B: {sitekey: '6Ldrawn', callback}}}}};
        }, 300);
        </script>""",
        button="disabled",
    )
    solver = Solver()
    await portal.login(tab, CREDENTIALS, solver)
    assert solver.asked == ["6Ldrawn"]
    assert any("g-recaptcha-response=the-token" in path for path in site.requests)


async def test_a_token_is_sent_even_when_the_widgets_own_field_is_missing(
    portal: Emodal, site: Site, tab: Page
) -> None:
    site.pages["/login"] = form('<div class="g-recaptcha" data-sitekey="6Lalone"></div>')
    await portal.login(tab, CREDENTIALS, Solver())
    assert any("g-recaptcha-response=the-token" in path for path in site.requests)


async def test_a_button_that_stays_shut_is_a_failed_captcha(
    portal: Emodal, site: Site, tab: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.browser.driver.page._ACTION_TIMEOUT_S", 0.5)
    site.pages["/login"] = form(
        '<div class="g-recaptcha" data-sitekey="6Lalone"></div>', button="disabled"
    )
    with pytest.raises(CaptchaFailed, match="did not take the token"):
        await portal.login(tab, CREDENTIALS, Solver())


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("<ul><li>Invalid login attempt.</li></ul>", AuthenticationFailed("Invalid credentials")),
        ("Your account is locked.", AuthenticationFailed("Your account is locked.")),
        ("Are you a Robot?", CaptchaFailed("the portal says: Are you a Robot?")),
        ("Try later", PortalUnreachable("it shows its login form again: Try later")),
        ("", PortalUnreachable("it shows its login form again: without a reason")),
    ],
)
async def test_what_the_form_says_decides_what_went_wrong(
    portal: Emodal, site: Site, tab: Page, reason: str, expected: BrowserSessionError
) -> None:
    site.pages["/login"] = form()
    site.pages["/done"] = form(refusal=reason)
    with pytest.raises(type(expected)) as caught:
        await portal.login(tab, CREDENTIALS, Solver())
    assert caught.value.details == expected.details


async def test_a_refusal_shown_without_leaving_the_page_is_seen(
    portal: Emodal, site: Site, tab: Page
) -> None:
    site.pages["/login"] = form("""<script>document.querySelector('form').onsubmit = (event) => {
        event.preventDefault();
        document.querySelector('.validation-summary-errors').textContent = 'Invalid password';
      };</script>""")
    with pytest.raises(AuthenticationFailed):
        await portal.login(tab, CREDENTIALS, Solver())


async def test_a_portal_that_shuts_us_out_is_unreachable(
    portal: Emodal, site: Site, tab: Page
) -> None:
    site.pages["/login"] = page("<h1>403 Forbidden</h1>", status=403)
    with pytest.raises(PortalUnreachable, match="it answered 403"):
        await portal.login(tab, CREDENTIALS, Solver())


async def test_a_login_that_is_answered_with_an_error_page_is_unreachable(
    portal: Emodal, site: Site, tab: Page
) -> None:
    site.pages["/login"] = form()
    site.pages["/done"] = page("<h1>Bad Gateway</h1>", status=502)
    with pytest.raises(PortalUnreachable, match="it answered 502"):
        await portal.login(tab, CREDENTIALS, Solver())


async def test_a_page_that_is_not_the_portals_is_unreachable(
    portal: Emodal, site: Site, tab: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emodal, "_PAGE_TIMEOUT_S", 0.5)
    monkeypatch.setattr(Emodal._look, "__kwdefaults__", {"timeout_s": 0.5})
    site.pages["/login"] = page("<h1>Welcome to the airport's network</h1>")
    with pytest.raises(PortalUnreachable, match="the page is not the portal's"):
        await portal.login(tab, CREDENTIALS, Solver())


async def test_the_users_button_on_another_site_is_no_login(
    portal: Emodal, site: Site, tab: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    await tab.goto(site.url.replace("127.0.0.1", "localhost") + "/containers", timeout_s=40)
    assert not await portal.is_logged_in(tab)
    await tab.goto(site.url + "/containers", timeout_s=40)
    assert await portal.is_logged_in(tab)


# -- the table ------------------------------------------------------------------------------------


def table(rows: str, script: str = "", *, head: str = "") -> Any:
    return page(f"<!doctype html>{USER}{head}{rows}<script>{script}</script>")


async def booking(portal: Emodal, tab: Page, container_id: str = "ABCU1234567") -> str | None:
    request = GetBookingNumber(container_id=container_id)
    return (await portal.get_booking_number(tab, request)).booking_number


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up sooner than a real portal deserves."""
    pace = emodal._PACE | {"quietMs": 300, "emptyMs": 600, "stallMs": 900, "againMs": 200}
    monkeypatch.setattr(emodal, "_PACE", pace)


async def test_a_table_of_mat_rows_in_a_page_that_scrolls_as_a_whole(
    portal: Emodal, site: Site, tab: Page
) -> None:
    site.pages["/containers"] = table(
        "<mat-table></mat-table>",
        """
        const table = document.querySelector('mat-table');
        let count = 0;
        const more = () => {
          if (count >= 60) return;
          for (let n = 0; n < 20; n += 1, count += 1) {
            const row = document.createElement('mat-row');
            row.style.cssText = 'display:block;height:60px';
            const id = count === 55 ? 'ABCU1234567L' : 'ABCU' + (2000000 + count);
            row.innerHTML = `<mat-cell><mat-icon>star</mat-icon>
              <mat-icon>keyboard_arrow_right</mat-icon></mat-cell><mat-cell> ${id} </mat-cell>`;
            row.children[0].children[1].onclick = () => {
              const box = document.createElement('app-details');
              box.innerHTML = '<div><div class="field-label">Booking No:</div>' +
                '<div class="field-data">BK' + count + '</div></div>';
              row.append(box);
            };
            table.append(row);
          }
        };
        more();
        document.addEventListener('scroll', more);
        """,
    )
    assert await booking(portal, tab) == "BK60"


async def test_an_application_that_takes_its_time_is_waited_for(
    portal: Emodal, site: Site, tab: Page
) -> None:
    row = (
        "<table><tbody><tr class=element-row><td>ABCU1234567</td></tr>"
        "<tr class=detail-row><td><div class=field-label>Booking #</div>"
        "<div class=field-data>LATE1</div></td></tr></tbody></table>"
    )
    site.pages["/containers"] = table(
        "<app-root></app-root>",
        f"setTimeout(() => {{ document.querySelector('app-root').innerHTML = '{row}'; }}, 2500)",
    )
    assert await booking(portal, tab) == "LATE1"


async def test_a_click_that_came_too_soon_is_repeated(
    portal: Emodal, site: Site, tab: Page, hasty: None
) -> None:
    site.pages["/containers"] = table(
        "<table><tbody><tr><td>ABCU1234567</td></tr></tbody></table>",
        """
        const row = document.querySelector('tr');
        setTimeout(() => row.onclick = () => row.insertAdjacentHTML('afterend',
          '<tr class="detail"><td><div class="field-label">Booking #</div>' +
          '<div class="field-data">AGAIN1</div></td></tr>'), 150);
        """,
    )
    assert await booking(portal, tab) == "AGAIN1"


async def test_a_table_without_a_row_is_given_up_after_a_while(
    portal: Emodal, site: Site, tab: Page, hasty: None
) -> None:
    site.pages["/containers"] = table("<p>You have no containers.</p>")
    with pytest.raises(ContainerNotFound):
        await booking(portal, tab)


async def test_a_table_that_loads_for_ever_fails_the_operation(
    portal: Emodal, site: Site, tab: Page, hasty: None
) -> None:
    site.pages["/containers"] = table("<mat-spinner style='display:block'>o</mat-spinner>")
    with pytest.raises(OperationFailed, match="stopped loading"):
        await booking(portal, tab)


async def test_a_row_that_does_not_expand_fails_the_operation(
    portal: Emodal, site: Site, tab: Page, hasty: None
) -> None:
    site.pages["/containers"] = table("<table><tbody><tr><td>ABCU1234567</td></tr></table>")
    with pytest.raises(OperationFailed, match="stopped loading"):
        await booking(portal, tab)


async def test_a_number_that_only_contains_the_one_asked_for_is_another_container(
    portal: Emodal, site: Site, tab: Page, hasty: None
) -> None:
    site.pages["/containers"] = table(
        "<table><tbody><tr><td>ABCU12345678</td></tr><tr><td>XABCU1234567</td></tr></table>"
    )
    with pytest.raises(ContainerNotFound):
        await booking(portal, tab)
