from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import httpx
import pytest
import trio
from trio.testing import MockClock

from actors.browser.captcha import TwoCaptcha
from actors.browser.errors import CaptchaFailed
from api.demo.captcha import (
    KEY,
    KEY_NO_FUNDS,
    KEY_SLOW,
    KEY_UNSOLVABLE,
)
from api.demo.run import DemoUrls, open_demo
from api.demo.widget import SECRET, SITE_KEY
from engine.clock import SystemClock

PAGE = "https://ecp2.example/Account/Login"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


@pytest.fixture
async def demo() -> AsyncIterator[DemoUrls]:
    async with open_demo(SystemClock(), solve_s=0.05) as urls:
        yield urls


def solver(http: httpx.AsyncClient, url: str, key: str = KEY, **options: float) -> TwoCaptcha:
    return TwoCaptcha(http, base_url=url, api_key=key, **{"poll_interval_s": 0.01, **options})


async def test_a_solved_captcha_is_a_token_that_the_site_takes(
    http: httpx.AsyncClient, demo: DemoUrls
) -> None:
    token = await solver(http, demo.captcha_url).solve(site_key=SITE_KEY, page_url=PAGE)
    answer = await http.post(
        f"{demo.captcha_url}/recaptcha/api/siteverify", data={"secret": SECRET, "response": token}
    )
    assert answer.json()["success"] is True
    assert answer.json()["hostname"] == "ecp2.example"


@pytest.mark.parametrize(
    ("key", "cause"),
    [
        (KEY_NO_FUNDS, "ERROR_ZERO_BALANCE: You don't have funds"),
        (KEY_UNSOLVABLE, "ERROR_CAPTCHA_UNSOLVABLE: Workers could not"),
        ("somebody-elses-key", "ERROR_KEY_DOES_NOT_EXIST: Your API key"),
    ],
)
async def test_a_refusal_says_the_services_code_and_words_and_never_the_key(
    http: httpx.AsyncClient, demo: DemoUrls, key: str, cause: str
) -> None:
    with pytest.raises(CaptchaFailed) as caught:
        await solver(http, demo.captcha_url, key).solve(site_key=SITE_KEY, page_url=PAGE)
    assert caught.value.details is not None
    assert caught.value.details.startswith(cause)
    assert key not in str(caught.value)


async def test_a_site_key_that_the_service_does_not_take_is_a_refusal(
    http: httpx.AsyncClient, demo: DemoUrls
) -> None:
    with pytest.raises(CaptchaFailed, match="ERROR_RECAPTCHA_INVALID_SITEKEY"):
        await solver(http, demo.captcha_url).solve(site_key="6Lother", page_url=PAGE)


async def test_a_captcha_that_takes_too_long_fails_at_the_deadline(
    http: httpx.AsyncClient, demo: DemoUrls
) -> None:
    slow = solver(http, demo.captcha_url, KEY_SLOW, timeout_s=0.2)
    with pytest.raises(CaptchaFailed, match=r"no token within 0\.2 s"):
        await slow.solve(site_key=SITE_KEY, page_url=PAGE)


# -- a service that misbehaves, on a real socket ------------------------------------------------

_RESET = b""
_HTML = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 9\r\nConnection: close\r\n\r\n<html>502"


