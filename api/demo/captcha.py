"""The demo captcha server: 2captcha's JSON API on one side, reCAPTCHA's on the other.

Solving takes `solve_s`; a token works once, within two minutes, for the site key it was made for.
Source: 2captcha's API reference (createTask, getTaskResult, error codes) and Google's "Verifying
the user's response".
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import trio
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from api.demo.expiring import Expiring
from api.demo.widget import SITE_KEY, Tokens, add_widget
from engine.clock import Clock

# What each key does; any other key is unknown to the server.
KEY: Final = "demo-captcha-key"
KEY_NO_FUNDS: Final = "demo-zero-balance-key"
KEY_UNSOLVABLE: Final = "demo-unsolvable-key"  # accepted, then given up
KEY_SLOW: Final = "demo-slow-key"  # accepted, never ready
KEY_OF_FORGERIES: Final = "demo-bad-token-key"  # solved, with a token that no site takes
_KEYS: Final = frozenset({KEY, KEY_NO_FUNDS, KEY_UNSOLVABLE, KEY_SLOW, KEY_OF_FORGERIES})

_RECAPTCHA_TASKS: Final = frozenset(
    {"RecaptchaV2TaskProxyless", "RecaptchaV2Task", "NoCaptchaTaskProxyless"}
)
_MAX_BODY_BYTES: Final = 16 * 1024
_TASK_TTL_S: Final = 600.0
_COST: Final = "0.00299"

# 2captcha's own numbers and sentences.
_ERRORS: Final[dict[str, tuple[int, str]]] = {
    "ERROR_KEY_DOES_NOT_EXIST": (1, "Your API key is incorrect"),
    "ERROR_ZERO_BALANCE": (10, "You don't have funds on your account"),
    "ERROR_CAPTCHA_UNSOLVABLE": (12, "Workers could not solve the captcha"),
    "ERROR_NO_SUCH_METHOD": (14, "Request made to API with a method that does not exist"),
    "ERROR_NO_SUCH_CAPCHA_ID": (16, "You've provided incorrect captcha ID in the request"),
    "ERROR_TASK_ABSENT": (22, "task property is missing in your createTask method call"),
    "ERROR_TASK_NOT_SUPPORTED": (23, "The type of task is not supported by our API"),
    "ERROR_RECAPTCHA_INVALID_SITEKEY": (31, "The sitekey of the task is not valid"),
    "ERROR_BAD_PARAMETERS": (110, "The required parameters are missing or incorrect"),
}


class _Refused(Exception):
    """The request gets one of 2captcha's error codes."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _TaskWanted(msgspec.Struct, rename="camel"):
    type: str = ""
    website_url: str = msgspec.field(name="websiteURL", default="")
    website_key: str = ""


class _Call(msgspec.Struct, rename="camel"):
    """The body of every method; each uses what it needs."""

    client_key: str = ""
    task: _TaskWanted | None = None
    task_id: int | str | None = None


class _Task(msgspec.Struct, frozen=True, kw_only=True):
    client_key: str
    website_url: str
    created_s: int
    ready_at: float


def make_captcha(clock: Clock, *, solve_s: float = 1.0) -> QuartTrio:
    """Return the captcha server as an app.

    Args:
        clock: where wall time and tokens come from.
        solve_s: how long a task is "processing"; default one second.
    """
    app = QuartTrio(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = _MAX_BODY_BYTES
    tokens = Tokens(clock)
    desk = _Desk(clock, tokens, solve_s)

    async def create_task() -> Response:
        return _json({"errorId": 0, "taskId": desk.create_task(await _call())})

    async def get_task_result() -> Response:
        return _json({"errorId": 0, **desk.task_result(await _call())})

    async def get_balance() -> Response:
        call = await _call()
        return _json({"errorId": 0, "balance": 0.0 if call.client_key != KEY else 100.0})

    app.add_url_rule("/createTask", view_func=create_task, methods=["POST"])
    app.add_url_rule("/getTaskResult", view_func=get_task_result, methods=["POST"])
    app.add_url_rule("/getBalance", view_func=get_balance, methods=["POST"])
    app.register_error_handler(_Refused, _refuse)
    app.register_error_handler(HTTPException, _no_such_method)
    add_widget(app, tokens)
    return app


class _Desk:
    """Takes tasks in and gives solutions out."""

    def __init__(self, clock: Clock, tokens: Tokens, solve_s: float) -> None:
        self._clock = clock
        self._tokens = tokens
        self._solve_s = solve_s
        self._tasks: Expiring[_Task] = Expiring(ttl_s=_TASK_TTL_S)

    def create_task(self, call: _Call) -> int:
        if call.client_key == KEY_NO_FUNDS:
            raise _Refused("ERROR_ZERO_BALANCE")
        if call.task is None:
            raise _Refused("ERROR_TASK_ABSENT")
        if call.task.type not in _RECAPTCHA_TASKS:
            raise _Refused("ERROR_TASK_NOT_SUPPORTED")
        if call.task.website_key != SITE_KEY:
            raise _Refused("ERROR_RECAPTCHA_INVALID_SITEKEY")
        if not call.task.website_url.startswith(("http://", "https://")):
            raise _Refused("ERROR_BAD_PARAMETERS")
        task_id = self._clock.random_bits(48)
        task = _Task(
            client_key=call.client_key,
            website_url=call.task.website_url,
            created_s=int(self._clock.now().timestamp()),
            ready_at=trio.current_time() + self._solve_s,
        )
        self._tasks.put(str(task_id), task)
        return task_id

    def task_result(self, call: _Call) -> dict[str, Any]:
        task = self._tasks.peek(str(call.task_id))
        if task is None or task.client_key != call.client_key:
            raise _Refused("ERROR_NO_SUCH_CAPCHA_ID")
        if trio.current_time() < task.ready_at or task.client_key == KEY_SLOW:
            return {"status": "processing"}
        self._tasks.take(str(call.task_id))
        if task.client_key == KEY_UNSOLVABLE:
            raise _Refused("ERROR_CAPTCHA_UNSOLVABLE")
        good = task.client_key == KEY
        token = self._tokens.issue(task.website_url) if good else self._tokens.forge()
        return {
            "status": "ready",
            "solution": {"gRecaptchaResponse": token, "token": token},
            "cost": _COST,
            "ip": "127.0.0.1",
            "createTime": task.created_s,
            "endTime": int(self._clock.now().timestamp()),
            "solveCount": 1,
        }


async def _call() -> _Call:
    try:
        call = msgspec.json.decode(await request.get_data(), type=_Call)
    except msgspec.DecodeError:
        raise _Refused("ERROR_BAD_PARAMETERS") from None
    if call.client_key not in _KEYS:
        raise _Refused("ERROR_KEY_DOES_NOT_EXIST")
    return call


def _json(body: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(body), content_type="application/json")


async def _refuse(error: _Refused) -> Response:
    number, description = _ERRORS[error.code]
    return _json({"errorId": number, "errorCode": error.code, "errorDescription": description})


async def _no_such_method(error: HTTPException) -> Response:
    # 2captcha answers its errors with 200; a body that is too large is cut off with its own status.
    if error.code == 413:
        return Response("", status=413)
    return await _refuse(_Refused("ERROR_NO_SUCH_METHOD"))
