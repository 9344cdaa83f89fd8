"""Signing secrets, and what is signed with them: Standard Webhooks, symmetric scheme.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

Laws of this file: a secret is in the clear only where it is made, to be shown once, and where it
signs; what is written down is sealed in its endpoint's place.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from standardwebhooks import Webhook

from engine.clock import Clock
from engine.seal import Sealer

PREFIX: Final = "whsec_"
_BYTES: Final = 32


def make_secret(clock: Clock) -> str:
    """Return a new secret, as its receiver is shown it: 256 random bits."""
    raw = clock.random_bits(_BYTES * 8).to_bytes(_BYTES)
    return PREFIX + base64.b64encode(raw).decode()


def seal_secret(sealer: Sealer, secret: str, *, endpoint_id: str) -> bytes:
    """Return a secret as it is written down."""
    return sealer.seal(secret.encode(), place=_place(endpoint_id))


def open_secret(sealer: Sealer, sealed: bytes, *, endpoint_id: str) -> str:
    """Return the secret that was sealed for an endpoint.

    Raises:
        SealError: it does not open.
    """
    return sealer.open(sealed, place=_place(endpoint_id)).decode()


def signed_headers(
    secrets: Sequence[str], *, event_id: str, at: datetime, body: str
) -> Mapping[str, str]:
    """Return the headers that receivers verify by: one signature for each secret, in order."""
    signatures = (Webhook(secret).sign(event_id, at, body) for secret in secrets)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _place(endpoint_id: str) -> str:
    return f"webhook/{endpoint_id}/secret"
