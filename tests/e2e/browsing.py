"""A real Chromium in front of a page: what a person does there, and what a checker finds."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

import trio
import trio_asyncio

from actors.browser.chromium import ChromiumOptions, find_executable, launch
from actors.browser.driver import connect, scripts
from actors.browser.driver.line import CommandRefused

RUN_ID: Final = f"{os.getpid():08x}00da"
# WCAG 2.2 AA, and what the checker's makers call good practice besides.
RULES: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_KEYS: Final[Mapping[str, tuple[int, str]]] = {
    "Enter": (13, "\r"),
    "Escape": (27, ""),
    "Tab": (9, ""),
    " ": (32, " "),
}
_SHIFT: Final = 8
# What only a failure reaches, also beside all other tests on a small machine.
_LONG_S: Final = 60.0


class Browsing:
    """One tab. Only one task may use it at a time."""

    def __init__(self, page: Any, url: str, browser: Any) -> None:
        self.page = page
        self.url = url
        self.call = page._tab.call
        self._browser = browser

    async def somebody_else(self) -> Browsing:
        """Return a tab of somebody who shares nothing with this one, cookies least of all."""
        other = Browsing((await self._browser.open_context()).page, self.url, self._browser)
        await other.look_like(1280, 900)
        return other

    async def same_person(self) -> Browsing:
        """Return another tab with the cookies of this one."""
        other = await self.somebody_else()
        storage = {"browserContextId": self.page._tab._context_id}
        cookies = (await self.page._wire.browser.call("Storage.getCookies", storage))["cookies"]
        kept = [
            {name: cookie[name] for name in ("name", "value", "domain", "path", "httpOnly")}
            for cookie in cookies
        ]
        where = {"browserContextId": other.page._tab._context_id}
        await self.page._wire.browser.call("Storage.setCookies", {"cookies": kept} | where)
        return other

    async def open(self, path: str = "/") -> int:
        """Open a path of the server, or a whole address, and return the status."""
        address = path if "://" in path else f"{self.url}{path}"
        status: int = await self.page.goto(address, timeout_s=_LONG_S)
        return status

    async def fill(self, selector: str, text: str) -> None:
        await self.page.fill(selector, text)

    async def click(self, selector: str) -> None:
        await self.page.click(selector)

    async def see(self, text: str) -> None:
        """Wait until a text is to be seen on the page."""
        await self.until("wanted => document.body?.innerText.includes(wanted)", text, what=text)

    async def until(self, function: str, *args: Any, what: str = "it") -> Any:
        return await self.page.wait_until(function, *args, timeout_s=_LONG_S, what=what)

    async def until_at(self, path: str) -> None:
        await self.until(
            "wanted => location.pathname + location.search === wanted", path, what=path
        )

    async def text(self, selector: str) -> str:
        found: str = await self.page.evaluate(
            "selector => document.querySelector(selector).innerText", selector
        )
        return found

    async def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key, as somebody does who has no mouse."""
        code, text = _KEYS[key]
        event: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        event["modifiers"] = _SHIFT if shift else 0
        down = event | ({"text": text} if text else {})
        await self.call("Input.dispatchKeyEvent", {"type": "keyDown"} | down)
        await self.call("Input.dispatchKeyEvent", {"type": "keyUp"} | event)

    async def type(self, text: str) -> None:
        """Type where the focus is."""
        await self.call("Input.insertText", {"text": text})

    async def focused(self) -> str:
        """Return what has the focus, by what it says or is called."""
        found: str = await self.page.evaluate(_FOCUSED)
        return found

    async def tab_to(self, name: str) -> None:
        """Press Tab until what is called so has the focus."""
        for _ in range(60):
            if await self.focused() == name:
                return
            await self.press("Tab")
        raise AssertionError(f"{name} cannot be reached by Tab")

    async def grant_clipboard(self) -> None:
        permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"]
        granted = {"permissions": permissions, "browserContextId": self.page._tab._context_id}
        await self.page._wire.browser.call("Browser.grantPermissions", granted)

    async def watch_for_violations(self, path: str) -> None:
        """Open a path and collect what the page's policy blocks from then on, once it is quiet."""
        watch = (
            "window.violations = []; addEventListener('securitypolicyviolation',"
            " event => window.violations.push(event.violatedDirective + ' ' + event.blockedURI))"
        )
        script = await self.call("Page.addScriptToEvaluateOnNewDocument", {"source": watch})
        await self.open(path)
        await self.until("() => document.readyState === 'complete'")
        await self.call("Page.removeScriptToEvaluateOnNewDocument", script)

    async def spills(self) -> list[str]:
        """Return what stands out of the card or cell that it is in."""
        found: list[str] = await self.page.evaluate(_SPILLS)
        return found

    # -- where scripts are off, the page can only be looked at and clicked -----------------------

    async def visit(self, path: str, text: str) -> str:
        """Open a path, and return the document once it holds a text."""
        await self.call("Page.navigate", {"url": f"{self.url}{path}"})
        return await self.html_with(text)

    async def _node(self, selector: str) -> int:
        root = (await self.call("DOM.getDocument"))["root"]["nodeId"]
        query = {"nodeId": root, "selector": selector}
        node: int = (await self.call("DOM.querySelector", query))["nodeId"]
        assert node, f"there is no {selector}"
        return node

    async def follow(self, selector: str) -> None:
        """Click what matches, by its place on the page."""
        node = await self._node(selector)
        await self.call("DOM.scrollIntoViewIfNeeded", {"nodeId": node})
        box = (await self.call("DOM.getBoxModel", {"nodeId": node}))["model"]["content"]
        point = {"x": (box[0] + box[4]) / 2, "y": (box[1] + box[5]) / 2}
        press = {"button": "left", "clickCount": 1} | point
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", {"type": kind} | press)

    async def enter(self, selector: str, text: str) -> None:
        """Type into what matches."""
        await self.call("DOM.focus", {"nodeId": await self._node(selector)})
        await self.type(text)

    async def html_with(self, text: str) -> str:
        """Return the document once it holds a text."""
        with trio.fail_after(_LONG_S):
            while True:
                with suppress(CommandRefused):  # the document has just been left
                    root = (await self.call("DOM.getDocument"))["root"]["nodeId"]
                    html: str = (await self.call("DOM.getOuterHTML", {"nodeId": root}))["outerHTML"]
                    if text in html:
                        return html
                await trio.sleep(0.05)

    async def look_like(self, width: int, height: int, *, dark: bool = False) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", size)
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]
        await self.call("Emulation.setEmulatedMedia", {"features": features})

    async def without_scripts(self) -> None:
        """Have pages from now on as where scripts are off."""
        await self.call("Emulation.setScriptExecutionDisabled", {"value": True})

    async def offline(self, *, is_offline: bool = True) -> None:
        conditions = {
            "offline": is_offline,
            "latency": 0,
            "downloadThroughput": -1,
            "uploadThroughput": -1,
        }
        await self.call("Network.enable")
        await self.call("Network.emulateNetworkConditions", conditions)

    async def picture(self, file: Path, *, whole: bool = True) -> None:
        """Write a PNG of the page, all of it or what is in view."""
        how: dict[str, Any] = {"format": "png", "optimizeForSpeed": False}
        if whole:
            size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
            how |= {"captureBeyondViewport": True, "clip": {**size, "scale": 1}}
        shot = await self.call("Page.captureScreenshot", how)
        await trio.Path(file).write_bytes(base64.b64decode(shot["data"]))

    async def scrolls_sideways(self) -> bool:
        wider: bool = await self.page.evaluate(_WIDER)
        return wider

    async def findings(self, *, rules: Sequence[str] = RULES) -> list[str]:
        """Return what axe-core finds wrong with the page as it stands."""
        await self.page._tab.evaluate(f"{_axe()};0")
        look = scripts.calling(_FINDINGS, list(rules))
        found: list[str] = await self.page._tab.evaluate(look, timeout_s=_LONG_S)
        return found

    async def first_paint_ms(self) -> float:
        """Return when the page was painted first, counted from the start of its navigation."""
        entries: float = await self.until(
            "() => performance.getEntriesByType('paint')"
            ".find(it => it.name === 'first-contentful-paint')?.startTime",
            what="a first paint",
        )
        return entries


