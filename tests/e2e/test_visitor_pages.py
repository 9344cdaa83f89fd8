"""The visitor's pages in real Chromium: a consent, a movement, a phone that takes over; what axe
says of each page, by keyboard alone, in the dark and at 320 px."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import trio

from tests.actors.partner.hosted.test_receipts import verified
from tests.api.harness import server
from tests.e2e.browsing import Browsing, browsing

PASSWORD = "a long enough password"
PURPOSE = "Opening an account: we need you to agree that your address is shared with our insurer."
ENV = {
    "MOORING_PARTNER__MAX_ACTIVE": "1000",
    "MOORING_PARTNER__RATE_LIMIT_PER_MINUTE": "100000",
    "MOORING_PARTNER__MONTHLY_QUOTA": "1000",
}

# Chromium may keep a colour that was inherited before its scheme was changed from outside; a page
# that is drawn anew has its own, as one that is opened so has.
DRAWN_ANEW = """() => {
  document.body.hidden = true;
  document.body.offsetHeight;
  document.body.hidden = false;
  return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))));
}"""


class Partner:
    """A partner's backend, which asks for sessions and looks at what has come of them."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.user: dict[str, str] = {}
        self.key: dict[str, str] = {}

    async def sign_up(self, name: str = "Harbour Bank") -> None:
        body = {"email": "ada@example.com", "password": PASSWORD}
        answer = await self.http.post("/api/v1/auth/signup", json=body)
        assert answer.status_code == 201, answer.text
        self.user = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        await self.http.put("/api/v1/profile", json={"name": name}, headers=self.user)
        made = await self.http.post(
            "/api/v1/api-keys/generate", json={"environment": "sandbox"}, headers=self.user
        )
        self.key = {"Authorization": f"Bearer {made.json()['api_key']}"}

    async def create(self, **fields: Any) -> dict[str, Any]:
        body = {"return_url": f"{self.http.base_url}/health?order=7", "purpose": PURPOSE} | fields
        answer = await self.http.post("/api/v1/sessions/create", json=body, headers=self.key)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def results(self, made: dict[str, Any]) -> dict[str, Any]:
        path = f"/api/v1/sessions/{made['session_id']}/results"
        found: dict[str, Any] = (await self.http.get(path, headers=self.key)).json()
        return found

    async def cancel(self, made: dict[str, Any]) -> None:
        path = f"/api/v1/sessions/{made['session_id']}/cancel"
        answer = await self.http.post(path, headers=self.key)
        assert answer.status_code == 200, answer.text


@asynccontextmanager
async def visiting(tmp_path: Path, **env: str) -> AsyncIterator[tuple[Partner, Browsing]]:
    """Serve, and open a phone-sized tab."""
    async with server(tmp_path, env=ENV | env) as running:
        await running.wait_ready()
        url = running.urls[0]
        async with (
            httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as http,
            browsing(url) as tab,
        ):
            partner = Partner(http)
            await partner.sign_up()
            await tab.look_like(390, 780)
            yield partner, tab


async def check(tab: Browsing, name: str) -> None:
    """Look at the page in every light and width, and keep a picture where somebody asked."""
    folder = os.environ.get("VISITOR_PICTURES")
    for width, dark in ((320, False), (320, True), (390, True), (1024, False), (390, False)):
        await tab.look_like(width, 780, dark=dark)
        await tab.page.evaluate(DRAWN_ANEW)
        findings = await tab.findings()
        assert findings == [], f"{name} at {width}, dark={dark}: {findings}"
        assert not await tab.scrolls_sideways(), f"{name} at {width}"
        if folder and width == 390:
            await tab.picture(Path(folder, f"visitor-{name}{'-dark' if dark else ''}.png"))


