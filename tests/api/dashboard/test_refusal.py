"""Why a form was not taken: beside its field, with what to do, and nothing of the inside."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from actors.partner import (
    CredentialsRefused,
    EmailTaken,
    FieldInvalid,
    QuotaExceeded,
    RateLimited,
    TooManyActive,
)
from api.dashboard.refusal import duration, refusal_of
from api.errors import FieldInvalid as TypedInvalid

SOON = datetime(2026, 12, 1, tzinfo=UTC)


def test_without_an_error_there_is_nothing_to_say() -> None:
    refusal = refusal_of(None, ("name",))
    assert (refusal.status, refusal.shown) == (
        200,
        {"problem": "", "advice": "", "problems": {"name": ""}},
    )


@pytest.mark.parametrize(
    "error", [FieldInvalid("name", "is too long"), TypedInvalid("name", "is too long")]
)
def test_a_problem_of_a_field_is_said_there_and_nowhere_else(error: Exception) -> None:
    refusal = refusal_of(error, ("name", "url"))
    assert refusal.problems == {"name": "Is too long.", "url": ""}
    assert (refusal.status, refusal.problem) == (400, "")
    assert refusal_of(error, ("url",)).problem == "Is too long."


def test_an_address_that_is_taken_is_the_addresss_problem() -> None:
    assert "Log in instead" in refusal_of(EmailTaken(), ("email",)).problems["email"]


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (QuotaExceeded(limit=1000, resets_at=SOON, retry_after_s=9), "All 1,000 sessions"),
        (TooManyActive(limit=10, retry_after_s=9), "10 sessions have not ended"),
        (RateLimited(retry_after_s=9), "Try again in 9 seconds."),
    ],
)
def test_a_limit_says_what_to_do_and_when(error: Exception, advice: str) -> None:
    refusal = refusal_of(error)
    assert refusal.status == 429
    assert refusal.headers == {"Retry-After": "9"}
    assert refusal.advice.startswith(advice)


def test_a_browser_is_not_told_of_bearer_tokens() -> None:
    refusal = refusal_of(CredentialsRefused())
    assert (refusal.status, refusal.headers) == (401, {})


def test_a_duration_is_in_words() -> None:
    assert [duration(one) for one in (1, 45, 119, 120, 121)] == [
        "1 second",
        "45 seconds",
        "119 seconds",
        "2 minutes",
        "3 minutes",
    ]
