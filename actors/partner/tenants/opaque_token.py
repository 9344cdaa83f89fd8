"""Refresh tokens and cookies: texts that say nothing, and of which only digests are kept.

Laws of this file: pure but for the randomness. A token is its tenant's id, a locator that stays as
long as the login does, and a secret that changes with each exchange; locator and secret have 128
and 256 random bits. So a token leads to its tenant without a look-up, and whoever knows the locator
has held a token of that login.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import uuid
from typing import Final

import msgspec

from actors.partner.tenants.records import LoginKind
from engine import Clock

_PREFIXES: Final[dict[LoginKind, str]] = {"api": "vprt_", "web": "vpws_"}
_ID_BYTES: Final = 16
_SECRET_BYTES: Final = 32
_BODY: Final = re.compile(r"[A-Za-z0-9_-]{86}")


class OpaqueToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token in parts. Its repr shows no secret."""

    kind: LoginKind
    tenant_id: str
    locator: bytes
    secret: bytes

    @property
    def text(self) -> str:
        """The token as its holder shows it."""
        raw = uuid.UUID(self.tenant_id).bytes + self.locator + self.secret
        return _PREFIXES[self.kind] + base64.urlsafe_b64encode(raw).decode().rstrip("=")

    @property
    def locator_digest(self) -> str:
        return hashlib.sha256(self.locator).hexdigest()

    @property
    def secret_digest(self) -> str:
        return hashlib.sha256(self.secret).hexdigest()

    def exchanged(self, clock: Clock) -> OpaqueToken:
        """Return the token that takes this one's place."""
        return msgspec.structs.replace(self, secret=_random(_SECRET_BYTES, clock))

    def __repr__(self) -> str:
        return f"OpaqueToken({self.kind!r}, tenant_id={self.tenant_id!r})"


def make_token(kind: LoginKind, tenant_id: str, clock: Clock) -> OpaqueToken:
    """Return the first token of a login."""
    return OpaqueToken(
        kind=kind,
        tenant_id=tenant_id,
        locator=_random(_ID_BYTES, clock),
        secret=_random(_SECRET_BYTES, clock),
    )


def parse_token(text: str, kind: LoginKind) -> OpaqueToken | None:
    """Return a token's parts; None for what is no token of this kind."""
    prefix = _PREFIXES[kind]
    body = text.removeprefix(prefix)
    if body == text or _BODY.fullmatch(body) is None:
        return None
    try:
        raw = base64.b64decode(body + "==", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    token = OpaqueToken(
        kind=kind,
        tenant_id=str(uuid.UUID(bytes=raw[:_ID_BYTES])),
        locator=raw[_ID_BYTES : 2 * _ID_BYTES],
        secret=raw[2 * _ID_BYTES :],
    )
    # The last letter has bits to spare: one token has one text.
    return token if token.text == text else None


def _random(size: int, clock: Clock) -> bytes:
    return clock.random_bits(size * 8).to_bytes(size)
