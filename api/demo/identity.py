"""How one logs in at the demo portal: an OpenID-like round trip through an identity page.

/login -> /connect/authorize -> /Account/Login (form) -> /connect/authorize/callback
-> /signin-oidc (one-time code) -> the session cookie and the page that was asked for.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from quart import Blueprint, Response, redirect, request
from quart.typing import ResponseTypes

from api.demo.accounts import Account, log_in
from api.demo.expiring import Expiring
from api.demo.site import SESSION_COOKIE, Site
from api.demo.widget import SITE_KEY

HOME: Final = "/containers"
_CALLBACK: Final = "/connect/authorize/callback"
_CLIENT: Final = "truckerportal"
_STATE_COOKIE: Final = ".HarborTerminal.OpenIdConnect.State"
_FORGERY_COOKIE: Final = ".HarborTerminal.Antiforgery"
_STATE_TTL_S: Final = 15 * 60.0
_CODE_TTL_S: Final = 60.0

WRONG_CAPTCHA: Final = "Captcha validation failed. Please try again."
WRONG_PASSWORD: Final = "Invalid username or password"  # noqa: S105 - a message
_STALE_FORM: Final = "This sign-in page has expired. Please try again."


class _Identity:
    """The round trips that are under way."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._forgery_key = bytes.fromhex(site.secret())
        # State -> the page that was asked for.
        self._states: Expiring[str] = Expiring(ttl_s=_STATE_TTL_S)
        # One-time code -> (state it belongs to, who logged in).
        self._codes: Expiring[tuple[str, Account]] = Expiring(ttl_s=_CODE_TTL_S)

    def begin(self, wanted: str) -> str:
        state = self.site.secret()
        self._states.put(state, wanted if wanted in (HOME, "/myappointments") else HOME)
        return state

    def issue_code(self, state: str, account: Account) -> str:
        code = self.site.secret()
        self._codes.put(code, (state, account))
        return code

    def redeem(self, code: str, state: str) -> tuple[Account, str] | None:
        """Return who logged in and the page that was asked for; each code and state works once."""
        issued = self._codes.take(code)
        wanted = self._states.take(state)
        if issued is None or wanted is None or not hmac.compare_digest(issued[0], state):
            return None
        return issued[1], wanted

    def forgery_token(self, cookie: str) -> str:
        return hmac.new(self._forgery_key, cookie.encode(), hashlib.sha256).hexdigest()


def identity_routes(site: Site) -> Blueprint:
    """Return the routes from `/login` to the session cookie, and the way out."""
    identity = _Identity(site)
    routes = Blueprint("identity", __name__)

    @routes.get("/login")
    async def login() -> ResponseTypes:
        if site.session() is not None:
            return redirect(HOME)
        state = identity.begin(request.args.get("returnUrl", HOME))
        answer = redirect(f"/connect/authorize?{_authorization(state)}")
        answer.set_cookie(_STATE_COOKIE, state, httponly=True, samesite="Lax")
        return answer

    @routes.get("/connect/authorize")
    async def authorize() -> ResponseTypes:
        back = f"{_CALLBACK}?{request.query_string.decode('latin-1')}"
        return redirect(f"/Account/Login?{urlencode({'ReturnUrl': back})}")

    @routes.get("/Account/Login")
    async def form() -> ResponseTypes:
        if _state_of(request.args.get("ReturnUrl", "")) is None:
            return redirect("/login")
        return await _form(identity)

    @routes.post("/Account/Login")
    async def submit() -> ResponseTypes:
        return await _submit(identity)

    @routes.get("/signin-oidc")
    async def signed_in() -> ResponseTypes:
        state = request.cookies.get(_STATE_COOKIE, "")
        redeemed = identity.redeem(request.args.get("code", ""), state)
        if redeemed is None or request.args.get("state") != state:
            return redirect("/login")
        account, wanted = redeemed
        answer = redirect(wanted)
        answer.delete_cookie(_STATE_COOKIE)
        cookie = await site.open_session(account)
        answer.set_cookie(SESSION_COOKIE, cookie, httponly=True, samesite="Lax")
        return answer

    @routes.post("/Account/Logout")
    async def logout() -> ResponseTypes:
        await site.close_session()
        answer = redirect("/login")
        answer.delete_cookie(SESSION_COOKIE)
        return answer

    return routes


async def _form(identity: _Identity, *, error: str = "", username: str = "") -> Response:
    cookie = request.cookies.get(_FORGERY_COOKIE) or identity.site.secret()
    page = await identity.site.page(
        "login.html",
        error=error,
        username=username,
        captcha_url=identity.site.captcha_url,
        site_key=SITE_KEY,
        forgery_token=identity.forgery_token(cookie),
    )
    page.set_cookie(_FORGERY_COOKIE, cookie, httponly=True, samesite="Strict")
    return page


async def _submit(identity: _Identity) -> ResponseTypes:
    fields = await request.form
    username = fields.get("Username", "")
    state = _state_of(request.args.get("ReturnUrl", ""))
    forgery = identity.forgery_token(request.cookies.get(_FORGERY_COOKIE, ""))
    given = fields.get("__RequestVerificationToken", "")
    if state is None or not hmac.compare_digest(forgery.encode(), given.encode()):
        return await _form(identity, error=_STALE_FORM, username=username)
    if not await identity.site.captcha_passes(fields.get("g-recaptcha-response", "")):
        return await _form(identity, error=WRONG_CAPTCHA, username=username)
    account = log_in(username, fields.get("Password", ""))
    if account is None:
        return await _form(identity, error=WRONG_PASSWORD, username=username)
    code = identity.issue_code(state, account)
    return redirect(f"/signin-oidc?{urlencode({'code': code, 'state': state})}")


def _authorization(state: str) -> str:
    return urlencode(
        {
            "client_id": _CLIENT,
            "redirect_uri": "/signin-oidc",
            "response_type": "code",
            "scope": "openid profile",
            "state": state,
        }
    )


def _state_of(return_url: str) -> str | None:
    """Return the state of an authorization that is under way; None for any other address."""
    parts = urlsplit(return_url)
    if parts.scheme or parts.netloc or parts.path != _CALLBACK:
        return None
    found = parse_qs(parts.query).get("state")
    return found[0] if found else None
