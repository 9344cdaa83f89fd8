from __future__ import annotations

import httpx
import pytest
import trio
from trio.testing import MockClock

from api.demo.captcha import (
    KEY,
    KEY_NO_FUNDS,
    KEY_SLOW,
    KEY_UNSOLVABLE,
    make_captcha,
)
from api.demo.widget import SECRET, SITE_KEY, Tokens
from engine.clock import SeededClock

from .conftest import Visitor

TASK = {
    "type": "RecaptchaV2TaskProxyless",
    "websiteURL": "http://127.0.0.1/login",
    "websiteKey": SITE_KEY,
}


async def test_a_task_is_processing_first_and_ready_once_it_has_been_solved(
    autojump_clock: MockClock,
) -> None:
    client = make_captcha(SeededClock(), solve_s=1.0).test_client()
    made = await (await client.post("/createTask", json={"clientKey": KEY, "task": TASK})).json
    assert made["errorId"] == 0
    asked = {"clientKey": KEY, "taskId": made["taskId"]}
    answer = await (await client.post("/getTaskResult", json=asked)).json
    assert answer == {"errorId": 0, "status": "processing"}
    await trio.sleep(1.0)
    answer = await (await client.post("/getTaskResult", json=asked)).json
    assert answer["status"] == "ready"
    assert answer["solution"]["gRecaptchaResponse"].startswith("03A")
    assert answer["endTime"] == answer["createTime"] + 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"clientKey": "somebody", "task": TASK}, "ERROR_KEY_DOES_NOT_EXIST"),
        ({"task": TASK}, "ERROR_KEY_DOES_NOT_EXIST"),
        ({"clientKey": KEY_NO_FUNDS, "task": TASK}, "ERROR_ZERO_BALANCE"),
        ({"clientKey": KEY}, "ERROR_TASK_ABSENT"),
        ({"clientKey": KEY, "task": TASK | {"type": "Poem"}}, "ERROR_TASK_NOT_SUPPORTED"),
        (
            {"clientKey": KEY, "task": TASK | {"websiteKey": "6L"}},
            "ERROR_RECAPTCHA_INVALID_SITEKEY",
        ),
        ({"clientKey": KEY, "task": TASK | {"websiteURL": "x"}}, "ERROR_BAD_PARAMETERS"),
        ({"clientKey": 5}, "ERROR_BAD_PARAMETERS"),
    ],
)
async def test_a_task_that_cannot_be_taken_gets_2captchas_code(
    visitor: Visitor, body: dict, code: str
) -> None:
    answer = await visitor.captcha("createTask", **body)
    assert answer["errorId"] > 0
    assert answer["errorCode"] == code
    assert answer["errorDescription"]


async def test_a_result_is_given_to_its_own_key_only(visitor: Visitor) -> None:
    made = await visitor.captcha("createTask", clientKey=KEY, task=TASK)
    stranger = await visitor.captcha(
        "getTaskResult", clientKey=KEY_UNSOLVABLE, taskId=made["taskId"]
    )
    assert stranger["errorCode"] == "ERROR_NO_SUCH_CAPCHA_ID"


async def test_the_unsolvable_key_is_told_so_and_the_slow_one_waits_for_ever(
    visitor: Visitor,
) -> None:
    made = await visitor.captcha("createTask", clientKey=KEY_UNSOLVABLE, task=TASK)
    answer = await visitor.captcha("getTaskResult", clientKey=KEY_UNSOLVABLE, taskId=made["taskId"])
    assert answer["errorCode"] == "ERROR_CAPTCHA_UNSOLVABLE"
    made = await visitor.captcha("createTask", clientKey=KEY_SLOW, task=TASK)
    answer = await visitor.captcha("getTaskResult", clientKey=KEY_SLOW, taskId=made["taskId"])
    assert answer == {"errorId": 0, "status": "processing"}


async def test_unknown_methods_and_what_is_not_json_get_a_code_too(visitor: Visitor) -> None:
    assert (await visitor.captcha("reportCorrect"))["errorCode"] == "ERROR_NO_SUCH_METHOD"
    url = f"{visitor.urls.captcha_url}/createTask"
    answer = await visitor.http.post(url, content=b"not json")
    assert answer.json()["errorCode"] == "ERROR_BAD_PARAMETERS"
    assert (await visitor.http.post(url, content=b"x" * 100_000)).status_code == 413
    assert (await visitor.captcha("getBalance", clientKey=KEY)) == {"errorId": 0, "balance": 100.0}


async def test_a_site_checks_a_token_once_and_with_its_own_secret(visitor: Visitor) -> None:
    async def verify(secret: str, response: str) -> dict:
        form = {"secret": secret, "response": response}
        url = f"{visitor.urls.captcha_url}/recaptcha/api/siteverify"
        return (await visitor.http.post(url, data=form)).json()

    token = await visitor.token()
    assert (await verify("wrong", token))["error-codes"] == ["invalid-input-secret"]
    assert (await verify(SECRET, ""))["error-codes"] == ["missing-input-response"]
    good = await verify(SECRET, token)
    assert good["success"] is True
    assert good["hostname"] == "127.0.0.1"
    assert (await verify(SECRET, token))["error-codes"] == ["timeout-or-duplicate"]


async def test_a_token_is_too_old_after_two_minutes(autojump_clock: MockClock) -> None:
    tokens = Tokens(SeededClock())
    token = tokens.issue("http://127.0.0.1/")
    await trio.sleep(120)
    assert tokens.verify(SECRET, token)["error-codes"] == ["timeout-or-duplicate"]


async def test_a_person_who_ticks_the_box_gets_a_token(visitor: Visitor) -> None:
    base = f"{visitor.urls.captcha_url}/recaptcha"
    script = await visitor.http.get(f"{base}/api.js")
    assert visitor.urls.captcha_url in script.text
    box = await visitor.http.get(f"{base}/api2/anchor", params={"k": SITE_KEY})
    assert "I'm not a robot" in box.text
    wrong: httpx.Response = await visitor.http.get(f"{base}/api2/anchor", params={"k": "other"})
    assert wrong.status_code == 400
    ticked = await visitor.http.post(
        f"{base}/api2/userverify", data={"k": SITE_KEY, "co": visitor.urls.portal_url}
    )
    page = await visitor.log_in("driver-1", "harbor-1", token=ticked.json()["token"])
    assert page.url.path == "/containers"
