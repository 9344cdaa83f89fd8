"""The dashboard's cookie: a token of a login, for pages of ours only.

Laws of this file: pure. Over https its name begins with `__Host-`, so that no other host and no
plain connection can have set it. It is HttpOnly, and Lax, so that a link from an e-mail finds the
person logged in; what changes something needs our own Origin besides.
"""

from __future__ import annotations

from typing import Any, Final

from quart import Response

from actors.partner.tenants.accounts import LIFE_S
from api.guard import Facts

_NAME: Final = "mooring-partner"


def cookie_name(*, is_https: bool) -> str:
    """Return what the cookie is called."""
    return f"__Host-{_NAME}" if is_https else _NAME


def set_cookie(response: Response, token: str, *, is_https: bool) -> None:
    """Let the browser keep a login's token."""
    response.set_cookie(
        cookie_name(is_https=is_https), token, max_age=LIFE_S["web"], **_marks(is_https=is_https)
    )


def forget_cookie(response: Response, *, is_https: bool) -> None:
    """Let the browser forget it."""
    response.delete_cookie(cookie_name(is_https=is_https), **_marks(is_https=is_https))


def cookie_of(facts: Facts, *, is_https: bool) -> str | None:
    """Return the token that a request brings along; None without exactly one."""
    wanted = cookie_name(is_https=is_https)
    found = [
        value.strip()
        for header in facts.values("cookie")
        for name, _, value in (part.partition("=") for part in header.split(";"))
        if name.strip() == wanted
    ]
    return found[0] if len(found) == 1 else None


def _marks(*, is_https: bool) -> dict[str, Any]:
    return {"path": "/", "secure": is_https, "httponly": True, "samesite": "Lax"}
