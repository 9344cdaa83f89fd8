"""How the partner family's errors look: `{"detail": …}`, as its contract has them.

Laws of this file: one line each, naming the field where a field is wrong; nothing of the inside is
given away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from actors.partner import errors as partner
from actors.partner.hosted import errors as hosted
from actors.partner.webhooks.errors import TooManyResends, TooManyWebhooks, WebhookDisabled

PREFIX: Final = "/api/v1"
# Pages have errors of their own; what they do not catch has the family's shape.
PAGES: Final = ("/dashboard", "/s", "/pages", "/.well-known/jwks.json")

# An error's class, or the nearest of its bases here, decides.
STATUS: Final[Mapping[type[Exception], int]] = {
    partner.PartnerError: 400,
    partner.FieldInvalid: 400,
    partner.NotFound: 404,
    partner.IdempotencyMismatch: 422,
    partner.CredentialsRefused: 401,
    partner.NotAllowed: 403,
    partner.EmailTaken: 409,
    partner.LimitReached: 429,
    TooManyWebhooks: 409,
    TooManyResends: 409,
    WebhookDisabled: 409,
    hosted.IllegalTransition: 409,
    hosted.BoundElsewhere: 403,
    hosted.HandOverUnusable: 410,
    hosted.LimitOfVisit: 409,
    hosted.AnswerInvalid: 400,
}


def is_ours(path: str) -> bool:
    """Tell whether a path is one of the family's, whose errors have this file's shape."""
    return any(path == own or path.startswith(own + "/") for own in (PREFIX, *PAGES))


def headers(error: BaseException) -> dict[str, str]:
    """Return the headers that an error of the family brings along."""
    match error:
        case partner.LimitReached(retry_after_s=seconds):
            return {"Retry-After": str(seconds)}
        case partner.CredentialsRefused():
            return {"WWW-Authenticate": 'Bearer realm="mooring"'}
    return {}


def shaped(message: str, **fields: Any) -> dict[str, Any]:
    """Return an error's body."""
    return {"detail": message} | fields
