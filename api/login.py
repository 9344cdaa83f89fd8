"""The cookie that our own pages get for an operator token.

Laws of this file: pure. A cookie names no token and holds none: it is a time of expiry under a MAC,
whose key is made from the token's digest, so that it ends with the token.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final

COOKIE: Final = "mooring"
LIFE_S: Final = 12 * 3600

_PURPOSE: Final = b"mooring login cookie, version 1\0"
_LONGEST: Final = 128


def issue_cookie(token_digest: bytes, now: datetime) -> str:
    """Return the value of a cookie that is good for `LIFE_S` from now."""
    expires = str(int(now.timestamp()) + LIFE_S)
    return f"{expires}.{_mac(token_digest, expires)}"


def is_good_cookie(value: str, token_digests: Sequence[bytes], now: datetime) -> bool:
    """Tell whether a cookie was issued for a token that is still known, and has not expired."""
    expires, _, mac = value.partition(".")
    if len(value) > _LONGEST or not (expires.isascii() and expires.isdigit() and mac.isascii()):
        return False
    # Every token is tried, so that the time taken does not tell which one it was.
    matches = [hmac.compare_digest(mac, _mac(digest, expires)) for digest in token_digests]
    return any(matches) and now.timestamp() < int(expires)


def _mac(token_digest: bytes, expires: str) -> str:
    key = hashlib.sha256(_PURPOSE + token_digest).digest()
    return hmac.new(key, expires.encode(), hashlib.sha256).hexdigest()