async def test_a_visitor_agrees_by_keyboard_alone_and_is_led_back_with_a_receipt(
    tmp_path: Path,
) -> None:
    async with visiting(tmp_path) as (partner, tab):
        made = await partner.create()
        await tab.watch_for_violations(made["session_url"])
        await tab.see("Harbour Bank asks you for something")
        await tab.see(PURPOSE)
        await check(tab, "start")
        await tab.tab_to("Start")
        await tab.press("Enter")
        await tab.see("Do you agree?")
        await check(tab, "consent")
        assert await tab.page.evaluate("() => document.cookie") == ""
        await tab.tab_to("Agree")
        await tab.press("Enter")
        await tab.see("Done, thank you")
        await tab.see("You go there by yourself in 3 seconds.")
        await tab.until("() => location.pathname === '/health'", what="the way back")
        url: str = await tab.page.evaluate("() => location.href")
        query = parse_qs(urlsplit(url).query)
        assert query["order"] == ["7"]
        assert query["state"] == ["completed"]
        keys = (await partner.http.get("/.well-known/jwks.json")).json()["keys"]
        assert verified(query["receipt"][0], keys)["sub"] == made["session_id"]
        assert await tab.page.evaluate("() => document.referrer") == ""
        await tab.open(made["session_url"])
        await tab.tab_to("Stay on this page")
        await tab.press("Enter")
        await tab.see("You stay here.")
        await check(tab, "result")


async def test_the_page_goes_on_by_itself_when_the_partner_or_the_time_ends_it(
    tmp_path: Path,
) -> None:
    async with visiting(tmp_path, MOORING_PARTNER__SESSION_TTL_S="8") as (partner, tab):
        made = await partner.create()
        await tab.open(made["session_url"])
        await tab.click("form[action$='/begin'] button")
        await tab.see("Do you agree?")
        await partner.cancel(made)
        await tab.see("This was cancelled")
        await check(tab, "cancelled")
        made = await partner.create()
        await tab.open(made["session_url"])
        await tab.click("form[action$='/begin'] button")
        await tab.see("Do you agree?")
        before = await tab.page.evaluate("() => document.querySelector('count-down')?.left")
        assert before <= 8
        await tab.until("() => document.querySelector('count-down')?.left <= 3", what="half of it")
        await tab.click("form[action$='/extend'] button")
        await tab.until("() => document.querySelector('count-down')?.left > 4", what="more time")
        await tab.see("Time is up")
        await check(tab, "expired")
        assert (await partner.results(made))["state"] == "expired"


async def test_a_device_without_sensors_says_so_and_a_phone_takes_over_by_its_code(
    tmp_path: Path,
) -> None:
    async with visiting(tmp_path) as (partner, tab):
        made = await partner.create(flow="challenge", purpose="Showing that somebody is there")
        await tab.open(made["session_url"])
        await tab.click("form[action$='/begin'] button")
        await tab.see("Move your phone")
        await check(tab, "challenge")
        await tab.click("[data-start]")
        await tab.see("This device has no motion sensors")
        await tab.see("Continue on your phone")
        await check(tab, "code")
        link = await tab.text("#handover-link")
        phone = await tab.somebody_else()
        await phone.look_like(390, 780)
        await phone.open(link)
        await phone.see("Continue on this device")
        await check(phone, "take-over")
        await phone.click("form[action$='/begin'] button")
        await phone.see("Move your phone")
        await tab.see("This goes on on your other device")
        await move(phone)
        await phone.see("Done, thank you")
        await tab.see("Done, thank you")
        found = await partner.results(made)
        assert found["state"] == "completed"
        assert found["result"]["score"] > 0.8
        thief = await tab.somebody_else()
        await thief.look_like(390, 780)
        await thief.open(link)
        await thief.see("This link was already used")
        await check(thief, "used")


async def move(phone: Browsing, *, wrongly: bool = False) -> None:
    """Press the button, and move the phone as the page says."""
    await feel(phone, 0, 0)
    asked = await phone.page.evaluate(
        "() => document.querySelector('motion-step').getAttribute('direction')"
    )
    beta, gamma = {
        "left": (0, -1),
        "right": (0, 1),
        "towards you": (1, 0),
        "away from you": (-1, 0),
    }[asked]
    if wrongly:
        beta, gamma = gamma, beta
    await phone.click("[data-start]")
    await phone.see("Hold it still")
    await phone.see("Tilt it")
    for angle in [*range(0, 45, 3), *[42] * 5]:
        await feel(phone, beta * angle, gamma * angle)
        await trio.sleep(0.04)
    await phone.see("Bring it back")
    for angle in range(42, -1, -3):
        await feel(phone, beta * angle, gamma * angle)
        await trio.sleep(0.04)


