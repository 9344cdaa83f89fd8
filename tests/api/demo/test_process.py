"""The demo as a process of its own."""

from __future__ import annotations

import httpx
import pytest
import trio

from api.demo.process import open_demo_process


async def test_it_answers_while_the_scope_lasts_and_not_afterwards() -> None:
    async with open_demo_process() as urls, httpx.AsyncClient(trust_env=False, timeout=40) as http:
        assert (await http.get(f"{urls.portal_url}/__control")).json()["logins"] == {}
        assert (await http.post(f"{urls.captcha_url}/createTask", json={})).status_code == 200
    async with httpx.AsyncClient(trust_env=False, timeout=40) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(f"{urls.portal_url}/__control")


async def test_it_ends_also_when_the_scope_is_cancelled() -> None:
    with trio.CancelScope() as scope:
        async with open_demo_process() as urls:
            scope.cancel()
            await trio.lowlevel.checkpoint()
    async with httpx.AsyncClient(trust_env=False, timeout=40) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(urls.portal_url)
