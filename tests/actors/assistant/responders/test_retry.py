from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.assistant.responders import (
    ProviderRefused,
    ProviderTooSlow,
    ProviderUnreachable,
    ReplyCut,
    ReplyGarbled,
    ReplyWithheld,
    ResponderError,
)
from actors.assistant.responders.retry import retry_after_s, wait_before_retry_s

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 0.5 ", 0.5),
        ("Thu, 01 Jan 2026 00:01:30 GMT", 90.0),
        ("Thu, 01 Jan 2026 00:01:30 -0000", 90.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("-7", None),
        ("soon", None),
        ("nan", None),
        ("9" * 400, None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after_s(header, NOW) == seconds


@given(st.text(max_size=80))
def test_whatever_a_retry_after_says_it_is_a_time_to_come_or_none(header: str) -> None:
    seconds = retry_after_s(header, NOW)
    assert seconds is None or seconds >= 0


@given(st.integers(0, 1_000), st.floats(0, 1, exclude_max=True))
def test_waits_grow_up_to_a_bound_and_are_never_nothing(retry: int, jitter: float) -> None:
    wait_s = wait_before_retry_s(ProviderUnreachable("x"), retry, jitter)
    assert wait_s is not None
    assert 0.25 <= wait_s <= 8


@pytest.mark.parametrize(
    ("error", "retried"),
    [
        (ProviderUnreachable("x"), True),
        (ReplyCut("x"), True),
        (ProviderRefused(429, "x", retryable=True), True),
        (ProviderRefused(429, "x", retryable=True, retry_after_s=60), True),
        (ProviderRefused(429, "x", retryable=True, retry_after_s=60.1), False),
        (ProviderRefused(401, "x"), False),
        (ProviderRefused(401, "x", retry_after_s=1), False),
        (ProviderTooSlow("x", 1), False),
        (ReplyGarbled("x"), False),
        (ReplyWithheld("x"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: ResponderError, retried: bool) -> None:
    assert (wait_before_retry_s(error, 0, 0.0) is not None) == retried


def test_who_names_a_time_is_not_asked_before_it() -> None:
    error = ProviderRefused(429, "x", retryable=True, retry_after_s=7.0)
    wait_s = wait_before_retry_s(error, 0, 0.99)
    assert wait_s is not None
    assert wait_s >= 7
