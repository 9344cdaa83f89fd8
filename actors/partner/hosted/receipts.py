"""Receipts: what a partner can verify by itself when its visitor comes back.

A receipt is a JWS in compact form (RFC 7515) over a JWT's claims (RFC 7519), signed with Ed25519
(RFC 8037, `"alg":"EdDSA"`). What the visitor's browser carries beside it (`session_id`, `state`) is
for convenience and can be edited; the receipt cannot.

Guarantees: a session has one receipt, by its `jti`: whoever takes a `jti` twice is being replayed
to. It says how the session ended, and exists only then.
"""

from __future__ import annotations

import warnings
from datetime import datetime
from typing import Final

import msgspec
from joserfc import jws
from joserfc.errors import SecurityWarning

from actors.partner.hosted.records import Hosted
from actors.partner.hosted.signing_keys import RECEIPT_LIFE, SigningKey, SigningKeys

_ALG: Final = "EdDSA"
_TYP: Final = "receipt+jwt"  # so that no other kind of token passes for one


class Receipts:
    """Signs receipts.

    Args:
        issuer: their `iss`, the public URL of this server.
    """

    def __init__(self, keys: SigningKeys, *, issuer: str) -> None:
        self.keys = keys
        self._issuer = issuer

    async def of(self, state: Hosted) -> str | None:
        """Return the receipt of a session; None while it has not ended."""
        if state.session.ended_at is None:
            return None
        return _sign(state, await self.keys.newest(state.session.environment), self._issuer)


def _sign(state: Hosted, key: SigningKey, issuer: str) -> str:
    session, ended_at = state.session, datetime.fromisoformat(state.session.ended_at or "")
    claims = {
        "iss": issuer,
        "aud": state.visit.tenant_id,
        "sub": session.session_id,
        "state": session.state.value,
        "env": session.environment,
        "iat": int(ended_at.timestamp()),
        "exp": int((ended_at + RECEIPT_LIFE).timestamp()),
        "jti": state.visit.receipt_id,
    }
    header = {"alg": _ALG, "kid": key.key_id, "typ": _TYP}
    with warnings.catch_warnings():
        # RFC 9864 renames it to Ed25519, which what partners verify with does not know yet.
        warnings.simplefilter("ignore", SecurityWarning)
        return jws.serialize_compact(header, msgspec.json.encode(claims), key.jwk, [_ALG])
