"""What went wrong, and the pages that say so.

Laws of this file: nothing of the inside is given away; what is not known here is a 500 that names
its request and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from quart import Response, request
from quart_trio.wrappers import TrioResponse

from actors.partner import LimitReached
from api.access import note_failure, request_id
from api.dashboard.frame import HOME, LoginNeeded, lead_to, login_address, wants_part
from api.dashboard.refusal import duration, sentence
from api.errors import answer_to, is_unexpected
from api.pages import Pages

_TITLES: Final[Mapping[int, str]] = {
    400: "That does not work",
    401: "Log in first",
    403: "Not for you",
    404: "Nothing here",
    405: "Not like this",
    409: "That does not go together",
    413: "Too much at once",
    429: "Too many requests",
    500: "Something broke",
    503: "Back in a moment",
    504: "That took too long",
}
_ADVICE: Final[Mapping[int, str]] = {
    400: "What was sent cannot be read. Go back and try again.",
    403: "Your account may not do this. An owner of it may.",
    404: "There is no such page, or it belongs to somebody else.",
    405: "This address is for a form. Go back to where you came from.",
    413: "What was sent is larger than what is read here.",
    429: "Wait a little, then load the page again.",
    500: "It is our fault, and it has been written down.",
    503: "The server is busy or on its way down. Load the page again in a few seconds.",
    504: "The server is busy. Load the page again.",
}


def trouble_page(pages: Pages, error: Exception) -> Response:
    """Return the page for whatever a view raised."""
    if isinstance(error, LoginNeeded):
        if wants_part():
            return TrioResponse(b"", status=401, content_type="text/plain")
        return lead_to(login_address(expired=error.expired))
    if is_unexpected(error):
        note_failure(request.scope, error)
    id_ = request_id(request.scope)
    answer = answer_to(error, request_id=id_, path=request.path)
    response = pages.page(
        "dashboard/problem.html",
        status=answer.status,
        code=answer.status,
        title=_TITLES.get(answer.status, _TITLES[500 if answer.status >= 500 else 400]),
        advice=_advice(answer.status, error),
        request_id=id_ if answer.status == 500 else "",
        back=HOME,
        back_name="To the overview",
    )
    response.headers.update(answer.headers)
    return response


def _advice(status: int, error: Exception) -> str:
    if isinstance(error, LimitReached):
        return f"Try again in {duration(error.retry_after_s)}."
    known = _ADVICE.get(status)
    return known or (_ADVICE[500] if status >= 500 else sentence(str(error)))
