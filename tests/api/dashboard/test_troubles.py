"""What is shown where something went wrong: a page, in words, with nothing of the inside."""

from __future__ import annotations

import pytest
from quart_trio import QuartTrio
from werkzeug.datastructures import Headers
from werkzeug.exceptions import MethodNotAllowed, NotFound

from actors.partner import NotAllowed, RateLimited
from api.dashboard import AREA
from api.dashboard.frame import LoginNeeded
from api.dashboard.troubles import trouble_page
from api.errors import BodyTooLarge
from api.pages import load_pages
from engine.errors import AskTimeout, StoreUnavailable

PAGES = load_pages(AREA)


async def shown(error: Exception, **headers: str) -> tuple[int, str, Headers]:
    app = QuartTrio("troubles", static_folder=None)

    @app.get("/dashboard/usage")
    async def view() -> object:
        return trouble_page(PAGES, error)

    answer = await app.test_client().get("/dashboard/usage", headers=headers)
    return answer.status_code, await answer.get_data(as_text=True), answer.headers


@pytest.mark.parametrize(
    ("error", "status", "title"),
    [
        (NotFound(), 404, "Nothing here"),
        (NotAllowed("Only an owner may"), 403, "Not for you"),
        (MethodNotAllowed(["POST"]), 405, "Not like this"),
        (BodyTooLarge(), 413, "Too much at once"),
        (RateLimited(retry_after_s=30), 429, "Too many requests"),
        (StoreUnavailable("disk on fire at /dev/sda"), 503, "Back in a moment"),
        (AskTimeout("tenant/1", object()), 504, "That took too long"),
        (RuntimeError("the key is k-123"), 500, "Something broke"),
    ],
)
async def test_every_trouble_is_a_page_in_words(error: Exception, status: int, title: str) -> None:
    answered, page, headers = await shown(error)
    assert answered == status
    assert f"<h1>{title}</h1>" in page
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    for inside in ("disk on fire", "k-123", "tenant/1", "Traceback"):
        assert inside not in page


async def test_a_limit_says_when_to_come_again() -> None:
    _, page, headers = await shown(RateLimited(retry_after_s=30))
    assert "Try again in 30 seconds." in page
    assert headers["Retry-After"] == "30"


async def test_whoever_is_not_logged_in_is_led_to_the_login_and_a_script_is_told() -> None:
    status, _, headers = await shown(LoginNeeded(expired=True))
    where = "/dashboard/login?next=%2Fdashboard%2Fusage&expired=1"
    assert (status, headers["Location"]) == (303, where)
    status, page, _ = await shown(LoginNeeded(expired=True), **{"X-Part": "1"})
    assert (status, page) == (401, "")
