"""What a create leaves behind under its Idempotency-Key: the digest of its body, and its answer.

Laws of this file: a record is found by tenant, environment and key, for a day. The answer holds the
link's token, so it is sealed, and opens only under the name that it was recorded under.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from actors.partner.errors import IdempotencyMismatch
from actors.partner.tenants.principal import Environment
from engine.seal import Sealer

KEY_LIFE: Final = timedelta(hours=24)
KEY_PREFIX: Final = "create-key/"
_DIGEST_BYTES: Final = 16


class KeyRecord(msgspec.Struct, frozen=True, array_like=True):
    """The payload of a key's alias."""

    body: bytes
    answer: bytes


def key_alias(tenant_id: str, environment: Environment, key: str) -> str:
    """Return the name under which the store keeps a key's record."""
    digest = hashlib.blake2b(key.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{KEY_PREFIX}{tenant_id}/{environment}/{digest}"


def digest_of_body(body: Mapping[str, Any]) -> bytes:
    """Return the digest of a request; spaces and the order of its fields do not matter."""
    text = msgspec.json.encode(body, order="deterministic")
    return hashlib.blake2b(text, digest_size=_DIGEST_BYTES).digest()


def record(alias: str, body: bytes, answer: bytes, sealer: Sealer) -> bytes:
    """Return the payload for a key's alias."""
    sealed = sealer.seal(answer, place=alias)
    return msgspec.msgpack.encode(KeyRecord(body=body, answer=sealed))


def recall(alias: str, payload: bytes, body: bytes, sealer: Sealer) -> bytes:
    """Return the answer that the key's first request got.

    Raises:
        IdempotencyMismatch: that one had another body.
    """
    found = msgspec.msgpack.decode(payload, type=KeyRecord)
    if found.body != body:
        raise IdempotencyMismatch
    return sealer.open(found.answer, place=alias)


def resealed(alias: str, payload: bytes, sealer: Sealer) -> bytes | None:
    """Return the payload sealed under the newest key; None when it is."""
    found = msgspec.msgpack.decode(payload, type=KeyRecord)
    if sealer.is_current(found.answer):
        return None
    answer = sealer.seal(sealer.open(found.answer, place=alias), place=alias)
    return msgspec.msgpack.encode(KeyRecord(body=found.body, answer=answer))
