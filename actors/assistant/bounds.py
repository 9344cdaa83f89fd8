"""How large what a conversation holds may be, and whether it is text at all.

Laws of this file: with these bounds a snapshot fits into one commit (4 bytes a character, measured
by a test), whatever clients and models send. What clients send is checked and refused; what models
and their providers send is made to fit.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

import msgspec

from actors.assistant.errors import FieldInvalid
from actors.assistant.records import Metadata

MAX_CONTENT_BYTES: Final = 64 * 1024
MAX_METADATA_BYTES: Final = 16 * 1024
MAX_METADATA_DEPTH: Final = 32
MAX_TITLE_CHARS: Final = 512
MAX_ID_CHARS: Final = 128
MAX_REPLY_CHARS: Final = 256 * 1024
MAX_ERROR_CHARS: Final = 1_000
MAX_LABEL_CHARS: Final = 100  # a provider's name of a model or a finish reason
MAX_ATTEMPTS: Final = 3
MAX_QUEUED: Final = 100
MAX_QUEUED_WEIGHT: Final = 512 * 1024
MAX_RECENT: Final = 200
MAX_RECENT_WEIGHT: Final = 256 * 1024

_NOT_TEXT: Final = re.compile("[\0\ud800-\udfff]")
_CONTROL: Final = re.compile("[\0-\x1f\x7f-\x9f\ud800-\udfff]")


def check_id(field: str, text: str) -> None:
    """Refuse what cannot be an id of a client's: empty, too long, or not printable text."""
    if not text:
        raise FieldInvalid(field, "must not be empty")
    if len(text) > MAX_ID_CHARS:
        raise FieldInvalid(field, f"must not be longer than {MAX_ID_CHARS} characters")
    if _CONTROL.search(text):
        raise FieldInvalid(field, "must not hold control characters")


def check_title(title: str | None) -> None:
    """Refuse a title that is too long or not text."""
    if title is None:
        return
    if len(title) > MAX_TITLE_CHARS:
        raise FieldInvalid("title", f"must not be longer than {MAX_TITLE_CHARS} characters")
    _check_text("title", title)


def check_content(content: str) -> None:
    """Refuse a message that says nothing, says too much, or is not text."""
    if not content or content.isspace():
        raise FieldInvalid("content", "must not be empty")
    _check_text("content", content)
    if len(content) > MAX_CONTENT_BYTES or len(content.encode()) > MAX_CONTENT_BYTES:
        raise FieldInvalid("content", f"must not be larger than {MAX_CONTENT_BYTES} bytes of UTF-8")


def check_metadata(metadata: Metadata) -> None:
    """Refuse metadata that is too large, too deep, or holds what is not text."""
    _check_values(metadata)
    if _json_bytes(metadata) > MAX_METADATA_BYTES:
        raise FieldInvalid(
            "metadata", f"must not be larger than {MAX_METADATA_BYTES} bytes of JSON"
        )


def weight_of(content: str, metadata: Metadata) -> int:
    """Return what a message counts for where messages are kept: its characters, and its metadata's
    as JSON."""
    return len(content) + (_json_bytes(metadata) if metadata else 0)


def clean(text: str, limit: int) -> str:
    """Return foreign text as text that can be kept, cut to `limit` characters."""
    return _NOT_TEXT.sub("\ufffd", text[:limit])


def _json_bytes(metadata: Metadata) -> int:
    return len(msgspec.json.encode(metadata))


def _check_text(field: str, text: str) -> None:
    if _NOT_TEXT.search(text):
        raise FieldInvalid(field, "must not hold NUL characters or lone surrogates")


def _check_values(metadata: Metadata) -> None:
    level: list[Any] = [metadata]
    for _ in range(MAX_METADATA_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                _check_text("metadata", value)
            elif isinstance(value, int) and not -(2**63) <= value < 2**64:
                raise FieldInvalid("metadata", "must not hold whole numbers beyond 64 bits")
            elif isinstance(value, float) and not math.isfinite(value):
                raise FieldInvalid("metadata", "must not hold numbers that JSON does not have")
            elif isinstance(value, dict):
                below.extend((*value, *value.values()))
            elif isinstance(value, list):
                below.extend(value)
        if not below:
            return
        level = below
    raise FieldInvalid("metadata", f"must not be nested deeper than {MAX_METADATA_DEPTH} levels")
