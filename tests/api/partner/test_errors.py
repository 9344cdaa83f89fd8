from __future__ import annotations

from datetime import UTC, datetime

import pytest
from werkzeug import exceptions

from actors.partner import errors as partner
from api.errors import BodyNotJson, CallRefused, FieldInvalid, FieldsMissing, answer_to
from api.partner.errors import is_ours
from engine.errors import CursorInvalid, StoreError, StoreUnavailable

PATH = "/api/v1/sessions"
NEXT_MONTH = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (partner.FieldInvalid("return_url", "must be https"), 400, "return_url: must be https"),
        (partner.NotFound("Session"), 404, "Session not found"),
        (partner.CredentialsRefused(), 401, "Invalid credentials"),
        (partner.RateLimited(retry_after_s=7), 429, "API rate limit exceeded"),
        (
            partner.QuotaExceeded(limit=1, resets_at=NEXT_MONTH, retry_after_s=7),
            429,
            "Usage quota exceeded",
        ),
        (partner.TooManyActive(limit=1, retry_after_s=7), 429, "Too many active sessions"),
        (CursorInvalid(), 400, "cursor: does not belong to this list"),
        (partner.SignupClosed(), 403, str(partner.SignupClosed())),
        (FieldInvalid("name", "Expected a string"), 400, "name: Expected a string"),
        (FieldsMissing(("email", "password")), 400, "Missing required fields: email, password"),
        (BodyNotJson(), 400, "Request body must be a JSON object"),
        (CallRefused("Host"), 403, "Refused: Host"),
        (exceptions.NotFound(), 404, "Not found"),
        (exceptions.MethodNotAllowed(), 405, "Method not allowed"),
    ],
)
def test_an_error_on_a_partners_path_is_a_detail(
    error: Exception, status: int, detail: str
) -> None:
    answer = answer_to(error, request_id="abc", path=PATH)
    assert (answer.status, answer.body) == (status, {"detail": detail})


def test_a_limit_says_when_to_come_again_and_a_refused_credential_what_to_send() -> None:
    limited = answer_to(partner.RateLimited(retry_after_s=7), request_id="", path=PATH)
    assert limited.headers["Retry-After"] == "7"
    refused = answer_to(partner.CredentialsRefused(), request_id="", path=PATH)
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_store_that_fails_may_be_asked_again_and_a_made_up_cursor_not() -> None:
    failed = answer_to(StoreUnavailable("full"), request_id="", path=PATH)
    assert (failed.status, "Retry-After" in failed.headers) == (503, True)
    assert issubclass(CursorInvalid, StoreError)
    assert answer_to(CursorInvalid(), request_id="", path=PATH).headers == {}


def test_an_unexpected_error_shows_its_request_and_nothing_else() -> None:
    answer = answer_to(ValueError("inside"), request_id="abc", path=PATH)
    assert answer.status == 500
    assert answer.body == {"detail": "Internal server error", "request_id": "abc"}


def test_only_the_partners_own_paths_have_this_shape() -> None:
    assert all(map(is_ours, ("/api/v1", "/api/v1/x", "/dashboard/keys", "/s/abc")))
    assert not any(map(is_ours, ("/api/sessions", "/api/v10", "/sessions", "/sx")))