_FOCUSED: Final = """() => {
  const it = document.activeElement;
  if (!it || it === document.body) return "";
  const named = it.getAttribute("aria-label") ?? it.labels?.[0]?.innerText ?? it.innerText;
  return (named || it.id || it.tagName).trim().split("\\n")[0];
}"""


_WIDER: Final = """() => document.documentElement.scrollWidth > innerWidth
  || [...document.querySelectorAll("dialog[open]")].some(it => it.scrollWidth > it.clientWidth)"""
_FINDINGS: Final = """async rules => {
  await new Promise(go => setTimeout(go));  // what goes on from here may compute for long
  const found = await axe.run(document, { runOnly: rules, resultTypes: ["violations"] });
  const why = node => node.any.concat(node.all, node.none).map(one => one.message).join("; ");
  return found.violations.map(it => [it.id, it.help,
    ...it.nodes.map(node => `${node.html.slice(0, 160)} ${why(node)}`)].join(": "));
}"""
_SPILLS: Final = """() => [...document.querySelectorAll("main *")].filter(it => {
  const holder = it.parentElement.closest("td, dd, li, .card, main");
  const [inner, outer] = [it.getBoundingClientRect(), holder.getBoundingClientRect()];
  const hidden = it.closest(".unseen, thead, svg, .scrolls, pre, .clip, [hidden]");
  return !hidden && inner.width > 0 && inner.right > outer.right + 1;
}).map(it => it.outerHTML.slice(0, 120))"""


@cache
def _axe() -> str:
    file = resources.files("axe_playwright_python") / "axe.min.js"
    return file.read_text(encoding="utf-8")


@asynccontextmanager
async def browsing(url: str) -> AsyncIterator[Browsing]:
    """Open a tab in a Chromium of its own for the length of a block."""
    executable = await find_executable(os.environ.get("MOORING_BROWSER__EXECUTABLE"))
    options = ChromiumOptions(executable=executable, run_id=RUN_ID)
    async with (
        trio_asyncio.open_loop(),
        launch(options) as chromium,
        connect(chromium.endpoint) as browser,
    ):
        context = await browser.open_context()
        tab = Browsing(context.page, url, browser)
        await tab.look_like(1280, 900)
        yield tab
