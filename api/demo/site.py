"""What the demo portal knows while it runs: its logins, and how it has been told to behave."""

from __future__ import annotations

from typing import Annotated, Final

import httpx
import msgspec
import trio
from quart import Response, render_template, request

from api.demo.accounts import Account
from api.demo.expiring import Expiring
from api.demo.widget import SECRET
from engine.clock import Clock

SESSION_COOKIE: Final = ".HarborTerminal.Session"
SESSION_TTL_S: Final = 20 * 60.0
_SECRET_BITS: Final = 256
_VERIFY_TIMEOUT_S: Final = 10.0
_MAX_TOKEN_CHARS: Final = 4096


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What `POST /__control` may ask for; what is left out stays as it is."""

    delay_s: Annotated[float, msgspec.Meta(ge=0, le=600)] | None = None
    logout_all: bool = False
    fail: bool | None = None
    captcha_broken: bool | None = None
    session_ttl_s: Annotated[float, msgspec.Meta(gt=0, le=86_400)] | None = None


class Session(msgspec.Struct, frozen=True):
    """A login. `number` counts the portal's logins, so that pages can tell a new one."""

    account: Account
    number: int


class Site:
    """The portal's memory. Nothing in it outlives the process."""

    def __init__(self, clock: Clock, captcha_url: str) -> None:
        self._clock = clock
        self.captcha_url = captcha_url
        self.sessions: Expiring[Session] = Expiring(ttl_s=SESSION_TTL_S)
        self.delay_s = 0.0
        self.fail = False
        self.captcha_broken = False
        # Account -> successful logins since the start; accounts are anybody's to invent.
        self.logins: Expiring[int] = Expiring(ttl_s=float("inf"))
        self._login_count = 0
        # Open while the app serves.
        self._http: httpx.AsyncClient | None = None

    def secret(self) -> str:
        """Return a new unguessable word for a cookie, a code or a form."""
        return f"{self._clock.random_bits(_SECRET_BITS):064x}"

    def apply(self, change: Change) -> None:
        if change.delay_s is not None:
            self.delay_s = change.delay_s
        if change.fail is not None:
            self.fail = change.fail
        if change.captcha_broken is not None:
            self.captcha_broken = change.captcha_broken
        if change.session_ttl_s is not None:
            self.sessions.ttl_s = change.session_ttl_s
        if change.logout_all:
            self.sessions.clear()

    def open_session(self, account: Account) -> str:
        """Count the login and return the session's cookie."""
        self._login_count += 1
        self.logins.put(account.username, (self.logins.peek(account.username) or 0) + 1)
        cookie = self.secret()
        self.sessions.put(cookie, Session(account, self._login_count))
        return cookie

    def session(self) -> Session | None:
        """Return the session of the request being handled, and prolong it."""
        return self.sessions.touch(request.cookies.get(SESSION_COOKIE, ""))

    async def page(self, template: str, **values: object) -> Response:
        """Return an HTML page, as late as the portal has been told to be."""
        await trio.sleep(self.delay_s)
        html = await render_template(template, **values)
        return Response(html, content_type="text/html; charset=utf-8")

    async def rows(self, body: object) -> Response:
        """Return what a page asked for by XHR, as late as the portal has been told to be."""
        await trio.sleep(self.delay_s)
        return Response(msgspec.json.encode(body), content_type="application/json")

    async def serve_with(self, http: httpx.AsyncClient | None) -> None:
        self._http = http

    async def captcha_passes(self, token: str) -> bool:
        """Ask the captcha server about the token; no answer is a no."""
        if self.captcha_broken or self._http is None or not 0 < len(token) <= _MAX_TOKEN_CHARS:
            return False
        form = {"secret": SECRET, "response": token}
        url = f"{self.captcha_url}/recaptcha/api/siteverify"
        try:
            with trio.fail_after(_VERIFY_TIMEOUT_S):
                answer = await self._http.post(url, data=form)
            return answer.status_code == 200 and answer.json().get("success") is True
        except (httpx.HTTPError, trio.TooSlowError, ValueError):
            return False
