"""The captcha solver: 2captcha's JSON API, which its rivals speak too.

Laws of this file: every way to fail is a `CaptchaFailed` that says why; the key is in no message.
Source: 2captcha's API reference, methods createTask and getTaskResult.
"""

from __future__ import annotations

from typing import Final

import httpx
import msgspec
import trio

from actors.browser.captcha_account import CaptchaAccount
from actors.browser.errors import CaptchaFailed

_FIRST_POLL_S: Final = 1.0
_POLL_GROWTH: Final = 1.5
_REQUEST_TIMEOUT_S: Final = 20.0
_MAX_ANSWER_BYTES: Final = 64 * 1024
_MAX_TOKEN_CHARS: Final = 16 * 1024
_MAX_DETAILS_CHARS: Final = 300
# What may go wrong on the way, in all of one solve; what the service itself refuses is not retried.
_RETRIES: Final = 4
_FIRST_RETRY_S: Final = 0.5
_MAX_RETRY_S: Final = 5.0
_HIGHEST_COST: Final = 100.0  # of one captcha; what is beyond it is no price
# The one refusal that passes by itself: all of the service's workers are busy.
_BUSY: Final = "ERROR_NO_SLOT_AVAILABLE"


class _Solution(msgspec.Struct, rename="camel"):
    g_recaptcha_response: str | None = None
    token: str | None = None


class _Answer(msgspec.Struct, rename="camel"):
    error_id: int = 0
    error_code: str | None = None
    error_description: str | None = None
    task_id: int | str | None = None
    status: str | None = None
    # 2captcha gives `null`, its rivals an empty string, while there is none.
    solution: _Solution | str | None = None
    cost: str | float | None = None


class _Transient(Exception):
    """It may work the next time."""


class TwoCaptcha:
    """Solves reCAPTCHA v2 for one account. Holds no state: any number of solves may run at once.

    Args:
        http: the client to ask with; stays open.
        base_url: where the service is.
        api_key: the account's key; never in a message or a repr.
        timeout_s: the longest that one solve may take; default 100 s, twice what people need.
        poll_interval_s: the longest pause between two questions whether it is done; they begin at
            1 s and grow to this; default 5 s, which the service asks for.
        account: where each solve is entered.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        base_url: str,
        api_key: str,
        timeout_s: float = 100.0,
        poll_interval_s: float = 5.0,
        account: CaptchaAccount | None = None,
    ) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._timeout_s = timeout_s
        self._poll_interval_s = poll_interval_s
        self._account = account or CaptchaAccount()

    async def solve(self, *, site_key: str, page_url: str) -> str:
        """Return the token for the widget; implements `CaptchaSolver`.

        A task whose creation was answered by nothing is created again, so a bad network can cost a
        captcha more than once. A cancelled solve leaves its task to the service, which forgets it.

        Raises:
            CaptchaFailed: refused, out of funds, unsolvable, unreachable or too late; says which.
        """
        try:
            return await self._solve_in_time(site_key=site_key, page_url=page_url)
        except CaptchaFailed:
            self._account.give_up()
            raise

    async def _solve_in_time(self, *, site_key: str, page_url: str) -> str:
        with trio.move_on_after(self._timeout_s):
            return await self._solve(site_key=site_key, page_url=page_url)
        raise CaptchaFailed(f"the captcha service had no token within {self._timeout_s:g} s")

    async def _solve(self, *, site_key: str, page_url: str) -> str:
        retries = _Retries()
        task = {
            "type": "RecaptchaV2TaskProxyless",
            "websiteURL": page_url,
            "websiteKey": site_key,
        }
        made = await self._ask(retries, "createTask", {"task": task})
        if made.task_id is None:
            raise CaptchaFailed("the captcha service took the task and gave it no id")
        pause_s = min(_FIRST_POLL_S, self._poll_interval_s)
        while True:
            await trio.sleep(pause_s)
            answer = await self._ask(retries, "getTaskResult", {"taskId": made.task_id})
            if answer.status != "processing":
                token = _token(answer)
                self._account.charge(_cost(answer.cost))
                return token
            pause_s = min(pause_s * _POLL_GROWTH, self._poll_interval_s)

    async def _ask(self, retries: _Retries, method: str, body: dict[str, object]) -> _Answer:
        while True:
            try:
                answer = await self._ask_once(method, body)
            except _Transient as error:
                await retries.pause(self._without_key(str(error)))
                continue
            if answer.error_id == 0:
                return answer
            code = answer.error_code or f"error {answer.error_id}"
            text = ": ".join(filter(None, (code, answer.error_description)))
            if code != _BUSY:
                raise CaptchaFailed(self._without_key(text))
            await retries.pause(self._without_key(text))

    async def _ask_once(self, method: str, body: dict[str, object]) -> _Answer:
        """Return the service's answer; its refusals are answers too."""
        url = f"{self._base_url}/{method}"
        asked = {"clientKey": self._api_key, **body}
        try:
            with trio.fail_after(_REQUEST_TIMEOUT_S):
                async with self._http.stream("POST", url, json=asked) as answer:
                    content = await _read(answer)
        except trio.TooSlowError:
            cause = f"no answer within {_REQUEST_TIMEOUT_S:g} s"
            raise _Transient(f"the captcha service did not answer: {cause}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            cause = f"{type(error).__name__}: {error}"
            raise _Transient(f"the captcha service did not answer: {cause}") from None
        try:
            decoded = msgspec.json.decode(content, type=_Answer)
        except msgspec.DecodeError:
            decoded = None
        if decoded is None or (answer.is_error and decoded.error_id == 0):
            # Its front ends answer overload with a page of their own, whatever the status.
            raise _Transient(f"the captcha service answered {answer.status_code} and no result")
        return decoded

    def _without_key(self, text: str) -> str:
        """Services have been seen to repeat the key in their description."""
        return (text.replace(self._api_key, "…") if self._api_key else text)[:_MAX_DETAILS_CHARS]


class _Retries:
    """How often one solve may yet try again."""

    def __init__(self) -> None:
        self._left = _RETRIES
        self._pause_s = _FIRST_RETRY_S

    async def pause(self, cause: str) -> None:
        """Wait before the next try, longer each time.

        Raises:
            CaptchaFailed: there is none left; says `cause`.
        """
        if self._left == 0:
            raise CaptchaFailed(cause)
        self._left -= 1
        await trio.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, _MAX_RETRY_S)


async def _read(answer: httpx.Response) -> bytes:
    content = b""
    # httpx nests generators that nothing closes when the loop is left; cancelling ends them all.
    with trio.CancelScope() as scope:
        async for chunk in answer.aiter_bytes():
            content += chunk
            if len(content) > _MAX_ANSWER_BYTES:
                scope.cancel()
    if len(content) > _MAX_ANSWER_BYTES:
        raise _Transient("the captcha service answered with more than a token can take")
    return content


def _cost(said: str | float | None) -> float:
    """Return what a solve cost; 0 when the service says nothing that could be a price."""
    try:
        cost = float(said or 0)
    except ValueError:
        return 0.0
    return cost if 0 <= cost < _HIGHEST_COST else 0.0


def _token(answer: _Answer) -> str:
    solution = answer.solution
    if answer.status == "ready" and isinstance(solution, _Solution):
        token = solution.g_recaptcha_response or solution.token
        if token and len(token) <= _MAX_TOKEN_CHARS:
            return token
    raise CaptchaFailed("the captcha service called the task done and gave no token")
