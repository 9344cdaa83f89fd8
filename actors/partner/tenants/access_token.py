"""Access tokens: short-lived JWTs (RFC 9068) that only this server makes and reads.

Laws of this file: one algorithm, HS256, whatever a token says of itself; keys are derived from the
master keys and are nobody else's. A header holds `alg`, `typ` and `kid` and nothing more, so that
`jku`, `jwk`, `x5u` and `crit` are refused before a signature is looked at. A token proves who has
logged in; whether the login still goes on, its tenant says at each request.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

LIFE_S: Final = 15 * 60
ALGORITHM: Final = "HS256"
TYPE: Final = "at+jwt"
# Not the server's address, which may change: it is the keys that belong to one installation.
ISSUER: Final = "mooring"
AUDIENCE: Final = "mooring/api/v1"
PURPOSE: Final = b"partner access token"
_LONGEST: Final = 2048


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a good token was issued to."""

    tenant_id: str
    user_id: str
    login_id: str


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    alg: Literal["HS256"]
    typ: Literal["at+jwt"]
    kid: str


class AccessTokens:
    """Makes and reads access tokens.

    Args:
        keys: by id, the newest first; that one signs, each of them verifies.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        self._keys = {key_id: OctKey.import_key(key) for key_id, key in keys.items()}
        self._newest = next(iter(self._keys))

    def issue(self, claims: Claims, *, token_id: str, now: datetime) -> str:
        """Return a token that is good for `LIFE_S`."""
        issued_at = int(now.timestamp())
        body: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": claims.user_id,
            "tenant": claims.tenant_id,
            "sid": claims.login_id,
            "iat": issued_at,
            "exp": issued_at + LIFE_S,
            "jti": token_id,
        }
        header = {"alg": ALGORITHM, "typ": TYPE, "kid": self._newest}
        return jwt.encode(header, body, self._keys[self._newest], algorithms=[ALGORITHM])

    def read(self, text: str, now: datetime) -> Claims | None:
        """Return what a good token says; None for any other text."""
        key = self._key_of(text)
        if key is None:
            return None
        try:
            body = jwt.decode(text, key, algorithms=[ALGORITHM]).claims
            self._rules(now).validate(body)
            return Claims(tenant_id=body["tenant"], user_id=body["sub"], login_id=body["sid"])
        except (JoseError, ValueError, KeyError, TypeError):
            return None

    def _key_of(self, text: str) -> OctKey | None:
        if len(text) > _LONGEST or not text.isascii():
            return None
        part = text.partition(".")[0]
        try:
            raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
            header = msgspec.json.decode(raw, type=_Header)
        except (binascii.Error, ValueError, msgspec.MsgspecError):
            return None
        return self._keys.get(header.kid)

    @staticmethod
    def _rules(now: datetime) -> jwt.JWTClaimsRegistry:
        must = jwt.ClaimsOption(essential=True)
        return jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            iss=jwt.ClaimsOption(essential=True, value=ISSUER),
            aud=jwt.ClaimsOption(essential=True, value=AUDIENCE),
            sub=must,
            iat=must,
            exp=must,
            tenant=must,
            sid=must,
        )
