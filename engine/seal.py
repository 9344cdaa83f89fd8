"""Sealed secrets: what is written down can be read only with the master key, and only in its place.

AES-256-GCM (NIST SP 800-38D) under keys that are derived from a master key by HKDF (RFC 5869), so
that none of them serves two purposes. A sealed text is

    version 1 (1 byte) | key id (8 bytes) | nonce (12 bytes) | ciphertext and tag

with the place it belongs to (the session's id, and what it is) as associated data: moved elsewhere
it does not open. Nonces are random, which is safe for 2**32 texts under one key; rotate earlier.

Laws of this file: pure but for the nonce; the newest key seals, every known one opens; no error and
no repr holds a key or a plain text.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from engine.clock import Clock
from engine.errors import MooringError

KEY_BYTES: Final = 32
_VERSION: Final = b"\x01"
_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_HEAD: Final = len(_VERSION) + _ID_BYTES + _NONCE_BYTES


class SealError(MooringError):
    """A secret could not be opened, or a key is none."""


class KeyInvalid(SealError):
    """A master key is not base64 of 32 bytes."""

    def __init__(self) -> None:
        super().__init__("a master key is base64 of 32 bytes")


class KeyUnknown(SealError):
    """The text was sealed with a key that is not at hand; `key_id` is that key's."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"sealed with key {key_id}, which is not known here")
        self.key_id = key_id


class SealBroken(SealError):
    """The text was altered, cut, or belongs to another place."""

    def __init__(self, place: str) -> None:
        super().__init__(f"a sealed secret of {place} does not open")
        self.place = place


class MasterKey(msgspec.Struct, frozen=True):
    """A master key; its repr shows the id only."""

    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise KeyInvalid

    @classmethod
    def parse(cls, text: str) -> MasterKey:
        """Return the key that `text` is in base64; raises KeyInvalid."""
        try:
            return cls(base64.b64decode(text.strip(), validate=True))
        except (binascii.Error, ValueError):
            raise KeyInvalid from None

    @classmethod
    def generate(cls, clock: Clock) -> MasterKey:
        return cls(clock.random_bits(KEY_BYTES * 8).to_bytes(KEY_BYTES))

    @property
    def text(self) -> str:
        """The key in base64, as `parse` takes it."""
        return base64.b64encode(self.secret).decode()

    @property
    def key_id(self) -> str:
        """What the key is called in what it has sealed; says nothing about the key."""
        return self.derive(b"id", _ID_BYTES).hex()

    @property
    def mark(self) -> bytes:
        """What every text that it has sealed begins with."""
        return _VERSION + bytes.fromhex(self.key_id)

    def derive(self, purpose: bytes, length: int = KEY_BYTES) -> bytes:
        """Return a key for one purpose."""
        return HKDF(SHA256(), length, salt=None, info=b"mooring " + purpose).derive(self.secret)

    def __repr__(self) -> str:
        return f"MasterKey({self.key_id})"


class Sealer:
    """Seals and opens secrets, and makes digests of what could be guessed.

    Args:
        keys: the newest first; that one seals, all of them open.
    """

    def __init__(self, keys: Sequence[MasterKey], clock: Clock) -> None:
        if not keys:
            raise KeyInvalid
        self._clock = clock
        self._keys = tuple(keys)
        self._newest = bytes.fromhex(keys[0].key_id)
        self._ciphers = {bytes.fromhex(key.key_id): AESGCM(key.derive(b"seal")) for key in keys}
        self._digest_keys = tuple(key.derive(b"digest") for key in keys)

    @property
    def key_id(self) -> str:
        """The id of the key that seals."""
        return self._newest.hex()

    def seal(self, plain: bytes, *, place: str) -> bytes:
        """Return `plain` sealed for its place, as `browser/<session id>/state`."""
        nonce = self._clock.random_bits(_NONCE_BYTES * 8).to_bytes(_NONCE_BYTES)
        cipher = self._ciphers[self._newest]
        return _VERSION + self._newest + nonce + cipher.encrypt(nonce, plain, place.encode())

    def open(self, sealed: bytes, *, place: str) -> bytes:
        """Return what was sealed for `place`.

        Raises:
            KeyUnknown: it was sealed with another key.
            SealBroken: it was altered, or sealed for another place.
        """
        if len(sealed) < _HEAD or sealed[:1] != _VERSION:
            raise SealBroken(place)
        cipher = self._ciphers.get(sealed[1 : 1 + _ID_BYTES])
        if cipher is None:
            raise KeyUnknown(sealed[1 : 1 + _ID_BYTES].hex())
        nonce = sealed[_HEAD - _NONCE_BYTES : _HEAD]
        try:
            return cipher.decrypt(nonce, sealed[_HEAD:], place.encode())
        except InvalidTag:
            raise SealBroken(place) from None

    def is_current(self, sealed: bytes) -> bool:
        """Tell whether the newest key sealed it; what it did not is sealed anew in a rotation."""
        return sealed[1 : 1 + _ID_BYTES] == self._newest

    def derive(self, purpose: bytes, length: int = KEY_BYTES) -> Mapping[str, bytes]:
        """Return a key for one purpose from each master key, by its id; the newest first.

        The first one is to be used for what is made, any of them may have made what is checked.
        """
        return {key.key_id: key.derive(purpose, length) for key in self._keys}

    def digests(self, text: str, *, purpose: str) -> tuple[str, ...]:
        """Return the digest of something guessable under each key, the newest key's first.

        HMAC-SHA-256 in hex: without the key nobody can try guesses against it. The first one is to
        be written down, any of them may have been.
        """
        message = f"{purpose}\0{text}".encode()
        return tuple(
            hmac.new(key, message, hashlib.sha256).hexdigest() for key in self._digest_keys
        )

    def digest(self, text: str, *, purpose: str) -> str:
        """Return the digest that is written down; see `digests`."""
        return self.digests(text, purpose=purpose)[0]
