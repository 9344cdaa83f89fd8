"""Secrets of visits: the tokens in links, and the cookies of browsers.

Laws of this file: a secret has 192 random bits and is kept only as a digest; nobody can try so
many, so the digest needs no key, and finding a session by it takes one look. The one exception is
a sealed copy of a link's token, for who repeats a create under its Idempotency-Key.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

from engine.clock import Clock

TOKEN_BITS: Final = 192
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32}")


def new_token(clock: Clock) -> str:
    """Return a secret of 32 characters that a URL, and a cookie, can hold as they are."""
    raw = clock.random_bits(TOKEN_BITS).to_bytes(TOKEN_BITS // 8)
    return base64.urlsafe_b64encode(raw).decode()


def is_token(text: str) -> bool:
    """Tell whether a text could be a secret of ours."""
    return _TOKEN.fullmatch(text) is not None


def digest_of(token: str) -> str:
    """Return what a secret is known by."""
    return hashlib.sha256(token.encode()).hexdigest()


def alias_of(digest: str) -> str:
    """Return the name under which the store finds the session of a link."""
    return f"visit/{digest}"
