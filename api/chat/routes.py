"""The chat page's three files, and its login.

The files hold no secret, so they are served to whoever may ask for the login. What the page does
with conversations goes through their own routes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import trio
from quart import Blueprint, Response, request
from quart_trio.wrappers import TrioResponse

from api.body import read_object, take_text
from api.errors import FieldsMissing, TokenRequired
from api.guard import Policy, digest_of_token
from api.login import COOKIE, LIFE_S, issue_cookie
from engine.clock import Clock

_FILES: Final = {
    "/chat": ("chat.html", "text/html; charset=utf-8"),
    "/chat/chat.css": ("chat.css", "text/css; charset=utf-8"),
    "/chat/chat.js": ("chat.js", "text/javascript; charset=utf-8"),
}
_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_LONGEST_TOKEN: Final = 4096
# A person does not notice; somebody who tries tokens one after the other does.
_WRONG_TOKEN_S: Final = 0.5


def chat_routes(policy: Policy, clock: Clock, *, is_https: bool) -> Blueprint:
    """Return the routes.

    Args:
        is_https: browsers reach the server over https, so the cookie is for https only.
    """
    routes = Blueprint("chat", __name__)
    for path, (name, content_type) in _FILES.items():
        body = (Path(__file__).parent / name).read_bytes()
        routes.add_url_rule(path, name.replace(".", "_"), _file(body, content_type))

    @routes.post("/chat/login")
    async def login() -> Response:
        """Give a cookie for a token."""
        token = take_text(await read_object(request), "token", longest=_LONGEST_TOKEN)
        if token is None:
            raise FieldsMissing(("token",))
        digest = digest_of_token(token, policy)
        if digest is None:
            await trio.sleep(_WRONG_TOKEN_S)
            raise TokenRequired("That token is not known here")
        response = TrioResponse(status=204)
        response.set_cookie(
            COOKIE,
            issue_cookie(digest, clock.now()),
            max_age=LIFE_S,
            path="/",
            secure=is_https,
            httponly=True,
            samesite="Strict",
        )
        return response

    @routes.post("/chat/logout")
    async def logout() -> Response:
        """Take the cookie back."""
        response = TrioResponse(status=204)
        response.delete_cookie(COOKIE, path="/", secure=is_https, httponly=True, samesite="Strict")
        return response

    return routes


def _file(body: bytes, content_type: str) -> Callable[[], Awaitable[Response]]:
    async def view() -> Response:
        return TrioResponse(body, headers=_HEADERS, content_type=content_type)

    return view
