"""Around every page of the dashboard: who is there, what is drawn, where a form leads.

Laws of this file: nobody sees a page of the inside without a good login. An address to come back to
is a path of the dashboard, whatever was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from quart import Response, request
from quart_trio.wrappers import TrioResponse

from actors.partner import CredentialsRefused
from api.dashboard.gate import Gate, Person
from api.dashboard.refusal import Refusal
from api.errors import RequestError
from api.pages import Pages, page_headers
from api.partner.credentials import NotLoggedIn

HOME: Final = "/dashboard"
LOGIN: Final = "/dashboard/login"

# What a page may be told by its address, in our words only.
_SAID: Final[Mapping[str, str]] = {
    "cancelled": "The session is cancelled.",
    "revoked": "The key is revoked; it is refused from now on.",
    "deleted": "The webhook is deleted.",
    "enabled": "The webhook is enabled.",
    "resent": "It is being sent again.",
    "saved": "Saved.",
}
_NEXT: Final = re.compile(r"/dashboard(/[A-Za-z0-9._~/-]*)?(\?[A-Za-z0-9._~%&=-]*)?")


class LoginNeeded(RequestError):
    """Nobody is logged in; `expired` when somebody was."""

    error = "Log in first"

    def __init__(self, *, expired: bool) -> None:
        super().__init__()
        self.expired = expired


class Frame:
    """Draws pages for whoever is logged in."""

    def __init__(self, pages: Pages, gate: Gate) -> None:
        self.pages = pages
        self.gate = gate

    async def person(self) -> Person:
        """Return who is logged in.

        Raises:
            LoginNeeded: nobody.
        """
        try:
            return await self.gate.person()
        except CredentialsRefused as error:
            raise LoginNeeded(expired=not isinstance(error, NotLoggedIn)) from None

    def page(
        self,
        template: str,
        person: Person,
        *,
        status: int = 200,
        refusal: Refusal | None = None,
        **values: Any,
    ) -> Response:
        """Return a page of the inside; a template of the dashboard's, by its name.

        Args:
            refusal: of its form; it decides about the status.
        """
        if refusal is not None:
            status, values = refusal.status, values | refusal.shown
        said = _SAID.get(request.args.get("said", ""))
        return self.pages.page(
            f"dashboard/{template}.html",
            status=status,
            headers=None if refusal is None else refusal.headers,
            user=person,
            here=request.path,
            said=said,
            **values,
        )


def lead_to(path: str, *, said: str | None = None) -> Response:
    """Return the answer to a form that was taken: go and look there."""
    where = path if said is None else f"{path}{'&' if '?' in path else '?'}said={said}"
    headers = {**page_headers(), "Location": where}
    return TrioResponse(b"", status=303, headers=headers, content_type="text/plain")


def wants_part() -> bool:
    """Tell whether one of our scripts asks, which puts the answer into a page that is there."""
    return "X-Part" in request.headers


def login_address(*, expired: bool) -> str:
    """Return where to log in, and come back here from."""
    here = request.path if request.method == "GET" else HOME
    query = request.query_string.decode("ascii", "replace") if request.method == "GET" else ""
    back = safe_next(f"{here}?{query}" if query else here)
    ended = "&expired=1" if expired else ""
    return f"{LOGIN}?next={quote(back, safe='')}{ended}"


def safe_next(path: str) -> str:
    """Return where to go after a login: a path of the dashboard's, and nothing that only looks
    like one."""
    if len(path) > 1000 or _NEXT.fullmatch(path) is None or "//" in path or ".." in path:
        return HOME
    return HOME if path.startswith((LOGIN, f"{HOME}/signup", f"{HOME}/logout")) else path
