"""The policy of every page, directive by directive."""

from __future__ import annotations

from api.pages import page_headers


def policy(*image_origins: str) -> dict[str, str]:
    text = page_headers(image_origins=image_origins)["Content-Security-Policy"]
    return dict(line.split(" ", 1) for line in text.split("; "))


def test_pages_run_load_and_send_nothing_but_our_own() -> None:
    assert policy() == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }


def test_pictures_may_come_from_origins_that_are_named() -> None:
    changed = policy("https://cdn.example")
    assert changed["img-src"] == "'self' data: https://cdn.example"
    assert {**changed, "img-src": ""} == {**policy(), "img-src": ""}


def test_nobody_learns_where_a_visitor_came_from_and_our_own_forms_have_an_origin() -> None:
    headers = page_headers()
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"


def test_no_page_asks_for_what_no_page_needs_and_the_sensors_of_motion_stay() -> None:
    off = page_headers()["Permissions-Policy"].split(", ")
    assert {"camera=()", "geolocation=()", "microphone=()", "payment=()"} <= set(off)
    assert not any("accelerometer" in one or "gyroscope" in one for one in off)
