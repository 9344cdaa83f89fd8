"""When a request that brought nothing is made again.

Laws of this file: pure. A wait is bounded, and spread so that many who failed at once do not come
back at once; a provider that names its time gets at least that.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from actors.assistant.responders.responder import (
    ProviderRefused,
    ProviderUnreachable,
    ReplyCut,
    ResponderError,
)

MAX_RETRY_AFTER_S: Final = 60.0  # whoever is told to wait longer would rather have the error
_MAX_HEADER: Final = 64
_FIRST_S: Final = 0.5
_MAX_S: Final = 8.0

RETRYABLE_STATUSES: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_SECONDS: Final = re.compile(r"\d{1,9}(\.\d{1,9})?")


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` asks for (RFC 9110, 10.2.3); None for none."""
    if header is None:
        return None
    text = header.strip()[:_MAX_HEADER]
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    date = date if date.tzinfo is not None else date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


def wait_before_retry_s(error: ResponderError, retry: int, jitter: float) -> float | None:
    """Return how long to wait before the `retry`-th retry, from 0; None for no retry at all.

    Args:
        jitter: in [0, 1).
    """
    backoff_s = float(min(_FIRST_S * 2.0**retry, _MAX_S)) * (1.0 - jitter / 2)
    match error:
        case ProviderUnreachable() | ReplyCut():
            return backoff_s
        case ProviderRefused(retryable=True):
            asked_s = error.retry_after_s
            if asked_s is None:
                return backoff_s
            return asked_s + backoff_s / 2 if asked_s <= MAX_RETRY_AFTER_S else None
        case _:
            return None