def reply(body: str, status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return (head + body).encode()


_MADE = reply('{"errorId":0,"taskId":"7"}')
_PROCESSING = reply('{"errorId":0,"status":"processing","solution":null}')
_READY = reply('{"errorId":0,"status":"ready","solution":{"gRecaptchaResponse":"03Atoken"}}')


@pytest.fixture
async def misbehaving(nursery: trio.Nursery) -> Callable:
    """Start a server that gives each connection the next of some raw answers."""

    async def start(*answers: bytes) -> str:
        left = list(answers)

        async def serve(stream: trio.SocketStream) -> None:
            async with stream:
                request = b""
                while b"\r\n\r\n" not in request or not request.endswith(b"}"):
                    request += await stream.receive_some()
                answer = left.pop(0)
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(answer)

        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        return f"http://127.0.0.1:{listener.socket.getsockname()[1]}"

    return start


async def test_a_dropped_connection_and_a_gateways_page_are_tried_again(
    http: httpx.AsyncClient, misbehaving: Callable
) -> None:
    url = await misbehaving(_MADE, _RESET, _PROCESSING, _READY)
    assert await solver(http, url).solve(site_key=SITE_KEY, page_url=PAGE) == "03Atoken"
    url = await misbehaving(_HTML, _MADE, _READY)
    assert await solver(http, url).solve(site_key=SITE_KEY, page_url=PAGE) == "03Atoken"


@pytest.mark.parametrize(
    ("answers", "cause"),
    [
        ([reply('{"errorId":0}')], "gave it no id"),
        ([_MADE, reply('{"errorId":0,"status":"ready"}')], "gave no token"),
        ([_MADE, reply('{"errorId":0,"status":"ready","solution":""}')], "gave no token"),
        ([_MADE, reply('{"errorId":0}')], "gave no token"),
        ([reply('{"errorId":99}')], "error 99"),
        (
            [reply('{"errorId":1,"errorCode":"E","errorDescription":"no key \'secret-key\'"}')],
            "E: no key '…'",
        ),
    ],
)
async def test_an_answer_that_makes_no_sense_is_named(
    http: httpx.AsyncClient, misbehaving: Callable, answers: list[bytes], cause: str
) -> None:
    url = await misbehaving(*answers)
    with pytest.raises(CaptchaFailed, match=cause):
        await solver(http, url, "secret-key").solve(site_key=SITE_KEY, page_url=PAGE)


async def test_an_endless_answer_is_not_read_to_its_end(
    http: httpx.AsyncClient, misbehaving: Callable
) -> None:
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b" " * 500_000
    url = await misbehaving(endless, _MADE, _READY)
    assert await solver(http, url).solve(site_key=SITE_KEY, page_url=PAGE) == "03Atoken"


async def test_cancelling_a_solve_ends_it_at_once(http: httpx.AsyncClient, demo: DemoUrls) -> None:
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            slow = solver(http, demo.captcha_url, KEY_SLOW, poll_interval_s=60)
            nursery.start_soon(lambda: slow.solve(site_key=SITE_KEY, page_url=PAGE))
            await trio.testing.wait_all_tasks_blocked(0.01)
            scope.cancel()
    assert scope.cancelled_caught


# -- in virtual time: what waiting costs ----------------------------------------------------------


class _Service:
    """A service in the same process, so that its client's pauses can be jumped over."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked_at: list[float] = []
        self.http = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked_at.append(trio.current_time())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(200, json=answer)


async def test_the_pauses_between_questions_grow_to_the_interval(
    autojump_clock: MockClock,
) -> None:
    processing = {"errorId": 0, "status": "processing"}
    ready = {"errorId": 0, "status": "ready", "solution": {"token": "t"}}
    service = _Service({"errorId": 0, "taskId": 1}, *[processing] * 6, ready)
    client = TwoCaptcha(service.http, base_url="http://s", api_key="some-key")
    assert await client.solve(site_key=SITE_KEY, page_url=PAGE) == "t"
    times = service.asked_at
    pauses = [round(later - sooner, 3) for sooner, later in itertools.pairwise(times)]
    assert pauses == [1.0, 1.5, 2.25, 3.375, 5.0, 5.0, 5.0]


@pytest.mark.parametrize(
    ("trouble", "cause"),
    [
        (httpx.ConnectError("refused"), "ConnectError: refused"),
        ({"errorId": 2, "errorCode": "ERROR_NO_SLOT_AVAILABLE"}, "ERROR_NO_SLOT_AVAILABLE"),
    ],
)
async def test_trouble_that_does_not_pass_fails_after_four_more_tries(
    autojump_clock: MockClock, trouble: object, cause: str
) -> None:
    service = _Service(trouble)
    client = TwoCaptcha(service.http, base_url="http://s", api_key="some-key")
    with pytest.raises(CaptchaFailed, match=cause):
        await client.solve(site_key=SITE_KEY, page_url=PAGE)
    assert [round(at - service.asked_at[0], 3) for at in service.asked_at] == [
        0,
        0.5,
        1.5,
        3.5,
        7.5,
    ]


async def test_a_service_that_never_finishes_an_answer_is_given_up_at_the_deadline(
    autojump_clock: MockClock,
) -> None:
    async def never(request: httpx.Request) -> httpx.Response:
        await trio.sleep_forever()
        raise AssertionError

    http = httpx.AsyncClient(transport=httpx.MockTransport(never))
    client = TwoCaptcha(http, base_url="http://s", api_key="some-key")
    begin = trio.current_time()
    with pytest.raises(CaptchaFailed, match="within 100 s"):
        await client.solve(site_key=SITE_KEY, page_url=PAGE)
    assert trio.current_time() - begin == pytest.approx(100)
