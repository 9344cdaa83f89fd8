"""Which browser acts: a cookie for each session, and what a form of ours must bring along.

Laws of this file: pure but for drawing a secret. The server keeps nothing of a cookie that it has
handed out until its browser acts; then it keeps a digest. A form's mark is made from the cookie, so
a page that cannot read the cookie cannot make one, and it is good in no other browser.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

import msgspec
from quart import Response

from actors.partner.hosted import MAX_EXTENSIONS, digest_of, is_token, new_token
from api.guard import Facts
from engine.clock import Clock

# How long a visitor may still come back to what has ended.
_AFTERWARDS_S: Final = 24 * 3600
_PURPOSE: Final = b"mooring visitor form, version 1"


class Browser(msgspec.Struct, frozen=True, kw_only=True):
    """The browser that makes a request. Its repr shows no secret.

    Attributes:
        is_new: it brought no cookie, and is to be given this one.
    """

    secret: str
    is_new: bool

    @property
    def digest(self) -> str:
        """What the session knows it by."""
        return digest_of(self.secret)

    @property
    def mark(self) -> str:
        """What its forms bring along."""
        return hmac.new(self.secret.encode(), _PURPOSE, hashlib.sha256).hexdigest()

    def has_mark(self, mark: str) -> bool:
        """Tell whether a form was made for this browser."""
        return not self.is_new and hmac.compare_digest(mark.encode(), self.mark.encode())

    def __repr__(self) -> str:
        return f"Browser(is_new={self.is_new})"


def browser_of(facts: Facts, session_id: str, clock: Clock, *, is_https: bool) -> Browser:
    """Return the browser of a request about a session; a new one when it brings no cookie for it,
    or more than one."""
    name = _name(session_id, is_https=is_https)
    found = [
        value.strip()
        for header in facts.values("cookie")
        for key, _, value in (part.partition("=") for part in header.split(";"))
        if key.strip() == name
    ]
    if len(found) == 1 and is_token(found[0]):
        return Browser(secret=found[0], is_new=False)
    return Browser(secret=new_token(clock), is_new=True)


def life_of_cookie(ttl_s: float) -> int:
    """Return how long a cookie is kept: longer than its session can be put off, and a day more.

    A browser that loses it in between is a stranger's.
    """
    return int(ttl_s * (1 + MAX_EXTENSIONS)) + _AFTERWARDS_S


def give_cookie(
    response: Response, browser: Browser, session_id: str, *, life_s: int, is_https: bool
) -> None:
    """Let a new browser keep its cookie."""
    if browser.is_new:
        response.set_cookie(
            _name(session_id, is_https=is_https),
            browser.secret,
            max_age=life_s,
            # Lax: a visitor who comes back by the partner's link is still the same one.
            path="/",
            secure=is_https,
            httponly=True,
            samesite="Lax",
        )


def _name(session_id: str, *, is_https: bool) -> str:
    # One for each session, so that two at once in one browser do not end each other.
    name = f"mooring-visit-{session_id[:8]}"
    return f"__Host-{name}" if is_https else name
