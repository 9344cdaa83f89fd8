"""The chat page in a real Chromium: talk, stop, reload in the middle, lose the server, log in."""

from __future__ import annotations

import base64
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
import trio_asyncio

from actors.browser.chromium import ChromiumOptions, find_executable, launch
from actors.browser.driver import connect
from tests.api.harness import server

RUN_ID = f"{os.getpid():08x}00c4"
TEXTS = "() => [...document.querySelectorAll('#log .text')].map(one => one.textContent)"
WITHOUT_SIDEWAYS = "() => document.documentElement.scrollWidth <= innerWidth"


class Chat:
    """The page, as somebody uses it."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url

    async def open(self, query: str = "") -> None:
        await self.page.goto(f"{self.url}/chat{query}", timeout_s=15)

    async def start(self, business: str = "B0100001", user: str = "user_123") -> None:
        await self.page.fill("#business", business)
        await self.page.fill("#user", user)
        await self.page.click("#start button")
        await self.until_state("Connected")

    async def say(self, text: str) -> None:
        await self.page.fill("#content", text)
        await self.page.click("#send")

    async def until(self, function: str, *args: Any, what: str = "it") -> Any:
        return await self.page.wait_until(function, *args, timeout_s=20, what=what)

    async def until_state(self, text: str) -> None:
        await self.until(
            "text => document.getElementById('state').textContent === text", text, what=text
        )

    async def until_texts(self, *texts: str) -> None:
        await self.until(
            f"wanted => JSON.stringify(({TEXTS})()) === wanted",
            '["' + '","'.join(texts) + '"]',
            what=f"the messages {texts}",
        )

    async def press(self, key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            code = 13 if key == "Enter" else 27
            extra = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            await self.page._tab.call(
                "Input.dispatchKeyEvent",
                {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code} | extra,
            )

    async def look_like(self, width: int, height: int, *, dark: bool) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.page._tab.call("Emulation.setDeviceMetricsOverride", size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.page._tab.call("Emulation.setEmulatedMedia", {"features": [scheme]})

    async def picture(self, name: str) -> None:
        """Keep a picture where somebody has asked for it."""
        if folder := os.environ.get("CHAT_PICTURES"):
            shot = await self.page._tab.call("Page.captureScreenshot", {"format": "png"})
            await trio.Path(folder, f"{name}.png").write_bytes(base64.b64decode(shot["data"]))


@asynccontextmanager
async def chatting(url: str) -> AsyncIterator[Chat]:
    executable = await find_executable(os.environ.get("MOORING_BROWSER__EXECUTABLE"))
    options = ChromiumOptions(executable=executable, run_id=RUN_ID)
    async with (
        trio_asyncio.open_loop(),
        launch(options) as chromium,
        connect(chromium.endpoint) as browser,
    ):
        context = await browser.open_context()
        yield Chat(context.page, url)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


async def test_talking_stopping_and_reloading_in_the_middle(tmp_path: Path) -> None:
    env = {"MOORING_ASSISTANT__ECHO_PAUSE_S": "0.15"}
    async with server(tmp_path, env=env) as running:
        await running.wait_ready()
        async with chatting(running.urls[0]) as chat:
            await chat.look_like(1024, 700, dark=False)
            await chat.open()
            await chat.picture("1-start")
            await chat.start()
            await chat.picture("2-empty")
            await chat.say("hello")
            await chat.until_texts("hello", "hello")

            long = " ".join(f"word{number}" for number in range(30))
            await chat.page.fill("#content", long)
            await chat.press("Enter")
            await chat.until(f"() => ({TEXTS})()[3]?.includes('word3')", what="part of a reply")
            await chat.picture("3-streaming")
            await chat.open("?business=B0100001&user=user_123")
            await chat.until_texts("hello", "hello", long, long)

            await chat.say("one two three four five six seven eight nine ten eleven twelve")
            await chat.until(f"() => ({TEXTS})()[5]?.startsWith('one ')", what="a reply")
            await chat.press("Escape")
            await chat.until(
                "() => document.querySelector('#log li:last-child .note').textContent === 'Stopped'"
            )
            await chat.until("() => document.getElementById('stop').hidden")
            for name, dark in (("4-narrow", False), ("5-narrow-dark", True)):
                await chat.look_like(320, 568, dark=dark)
                assert await chat.page.evaluate(WITHOUT_SIDEWAYS)
                await chat.picture(name)


async def test_the_end_stays_in_view_unless_somebody_has_scrolled_away(tmp_path: Path) -> None:
    at_end = "log => log.scrollHeight - log.scrollTop - log.clientHeight < 2"
    env = {"MOORING_ASSISTANT__ECHO_PAUSE_S": "0.02"}
    async with server(tmp_path, env=env) as running:
        await running.wait_ready()
        async with chatting(running.urls[0]) as chat:
            await chat.look_like(320, 568, dark=False)
            await chat.open()
            await chat.start()
            said: list[str] = []
            for number in range(5):
                said += [f"message {number} " + "word " * 20] * 2
                await chat.say(said[-1])
                await chat.until_texts(*said)
            assert await chat.page.evaluate(f"() => ({at_end})(document.getElementById('log'))")
            # Somebody reads further up while an answer comes, to another window's message.
            top = "document.getElementById('log').scrollTop"
            await chat.page.evaluate(f"() => {{ {top} = 40; }}")
            await chat.page.evaluate(
                "async () => { const id = (await (await fetch('/api/sessions/business/B0100001/user"
                "/user_123/active')).json()).sessionId;"
                "await fetch('/api/sessions/' + id + '/messages', { method: 'POST', headers:"
                "{ 'Content-Type': 'application/json' }, body: '{\"content\": \"aside\"}' }); }"
            )
            await chat.until_texts(*said, "aside", "aside")
            assert await chat.page.evaluate(f"() => {top}") == 40


async def test_a_server_that_is_killed_and_comes_back_loses_nothing_said(tmp_path: Path) -> None:
    port = free_port()
    env = {"MOORING_BIND": f"127.0.0.1:{port}", "MOORING_ASSISTANT__ECHO_PAUSE_S": "0.05"}
    url = f"http://127.0.0.1:{port}"
    async with chatting(url) as chat:
        async with server(tmp_path, env=env) as running:
            await running.wait_ready()
            await chat.look_like(1024, 700, dark=True)
            await chat.open()
            await chat.start()
            await chat.say("before")
            await chat.until_texts("before", "before")
            await running.stop(signal.SIGKILL)
        await chat.until_state("Reconnecting")
        await chat.say("while it was away")
        await chat.picture("6-reconnecting")
        async with server(tmp_path, env=env) as running:
            await running.wait_ready()
            await chat.until_texts("before", "before", "while it was away", "while it was away")
            await chat.until_state("Connected")
            await chat.page.evaluate(
                "async () => { const id = (await (await fetch('/api/sessions/business/B0100001/user"
                "/user_123/active')).json()).sessionId;"
                "await fetch('/api/sessions/' + id, { method: 'DELETE' }); }"
            )
            await chat.until_state("Closed")
            await chat.picture("7-closed")
            await chat.page.click("#again")
            await chat.until_state("Connected")
            assert await chat.page.evaluate(TEXTS) == []


async def test_with_a_token_the_page_logs_in_and_others_do_not_use_its_cookie(
    tmp_path: Path,
) -> None:
    env = {"MOORING_OPERATOR_TOKENS": "a-secret-token", "MOORING_ASSISTANT__ECHO_PAUSE_S": "0"}
    async with server(tmp_path, env=env) as running:
        await running.wait_ready()
        async with chatting(running.urls[0]) as chat:
            await chat.look_like(1024, 700, dark=False)
            await chat.open("?business=B0100001&user=user_123")
            await chat.page.wait_for("#token", timeout_s=40)
            await chat.page.fill("#token", "wrong")
            await chat.page.click("#login button")
            await chat.until("() => document.querySelector('#login .problem').textContent !== ''")
            await chat.picture("8-login")
            await chat.page.fill("#token", "a-secret-token")
            await chat.page.click("#login button")
            await chat.until_state("Connected")
            await chat.say("hello")
            await chat.until_texts("hello", "hello")
            assert await chat.page.evaluate("() => document.cookie") == ""
