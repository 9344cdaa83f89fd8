"""Where a login leads: to a page of the dashboard, whatever an address asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.dashboard.frame import safe_next


@pytest.mark.parametrize(
    "path",
    [
        "/dashboard",
        "/dashboard/sessions",
        "/dashboard/sessions?state=pending&environment=sandbox",
        "/dashboard/sessions/2f7c2c57-4bb8-4be4-8b1d-0d5c8f1668a1",
    ],
)
def test_whoever_logs_in_comes_back_to_where_they_were(path: str) -> None:
    assert safe_next(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "https://evil.example/dashboard",
        "//evil.example/dashboard",
        "/\\evil.example",
        "/dashboard//evil.example",
        "/dashboard/../s/token",
        "/dashboard\\@evil.example",
        "/dashboard@evil.example",
        "/dashboardevil",
        "/dashboard/%0d%0aSet-Cookie:x",
        "/dashboard\r\nX: y",
        "/dashboard?next=https://evil.example",
        "javascript:alert(1)",
        "/dashboard/login?next=/dashboard",
        "/dashboard/logout",
        "/dashboard/" + "a" * 1000,
    ],
)
def test_and_to_nothing_that_only_looks_like_a_page_of_the_dashboard(path: str) -> None:
    assert safe_next(path) == "/dashboard"


@given(st.text())
def test_no_text_leads_elsewhere(text: str) -> None:
    for path in (text, "/dashboard" + text):
        there = safe_next(path)
        assert there == "/dashboard" or there.startswith(("/dashboard/", "/dashboard?"))
        assert there.isascii()
        assert not set(there) & set("\\\r\n\t @:#")
        assert "//" not in there
