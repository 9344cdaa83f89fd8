"""What the demo portal knows: its logins, and how it has been told to behave."""

from __future__ import annotations

import hashlib
from typing import Annotated, Final

import httpx
import msgspec
import trio
from quart import Response, render_template, request

from api.demo.accounts import Account, account_of
from api.demo.expiring import Expiring
from api.demo.memory import Kept, KeptLogin, Memory
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
    """The portal's mind. Logins and their counts outlive the process as far as `memory` does.

    Args:
        memory: has been read.
    """

    def __init__(self, clock: Clock, captcha_url: str, memory: Memory) -> None:
        self._clock = clock
        self._memory = memory
        self.captcha_url = captcha_url
        # By the digests of their cookies.
        self.sessions: Expiring[Session] = Expiring(ttl_s=SESSION_TTL_S)
        self.delay_s = 0.0
        self.fail = False
        self.captcha_broken = False
        # Account -> successful logins since the first start; accounts are anybody's to invent.
        self.logins: Expiring[int] = Expiring(ttl_s=float("inf"))
        self._login_count = 0
        self._recall(memory.kept)
        # Open while the app serves.
        self._http: httpx.AsyncClient | None = None

    def secret(self) -> str:
        """Return a new unguessable word for a cookie, a code or a form."""
        return f"{self._clock.random_bits(_SECRET_BITS):064x}"

    async def apply(self, change: Change) -> None:
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
            await self._remember()

    async def open_session(self, account: Account) -> str:
        """Count the login and return the session's cookie."""
        self._login_count += 1
        self.logins.put(account.username, (self.logins.peek(account.username) or 0) + 1)
        cookie = self.secret()
        self.sessions.put(_digest(cookie), Session(account, self._login_count))
        await self._remember()
        return cookie

    async def close_session(self) -> None:
        """End the session of the request being handled."""
        self.sessions.take(_digest(request.cookies.get(SESSION_COOKIE, "")))
        await self._remember()

    def session(self) -> Session | None:
        """Return the session of the request being handled, and prolong it."""
        return self.sessions.touch(_digest(request.cookies.get(SESSION_COOKIE, "")))

    async def page(self, template: str, **values: object) -> Response:
        """Return an HTML page, as late as the portal has been told to be."""
        await trio.sleep(self.delay_s)
        html = await render_template(template, **values)
        return Response(html, content_type="text/html; charset=utf-8")

    async def rows(self, body: object) -> Response:
        """Return what a page asked for by XHR, as late as the portal has been told to be."""
        await trio.sleep(self.delay_s)
        return Response(msgspec.json.encode(body), content_type="application/json")

    def _recall(self, kept: Kept) -> None:
        for username, count in kept.logins.items():
            self.logins.put(username, count)
        for login in kept.sessions:
            account = account_of(login.username)
            if account is not None:
                self.sessions.put(login.cookie, Session(account, login.number))
                self._login_count = max(self._login_count, login.number)

    async def _remember(self) -> None:
        sessions = tuple(
            KeptLogin(cookie, session.account.username, session.number)
            for cookie, session in self.sessions.items()
        )
        kept = msgspec.structs.replace(
            self._memory.kept, sessions=sessions, logins=dict(self.logins.items())
        )
        await self._memory.keep(kept)

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


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
