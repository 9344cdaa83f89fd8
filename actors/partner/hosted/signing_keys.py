"""The keys that receipts are signed with: one for each environment, kept sealed, rotated at will.

A key is an event of the stream `signing/<environment>`; the newest one signs. An older one stays
public for as long as a receipt of its can still be good. Private parts are sealed for their place,
and are nowhere else.

Guarantees: of any number of servers that start at once on an empty store, all sign with the same
first key. A key that somebody else has made is used, and shown, at most `_LOOK_AGAIN_S` later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, get_args

import msgspec
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import OKPKey

from actors.partner.tenants.principal import Environment
from engine.clock import Clock, timestamp
from engine.errors import CommitConflict
from engine.seal import Sealer
from engine.store import CatalogueRow, Commit, Event, Store, milliseconds

RECEIPT_LIFE: Final = timedelta(hours=24)
# Who verifies may keep what /.well-known/jwks.json said, and may do so by a clock that is behind.
_GRACE: Final = timedelta(hours=1)
_LOOK_AGAIN_S: Final = 10.0
_KIND: Final = "signing"
_TYPE: Final = "key.created"
_SECRET_BITS: Final = 256


class _KeyCreated(msgspec.Struct, frozen=True, kw_only=True):
    key_id: str
    at: str
    public: Mapping[str, str]
    sealed: bytes


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key, opened. Its repr shows nothing of it."""

    key_id: str
    created_at: datetime
    public: Mapping[str, str]
    jwk: OKPKey

    def __repr__(self) -> str:
        return f"SigningKey({self.key_id})"


class SigningKeys:
    """The signing keys of one store.

    Args:
        epoch: of this start of the server.
    """

    def __init__(self, store: Store, *, epoch: int, sealer: Sealer, clock: Clock) -> None:
        self._store = store
        self._epoch = epoch
        self._sealer = sealer
        self._clock = clock
        self._keys: dict[Environment, tuple[SigningKey, ...]] = {}  # oldest first
        self._looked_at: dict[Environment, float] = {}

    async def newest(self, environment: Environment) -> SigningKey:
        """Return the key that signs now; makes the first one."""
        keys = await self._known(environment)
        return keys[-1] if keys else await self.rotate(environment, unless_there=True)

    async def rotate(self, environment: Environment, *, unless_there: bool = False) -> SigningKey:
        """Make a new key, which signs from now on, and return it.

        Args:
            unless_there: return the newest one where there is one, whoever made it.
        """
        while True:
            keys = await self._read(environment)
            if keys and unless_there:
                return keys[-1]
            event = self._make(environment)
            try:
                await self._store.commit(self._commit(environment, event, after=len(keys)))
            except CommitConflict:
                continue  # somebody else has made one at this moment
            return (await self._read(environment))[-1]

    async def public(self) -> Sequence[Mapping[str, Any]]:
        """Return the public keys that a receipt may still be signed with, as JWKs."""
        found: list[Mapping[str, Any]] = []
        oldest = self._clock.now() - RECEIPT_LIFE - _GRACE
        for environment in get_args(Environment):
            await self.newest(environment)
            keys = self._keys[environment]
            for key, successor in zip(keys, (*keys[1:], None), strict=True):
                if successor is None or successor.created_at > oldest:
                    found.append({**key.public, "kid": key.key_id, "use": "sig", "alg": "EdDSA"})
        return found

    async def _known(self, environment: Environment) -> tuple[SigningKey, ...]:
        now = trio.current_time()
        if now < self._looked_at.get(environment, -_LOOK_AGAIN_S) + _LOOK_AGAIN_S:
            return self._keys[environment]
        return await self._read(environment)

    async def _read(self, environment: Environment) -> tuple[SigningKey, ...]:
        keys = list(self._keys.get(environment, ()))
        after = len(keys)
        while True:
            page = await self._store.read(f"{_KIND}/{environment}", after=after)
            keys += [self._opened(environment, event.body) for event in page.events]
            after = page.through
            if after >= page.newest_seq:
                break
        self._keys[environment] = tuple(keys)
        self._looked_at[environment] = trio.current_time()
        return tuple(keys)

    def _make(self, environment: Environment) -> _KeyCreated:
        secret = self._clock.random_bits(_SECRET_BITS).to_bytes(_SECRET_BITS // 8)
        jwk = _jwk(secret)
        public = {name: str(value) for name, value in jwk.as_dict(private=False).items()}
        # The environment is in the name: a log or an error that shows it says which one was used.
        key_id = f"{environment}-{jwk.thumbprint()[:16]}"
        return _KeyCreated(
            key_id=key_id,
            at=timestamp(self._clock.now()),
            public={name: public[name] for name in ("kty", "crv", "x")},
            sealed=self._sealer.seal(secret, place=_place(environment, key_id)),
        )

    def _commit(self, environment: Environment, event: _KeyCreated, *, after: int) -> Commit:
        at_ms = milliseconds(datetime.fromisoformat(event.at))
        body = msgspec.json.encode(event)
        row = CatalogueRow(
            owner="", status="current", created_at_ms=at_ms, updated_at_ms=at_ms, summary=b""
        )
        return Commit(
            stream=f"{_KIND}/{environment}",
            epoch=self._epoch,
            expected_seq=after,
            events=(Event(seq=after + 1, type=_TYPE, at_ms=at_ms, body=body),),
            row=row,
        )

    def _opened(self, environment: Environment, body: bytes) -> SigningKey:
        event = msgspec.json.decode(body, type=_KeyCreated)
        secret = self._sealer.open(event.sealed, place=_place(environment, event.key_id))
        return SigningKey(
            key_id=event.key_id,
            created_at=datetime.fromisoformat(event.at),
            public=event.public,
            jwk=_jwk(secret),
        )


def _place(environment: Environment, key_id: str) -> str:
    return f"{_KIND}/{environment}/{key_id}"


def _jwk(secret: bytes) -> OKPKey:
    pem = Ed25519PrivateKey.from_private_bytes(secret).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    return OKPKey.import_key(pem)
