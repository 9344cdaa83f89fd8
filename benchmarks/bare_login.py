"""The baseline of `benchmarks.browser`: the same login, as a bare pyppeteer script does it.

Reads account numbers from standard input, logs each in at the demo portal in a browser context of
its own, and prints how many seconds that took. One Chromium is launched beforehand and kept, so
that what is compared is the login and not the launch.
"""

from __future__ import annotations

import asyncio
import sys
import time
import warnings
from typing import Any

import httpx

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from pyppeteer import launch

_PUT_TOKEN = """token => {
    document.getElementById("g-recaptcha-response").value = token;
    window[document.querySelector(".g-recaptcha").dataset.callback](token);
}"""
_SITE_KEY = 'document.querySelector(".g-recaptcha").dataset.sitekey'


async def solve(http: httpx.AsyncClient, url: str, site_key: str, page_url: str) -> str:
    task = {"type": "RecaptchaV2TaskProxyless", "websiteURL": page_url, "websiteKey": site_key}
    body: dict[str, Any] = {"clientKey": "demo-captcha-key", "task": task}
    created = (await http.post(f"{url}/createTask", json=body)).json()
    body = {"clientKey": "demo-captcha-key", "taskId": created["taskId"]}
    while True:
        result = (await http.post(f"{url}/getTaskResult", json=body)).json()
        if result["status"] == "ready":
            token: str = result["solution"]["gRecaptchaResponse"]
            return token
        await asyncio.sleep(0.25)


async def log_in(browser: Any, http: httpx.AsyncClient, portal: str, captcha: str, n: int) -> None:
    context = await browser.createIncognitoBrowserContext()
    page = await context.newPage()
    page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.dismiss()))
    await page.goto(f"{portal}/login", waitUntil="domcontentloaded")
    await page.waitForSelector("#Username")
    site_key = await page.evaluate(_SITE_KEY, force_expr=True)
    token = await solve(http, captcha, site_key, page.url)
    await page.waitForSelector("#g-recaptcha-response")
    await page.evaluate(_PUT_TOKEN, token)
    await page.type("#Username", f"driver-{n}")
    await page.type("#Password", f"harbor-{n}")
    loaded = page.waitForNavigation(waitUntil="domcontentloaded")
    await asyncio.gather(loaded, page.click("#btnLogin"))
    await page.waitForSelector(".user-menu", visible=True)


async def main(executable: str, portal: str, captcha: str) -> None:
    flags = ["--no-sandbox", "--disable-dev-shm-usage"]
    browser = await launch(executablePath=executable, args=flags, headless=True)
    async with httpx.AsyncClient(trust_env=False) as http:
        print("ready", flush=True)
        for line in iter(sys.stdin.readline, ""):
            started = time.perf_counter()
            await log_in(browser, http, portal, captcha, int(line))
            print(time.perf_counter() - started, flush=True)
    await browser.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