async def feel(phone: Browsing, beta: float, gamma: float) -> None:
    orientation = {"alpha": 0, "beta": beta, "gamma": gamma}
    await phone.call("DeviceOrientation.setDeviceOrientationOverride", orientation)


async def test_a_wrong_movement_is_said_and_another_one_is_asked_for(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (partner, tab):
        made = await partner.create(flow="challenge")
        await tab.open(made["session_url"])
        await tab.click("form[action$='/begin'] button")
        await tab.see("Move your phone")
        await move(tab, wrongly=True)
        await tab.see("It tilted another way. Try again")
        await check(tab, "challenge-again")
        await move(tab)
        await tab.see("Done, thank you")
        found = await partner.results(made)
        assert (found["state"], found["result"]["tries"]) == ("completed", 2)


async def test_pages_for_whoever_comes_too_late_or_wrongly_are_fine_as_well(
    tmp_path: Path,
) -> None:
    async with visiting(tmp_path) as (partner, tab):
        made = await partner.create(flow="challenge")
        await tab.open(made["session_url"])
        await tab.click("form[action$='/begin'] button")
        await tab.see("Move your phone")
        other = await tab.somebody_else()
        await other.open(made["session_url"])
        await other.see("This is open in another browser")
        await check(other, "elsewhere")
        for _ in range(2):
            await tab.open(made["session_url"])
            await tab.click("form[action$='/handover'] button")
            await tab.see("Continue on your phone")
            link = await tab.text("#handover-link")
            if _ == 0:
                first = link
        await other.open(first)
        await other.see("This code is too old")
        await check(other, "code-too-old")
        await other.open("/s/" + "A" * 32)
        await other.see("This link leads nowhere")
        await check(other, "unknown")
        declined = await partner.create()
        await tab.open(declined["session_url"])
        await tab.click("form[action$='/begin'] button")
        await tab.see("Do you agree?")
        await tab.page.evaluate(
            "() => { document.querySelector('[name=mark]').value = 'x'; "
            "document.querySelector('form[action$=\"/answer\"]').submit(); }"
        )
        await tab.see("This was not sent from this page")
        await check(tab, "not-sent")
        await tab.open(declined["session_url"])
        await tab.click("form[action$='/cancel'] button")
        await tab.see("You stopped this")
        declined = await partner.create(return_url="https://yourapp.com/callback")
        await tab.open(declined["session_url"])
        await tab.click("form[action$='/begin'] button")
        await tab.see("Do you agree?")
        await tab.click("form[action$='/answer'] input[value=decline] ~ button")
        await tab.see("You declined")
        await tab.click("[data-stay]")
        await check(tab, "declined")


# Where each letter behind the partner's name stands, from left to right.
LETTERS_BEHIND = """() => {
  const behind = [...document.querySelector("h1").childNodes].at(-1);
  const range = document.createRange();
  return [...behind.data.trimEnd()].map((_, at) => {
    range.setStart(behind, at);
    range.setEnd(behind, at + 1);
    return range.getBoundingClientRect().left;
  });
}"""


async def test_marks_that_turn_a_name_around_turn_nothing_of_ours(tmp_path: Path) -> None:
    async with visiting(tmp_path) as (partner, tab):
        await tab.look_like(1024, 780)
        for name in (
            "\u202eknab",
            "\u202e\u2066knab",
            "\u2069\u202eknab",
            "\u202c\u2067\u202bknab",
        ):
            await partner.http.put("/api/v1/profile", json={"name": name}, headers=partner.user)
            made = await partner.create(purpose="\u202e" * 120 + "\u2069long " * 30)
            await tab.open(made["session_url"])
            places = await tab.page.evaluate(LETTERS_BEHIND)
            assert places == sorted(places), repr(name)
        await check(tab, "turned around")
