"""The keys that receipts are signed with: one for each environment, kept sealed, rotated at will.

The keys of an environment are the stream `signing/<environment>`: an event says that one was made,
the row of the catalogue has them all, the newest last. That one signs. An older one stays public
for as long as a receipt of its can still be good, and is gone with the rotation after that. Private
parts are sealed for their place; they are in the row and not in the log, so that they can be sealed
anew under another master key.

Guarantees: of any number of servers that start at once on an empty store, all sign with the same
first key. A key that somebody else has made is used, and shown, at most `_LOOK_AGAIN_S` later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any, Final, get_args

import msgspec
import trio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import OKPKey

from actors.partner.tenants.principal import Environment
from engine.clock import Clock, timestamp
from engine.errors import CommitConflict, StaleEpoch
from engine.seal import Sealer
from engine.store import CatalogueRow, Commit, Event, Store, milliseconds

RECEIPT_LIFE: Final = timedelta(hours=24)
# Who verifies may keep what /.well-known/jwks.json said, and may do so by a clock that is behind.
_GRACE: Final = timedelta(hours=1)
_LOOK_AGAIN_S: Final = 10.0
SIGNING_KIND: Final = "signing"
_TYPE: Final = "key.created"
_SECRET_BITS: Final = 256


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is written down."""

    key_id: str
    at: str
    public: Mapping[str, str]
    sealed: bytes


class _KeyCreated(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag=_TYPE):
    """What the log says of a key."""

    seq: int
    at: str
    key_id: str
    public: Mapping[str, str]


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
            seq, kept = await self._load(environment)
            if kept and unless_there:
                return self._opened(environment, kept)[-1]
            needed = self._still_needed(kept)
            made = self._make(environment)
            try:
                await self._store.commit(self._commit(environment, (*needed, made), after=seq))
            except (CommitConflict, StaleEpoch):
                continue  # somebody else has made one at this moment
            return self._opened(environment, (*needed, made))[-1]

    async def reseal(self, environment: Environment) -> bool:
        """Seal every key anew that an older master key has sealed; tell whether there was one."""
        seq, kept = await self._load(environment)
        if all(self._sealer.is_current(one.sealed) for one in kept):
            return False
        renewed = tuple(self._renewed(environment, one) for one in kept)
        await self._store.commit(self._commit(environment, renewed, after=seq, is_new=False))
        return True

    async def public(self) -> Sequence[Mapping[str, Any]]:
        """Return the public keys that a receipt may still be signed with, as JWKs."""
        found: list[Mapping[str, Any]] = []
        oldest = self._clock.now() - RECEIPT_LIFE - _GRACE
        for environment in get_args(Environment):
            await self.newest(environment)
            keys = self._keys[environment]
            for key, successor in zip_longest(keys, keys[1:]):
                if successor is None or successor.created_at > oldest:
                    found.append({**key.public, "kid": key.key_id, "use": "sig", "alg": "EdDSA"})
        return found

    async def _known(self, environment: Environment) -> tuple[SigningKey, ...]:
        now = trio.current_time()
        if now < self._looked_at.get(environment, -_LOOK_AGAIN_S) + _LOOK_AGAIN_S:
            return self._keys[environment]
        _, kept = await self._load(environment)
        return self._opened(environment, kept)

    async def _load(self, environment: Environment) -> tuple[int, tuple[_Kept, ...]]:
        loaded = await self._store.load(_stream(environment))
        # Nobody owns the keys, and a server that was started later may have made one: their number
        # alone decides.
        self._epoch = max(self._epoch, loaded.epoch)
        if loaded.row is None:
            return loaded.seq, ()
        return loaded.seq, msgspec.msgpack.decode(loaded.row.summary, type=tuple[_Kept, ...])

    def _still_needed(self, kept: Sequence[_Kept]) -> list[_Kept]:
        """Return those that a receipt may be signed with which is still good, or will be now."""
        oldest = timestamp(self._clock.now() - RECEIPT_LIFE - _GRACE)
        return [
            one
            for one, successor in zip_longest(kept, kept[1:])
            if successor is None or successor.at > oldest
        ]

    def _make(self, environment: Environment) -> _Kept:
        secret = self._clock.random_bits(_SECRET_BITS).to_bytes(_SECRET_BITS // 8)
        jwk = _jwk(secret)
        public = {name: str(value) for name, value in jwk.as_dict(private=False).items()}
        # The environment is in the name: a log or an error that shows it says which one was used.
        key_id = f"{environment}-{jwk.thumbprint()[:16]}"
        return _Kept(
            key_id=key_id,
            at=timestamp(self._clock.now()),
            public={name: public[name] for name in ("kty", "crv", "x")},
            sealed=self._sealer.seal(secret, place=_place(environment, key_id)),
        )

    def _commit(
        self, environment: Environment, kept: Sequence[_Kept], *, after: int, is_new: bool = True
    ) -> Commit:
        """Return the commit that makes these the keys, the last of them a new one or not."""
        newest = kept[-1]
        first_ms, at_ms = (
            milliseconds(datetime.fromisoformat(one.at)) for one in (kept[0], newest)
        )
        created = _KeyCreated(
            seq=after + 1, at=newest.at, key_id=newest.key_id, public=newest.public
        )
        event = Event(seq=after + 1, type=_TYPE, at_ms=at_ms, body=msgspec.json.encode(created))
        return Commit(
            stream=_stream(environment),
            epoch=self._epoch,
            expected_seq=after,
            events=(event,) if is_new else (),
            row=CatalogueRow(
                owner="",
                status="current",
                created_at_ms=first_ms,
                updated_at_ms=at_ms,
                summary=msgspec.msgpack.encode(tuple(kept)),
            ),
        )

    def _opened(self, environment: Environment, kept: Sequence[_Kept]) -> tuple[SigningKey, ...]:
        """Return the keys, opened, and remember them; those that are known already are not opened
        again."""
        known = {key.key_id: key for key in self._keys.get(environment, ())}
        keys = tuple(known.get(one.key_id) or self._open(environment, one) for one in kept)
        self._keys[environment] = keys
        self._looked_at[environment] = trio.current_time()
        return keys

    def _open(self, environment: Environment, kept: _Kept) -> SigningKey:
        secret = self._sealer.open(kept.sealed, place=_place(environment, kept.key_id))
        return SigningKey(
            key_id=kept.key_id,
            created_at=datetime.fromisoformat(kept.at),
            public=kept.public,
            jwk=_jwk(secret),
        )

    def _renewed(self, environment: Environment, kept: _Kept) -> _Kept:
        place = _place(environment, kept.key_id)
        sealed = self._sealer.seal(self._sealer.open(kept.sealed, place=place), place=place)
        return msgspec.structs.replace(kept, sealed=sealed)


def _stream(environment: Environment) -> str:
    return f"{SIGNING_KIND}/{environment}"


def _place(environment: Environment, key_id: str) -> str:
    return f"{SIGNING_KIND}/{environment}/{key_id}"


def _jwk(secret: bytes) -> OKPKey:
    pem = Ed25519PrivateKey.from_private_bytes(secret).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    return OKPKey.import_key(pem)
