"""Encoded slashes in paths: one route, whatever an id holds."""

from __future__ import annotations

from urllib.parse import quote, unquote

from hypothesis import given
from hypothesis import strategies as st

from api.segments import routed_path, whole_id

BUSINESS = "/api/sessions/business/"


@given(st.text(min_size=1), st.text(min_size=1))
def test_two_ids_are_two_segments_whatever_they_hold(one: str, other: str) -> None:
    raw = f"{BUSINESS}{quote(one, safe='')}/user/{quote(other, safe='')}/active"
    routed = routed_path(unquote(raw), raw.encode())
    first, user, second, active = routed.removeprefix(BUSINESS).split("/")
    assert (whole_id(first), user, whole_id(second), active) == (one, "user", other, "active")


def test_only_ids_that_clients_choose_may_hold_a_slash() -> None:
    for path in (
        "/sessions/a%2Fb",
        "/api/sessions/a%2Fb",
        "/s/a%2fb",
        "/api%2Fsessions/business/a",
    ):
        assert routed_path(unquote(path), path.encode()) == unquote(path)


def test_what_is_no_utf_8_is_not_taken_for_the_stand_in() -> None:
    raw = f"{BUSINESS}%ED%B0%AF%2F/active"  # the stand-in, as it would be encoded, and a slash
    segment, active = routed_path(unquote(raw), raw.encode()).removeprefix(BUSINESS).split("/")
    assert (whole_id(segment).count("/"), active) == (1, "active")
