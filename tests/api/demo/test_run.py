from __future__ import annotations

import httpx
import pytest
import trio
from trio.testing import MockClock

from api.demo.run import open_demo
from api.server.listen import AddressUnavailable
from engine.clock import SystemClock


async def test_both_servers_stop_at_once_though_a_client_keeps_its_connection() -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=40) as http:
        with trio.fail_after(40):
            async with open_demo(SystemClock()) as urls:
                assert (await http.get(f"{urls.portal_url}/__control")).status_code == 200
                assert (await http.get(f"{urls.captcha_url}/recaptcha/api.js")).status_code == 200
            for url in urls:
                with pytest.raises(httpx.ConnectError):
                    await http.get(url)


async def test_a_connection_is_kept_for_longer_than_a_client_would_use_it_again(
    mock_clock: MockClock,
) -> None:
    mock_clock.rate = 1
    kept = httpx.Limits(keepalive_expiry=None)
    async with (
        open_demo(SystemClock()) as urls,
        httpx.AsyncClient(trust_env=False, timeout=4000, limits=kept) as http,
    ):
        for url in (f"{urls.portal_url}/__control", f"{urls.captcha_url}/recaptcha/api.js"):
            before = _port_of(await http.get(url))
            mock_clock.rate = 100
            await trio.sleep(60)
            mock_clock.rate = 1
            assert _port_of(await http.get(url)) == before


def _port_of(answer: httpx.Response) -> int:
    """Return the port that the client has used."""
    address: tuple[str, int] = answer.extensions["network_stream"].get_extra_info("client_addr")
    return address[1]


async def test_a_page_that_is_being_waited_for_does_not_hold_up_the_end() -> None:
    async def wait_for_a_page(url: str) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            with pytest.raises(httpx.TransportError):
                await http.get(f"{url}/notice")

    async with trio.open_nursery() as nursery:
        with trio.fail_after(40):
            async with (
                open_demo(SystemClock()) as urls,
                httpx.AsyncClient(trust_env=False, timeout=40) as http,
            ):
                await http.post(f"{urls.portal_url}/__control", json={"delay_s": 500})
                nursery.start_soon(wait_for_a_page, urls.portal_url)
                await trio.testing.wait_all_tasks_blocked(0.05)


async def test_what_the_body_raises_comes_out_as_it_is() -> None:
    with pytest.raises(LookupError, match="as it is"):
        async with open_demo(SystemClock()):
            raise LookupError("as it is")


async def test_a_taken_port_is_one_readable_error() -> None:
    async with open_demo(SystemClock()) as urls:
        taken = urls.portal_url.removeprefix("http://")
        with pytest.raises(AddressUnavailable, match="taken"):
            async with open_demo(SystemClock(), portal_bind=taken):
                pass


@pytest.mark.parametrize("bind", ["0.0.0.0:0", "10.0.0.1:80", "example.com:80", "nonsense"])
async def test_the_demo_is_never_served_beyond_loopback(bind: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        async with open_demo(SystemClock(), portal_bind=bind):
            pass
