"""API keys: `vp_<environment>_<random><checksum>`.

Laws of this file: pure but for the randomness of a new key. A key has 192 random bits. Its checksum
(CRC-32) tells a key from a typo or a made-up text before anything is looked up; it is no secret and
proves nothing. What is kept of a key is its SHA-256: it cannot be guessed, so no slow hash is
needed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import string
import zlib
from typing import Final, cast

import msgspec

from actors.partner.tenants.principal import ENVIRONMENTS, Environment
from engine import Clock

PREFIX: Final = "vp_"
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_BITS: Final = 192
_RANDOM_CHARS: Final = 33  # 62**33 > 2**192
_CHECK_CHARS: Final = 6  # 62**6 > 2**32
_KEY: Final = re.compile(
    rf"{PREFIX}({'|'.join(ENVIRONMENTS)})_[0-9A-Za-z]{{{_RANDOM_CHARS + _CHECK_CHARS}}}"
)
_SHOWN_CHARS: Final = 4


class ShownKey(msgspec.Struct, frozen=True):
    """A text that could be a key; only its digest is kept of it."""

    environment: Environment
    digest: str


def make_key(environment: Environment, clock: Clock) -> str:
    """Return a new key, to be shown once."""
    head = f"{PREFIX}{environment}_{_base62(clock.random_bits(_RANDOM_BITS), _RANDOM_CHARS)}"
    return head + _checksum(head)


def parse_key(text: str) -> ShownKey | None:
    """Return what a well-formed key says; None for a text that no key can be."""
    match = _KEY.fullmatch(text)
    if match is None:
        return None
    head, checksum = text[:-_CHECK_CHARS], text[-_CHECK_CHARS:]
    if not hmac.compare_digest(checksum, _checksum(head)):
        return None
    return ShownKey(cast("Environment", match[1]), hashlib.sha256(text.encode()).hexdigest())


def hint_of(key: str) -> str:
    """Return how a key begins and ends, by which people tell keys apart."""
    prefix = key[: key.rindex("_") + 1]
    return f"{key[: len(prefix) + _SHOWN_CHARS]}…{key[-_SHOWN_CHARS:]}"


def _checksum(head: str) -> str:
    return _base62(zlib.crc32(head.encode()), _CHECK_CHARS)


def _base62(number: int, length: int) -> str:
    letters = []
    for _ in range(length):
        number, digit = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[digit])
    return "".join(reversed(letters))
