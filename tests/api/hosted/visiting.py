"""A visitor without a script: a browser's cookies, a page's forms, and nothing else."""

from __future__ import annotations

import html
import re
from typing import Any, Protocol

import httpx

_MARK = re.compile(r'name="mark" value="([0-9a-f]{64})"')
_WAY = re.compile(r'<a class="button primary wide"[^>]* href="([^"]+)"')
_QR_LINK = re.compile(r'id="handover-link"[^>]*><bdi>([^<]+)</bdi>')


class Served(Protocol):
    """Something that listens on loopback."""

    @property
    def port(self) -> int: ...


class Visitor:
    """One browser at a session's link.

    Args:
        headers: what it sends besides; a browser on our own page by default.
    """

    def __init__(self, it: Served, url: str, **headers: str) -> None:
        self.client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{it.port}", trust_env=False, timeout=20
        )
        self.origin = f"http://127.0.0.1:{it.port}"
        self.path = "/s/" + url.rpartition("/")[2]
        self.headers = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin"} | headers
        self.page = httpx.Response(200)

    async def __aenter__(self) -> Visitor:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    async def open(self, method: str = "GET") -> httpx.Response:
        self.page = await self.client.request(method, self.path)
        return self.page

    async def press(self, what: str, **fields: Any) -> httpx.Response:
        """Send a form of the page, and follow to what it leads to."""
        answer = await self.send(what, {"mark": self.mark} | fields)
        if answer.status_code == 303:
            assert answer.headers["Location"] == self.path
            return await self.open()
        self.page = answer
        return answer

    async def send(
        self, what: str, fields: dict[str, str], headers: dict[str, str] | None = None
    ) -> httpx.Response:
        headers = self.headers if headers is None else headers
        return await self.client.post(f"{self.path}/{what}", data=fields, headers=headers)

    @property
    def mark(self) -> str:
        found = _MARK.search(self.page.text)
        return found[1] if found else ""

    def hidden(self, name: str) -> str:
        """Return what a form of the page sends along under a name."""
        found = re.search(rf'type="hidden" name="{name}" value="([^"]*)"', self.page.text)
        return html.unescape(found[1]) if found else ""

    @property
    def title(self) -> str:
        found = re.search(r"<h1>(.*?)</h1>", self.page.text, re.DOTALL)
        return re.sub(r"<[^>]+>", "", found[1]) if found else ""

    @property
    def way_back(self) -> str:
        found = _WAY.search(self.page.text)
        return html.unescape(found[1]) if found else ""

    @property
    def handover_link(self) -> str:
        found = _QR_LINK.search(self.page.text)
        return html.unescape(found[1]) if found else ""
