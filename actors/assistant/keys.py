"""Which idempotency keys a conversation has seen, for a day, in bounded memory.

Laws of this file: a key that is remembered leads to its first message until `KEY_LIFE` has passed,
by the conversation's own times. The newest `MAX_KEYS` are remembered here. What had to leave before
its time is returned by `left_early`, belongs into the store under `alias_of`, and from then on
`must_ask` says when the store has to be asked. So the promise of a day has no limit, and a
conversation of ordinary size never asks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from actors.assistant.records import Message, Metadata
from engine.clock import timestamp

KEY_LIFE: Final = timedelta(hours=24)
MAX_KEYS: Final = 512
_DIGEST_BYTES: Final = 16


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What was posted under a key: the message, and the digest of its body."""

    message_id: str
    message_seq: int
    digest: bytes
    expires_at: str


class KeyMemory(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of one conversation, oldest first.

    `left_until` is when the last of those that left early expires.
    """

    records: Mapping[str, KeyRecord] = {}
    left_until: str = ""

    def find(self, key: str, now: str) -> KeyRecord | None:
        """Return what the key stands for; None when it is not known here, or no longer."""
        record = self.records.get(key)
        return record if record is not None and now < record.expires_at else None

    def must_ask(self, key: str, now: str) -> bool:
        """Return whether only the store knows what this key stands for."""
        return key not in self.records and now < self.left_until

    def with_message(self, message: Message) -> KeyMemory:
        """Return the memory once this message is posted."""
        if message.idempotency_key is None:
            return self
        now = message.created_at
        records = {key: it for key, it in self.records.items() if now < it.expires_at}
        records.pop(message.idempotency_key, None)
        records[message.idempotency_key] = _record(message)
        left_until = self.left_until
        while len(records) > MAX_KEYS:
            left = records.pop(next(iter(records)))
            left_until = max(left_until, left.expires_at)
        return KeyMemory(records=records, left_until=left_until)


def left_early(before: KeyMemory, after: KeyMemory, now: str) -> Mapping[str, KeyRecord]:
    """Return what was in `before`, is not in `after`, and has not expired."""
    return {
        key: record
        for key, record in before.records.items()
        if key not in after.records and now < record.expires_at
    }


def alias_of(session_id: str, key: str) -> str:
    """Return the name under which the store keeps a key's record."""
    digest = hashlib.blake2b(key.encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"message-key/{session_id}/{digest}"


def digest_of(content: str, metadata: Metadata) -> bytes:
    """Return the digest of a message's body; the order of metadata's fields does not matter."""
    body = msgspec.json.encode((content, metadata), order="deterministic")
    return hashlib.blake2b(body, digest_size=_DIGEST_BYTES).digest()


def _record(message: Message) -> KeyRecord:
    expires_at = datetime.fromisoformat(message.created_at) + KEY_LIFE
    return KeyRecord(
        message_id=message.message_id,
        message_seq=message.seq,
        digest=digest_of(message.content, message.metadata),
        expires_at=timestamp(expires_at),
    )
