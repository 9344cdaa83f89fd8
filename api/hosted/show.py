"""How a visit looks: which page, with what on it."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

from quart import Response

from api.hosted.visit import STATUS, Sight, Visit
from api.pages import Pages, page_headers, qr_svg

_TEMPLATES: Final = {
    Sight.START: "start",
    Sight.STEP: "step",
    Sight.CHECKING: "checking",
    Sight.RESULT: "result",
    Sight.TAKE_OVER: "take_over",
    Sight.ELSEWHERE: "elsewhere",
    Sight.LINK_OVER: "link_over",
    Sight.USED: "used",
    Sight.EXPIRED: "expired",
    Sight.CANCELLED: "cancelled",
}
# Long enough to read one line; the partner's page comes by itself after it.
LEAVE_AFTER_S: Final = 3


class Shown:
    """Makes the visitor's pages."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def page(self, visit: Visit, *, problem: str | None = None) -> Response:
        """Return the page that this visitor sees now.

        Args:
            problem: what was wrong with what they have just sent.
        """
        sight = visit.sight
        status = 409 if problem is not None else STATUS.get(sight, 200)
        return self._show(_TEMPLATES[sight], visit, status=status, problem=problem)

    def handover(self, visit: Visit, url: str, *, no_sensors: bool) -> Response:
        """Return the page that shows the link to another device.

        Args:
            no_sensors: this one could not do what is asked.
        """
        picture = qr_svg(url, label="QR code of the link below")
        return self._show("handover", visit, url=url, picture=picture, no_sensors=no_sensors)

    def no_cookie(self, visit: Visit) -> Response:
        """Return the page for a browser that keeps no cookies."""
        return self._show("no_cookie", visit, status=400)

    def not_our_form(self, visit: Visit) -> Response:
        """Return the page for a form that did not come from our page in this browser."""
        return self._show("not_our_form", visit, status=403)

    def unknown(self) -> Response:
        """Return the page for a link that leads nowhere."""
        headers = {"Referrer-Policy": "no-referrer"}
        return self._pages.page("hosted/unknown.html", status=404, headers=headers)

    def _show(self, name: str, visit: Visit, *, status: int = 200, **more: Any) -> Response:
        values = {"problem": None, "leave_after_s": LEAVE_AFTER_S} | more
        return self._pages.page(
            f"hosted/{name}.html", status=status, headers=_headers(visit), visit=visit, **values
        )


def _headers(visit: Visit) -> dict[str, str]:
    logo = visit.profile.logo_url
    origins = () if logo is None else (_origin(logo),)
    headers = dict(page_headers(image_origins=origins))
    if visit.state.session.has_ended:
        # No form on it, and the way back leads to somebody else: nothing is said of whence.
        headers["Referrer-Policy"] = "no-referrer"
    return headers


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
