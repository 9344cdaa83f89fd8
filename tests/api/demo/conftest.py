"""The two demo servers on real sockets, and a client that logs in as a person would."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from api.demo.captcha import KEY
from api.demo.run import DemoUrls, open_demo
from api.demo.widget import SITE_KEY
from engine.clock import SystemClock


class Visitor:
    """One browser's cookies, without the browser."""

    def __init__(self, urls: DemoUrls, http: httpx.AsyncClient) -> None:
        self.urls = urls
        self.http = http

    async def token(self, key: str = KEY) -> str:
        task = {
            "type": "RecaptchaV2TaskProxyless",
            "websiteURL": self.urls.portal_url,
            "websiteKey": SITE_KEY,
        }
        made = await self.captcha("createTask", clientKey=key, task=task)
        answer = await self.captcha("getTaskResult", clientKey=key, taskId=made["taskId"])
        return answer["solution"]["gRecaptchaResponse"]

    async def captcha(self, method: str, **body: object) -> dict:
        return (await self.http.post(f"{self.urls.captcha_url}/{method}", json=body)).json()

    async def get(self, path: str, *, follow: bool = True) -> httpx.Response:
        return await self.http.get(f"{self.urls.portal_url}{path}", follow_redirects=follow)

    async def control(self, **change: object) -> httpx.Response:
        return await self.http.post(f"{self.urls.portal_url}/__control", json=change)

    async def log_in(
        self, username: str, password: str, *, token: str | None = None, path: str = "/login"
    ) -> httpx.Response:
        form = await self.get(path)
        forgery = re.search(r'name="__RequestVerificationToken" value="(\w+)"', form.text)
        assert forgery is not None
        fields = {
            "Username": username,
            "Password": password,
            "g-recaptcha-response": await self.token() if token is None else token,
            "__RequestVerificationToken": forgery[1],
        }
        return await self.http.post(str(form.url), data=fields, follow_redirects=True)


@pytest.fixture
async def demo() -> AsyncIterator[DemoUrls]:
    async with open_demo(SystemClock(), solve_s=0.0) as urls:
        yield urls


@pytest.fixture
async def visitor(demo: DemoUrls) -> AsyncIterator[Visitor]:
    async with httpx.AsyncClient(trust_env=False, timeout=40) as http:
        yield Visitor(demo, http)


@pytest.fixture
async def other_visitor(demo: DemoUrls) -> AsyncIterator[Visitor]:
    async with httpx.AsyncClient(trust_env=False, timeout=40) as http:
        yield Visitor(demo, http)
