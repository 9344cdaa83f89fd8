"""When the dashboard is painted first in a real Chromium.

Chromium counts from the start of the navigation to the first paint with content, so server, network
and rendering are all in it.
"""

from __future__ import annotations

import os
from typing import Final

import msgspec

from actors.browser.chromium import ChromiumOptions, find_executable, launch
from actors.browser.driver import connect
from actors.browser.page import Browser, BrowserState, Page

_EMAIL: Final = "bench@mooring.example"
_PASSWORD: Final = "a password for benchmarks"
_TIMEOUT_S: Final = 30.0
# What somebody meets who has sent the form: the overview, or why not.
_CAME: Final = """() => location.pathname === "/dashboard"
  ? document.readyState === "complete" && "in"
  : document.querySelector(".problem, .notice.bad") && "out" """
_FIRST_PAINT: Final = """() => performance.getEntriesByType("paint")
  .find(it => it.name === "first-contentful-paint")?.startTime"""


class FirstPaints(msgspec.Struct, frozen=True, kw_only=True):
    """Times from navigation to first paint, in milliseconds, in the order in which they were taken.

    Attributes:
        cold: of a browser that has been nowhere yet.
        warm: of one that has the page's static files from an earlier visit.
    """

    cold: tuple[float, ...]
    warm: tuple[float, ...]


async def measure_first_paint(
    url: str, *, rounds: int = 15, path: str = "/dashboard", email: str = _EMAIL
) -> FirstPaints:
    """Return when a page of the dashboard is painted first; to be called in trio-asyncio's loop.

    Args:
        url: of a server. Where sign-up is open an account is made; a second call logs in to it.
    """
    executable = await find_executable(os.environ.get("MOORING_BROWSER__EXECUTABLE"))
    options = ChromiumOptions(executable=executable, run_id=f"{os.getpid():08x}0f1c")
    async with launch(options) as chromium, connect(chromium.endpoint) as browser:
        context = await browser.open_context()
        await _enter(context.page, url, email)
        login = msgspec.structs.replace(await context.save(), url="about:blank", storage=())
        warm = [await _paint(context.page, url + path) for _ in range(rounds)]
        cold = [await _cold_paint(browser, login, url + path) for _ in range(rounds)]
    return FirstPaints(cold=tuple(cold), warm=tuple(warm))


async def _enter(page: Page, url: str, email: str) -> None:
    for way in ("signup", "login"):
        await page.goto(f"{url}/dashboard/{way}", timeout_s=_TIMEOUT_S)
        await page.fill("#email", email)
        await page.fill("#password", _PASSWORD)
        await page.click("main button")
        if await page.wait_until(_CAME, timeout_s=_TIMEOUT_S, what="a page") == "in":
            return
    raise RuntimeError("neither signing up nor logging in led to the overview")


async def _cold_paint(browser: Browser, login: BrowserState, address: str) -> float:
    context = await browser.open_context()
    try:
        await context.restore(login)
        return await _paint(context.page, address)
    finally:
        await browser.close_context(context.id)


async def _paint(page: Page, address: str) -> float:
    await page.goto("about:blank", timeout_s=_TIMEOUT_S)
    await page.goto(address, timeout_s=_TIMEOUT_S)
    painted: float = await page.wait_until(_FIRST_PAINT, timeout_s=_TIMEOUT_S, what="a first paint")
    return painted
