"""How large what a partner gives a session may be, and whether it is text at all.

Laws of this file: pure; what is refused is named, and never repeated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from actors.partner.errors import FieldInvalid

MAX_METADATA_BYTES: Final = 16 * 1024
MAX_METADATA_DEPTH: Final = 8
MAX_PURPOSE_CHARS: Final = 500
MAX_KEY_CHARS: Final = 255

_NOT_TEXT: Final = re.compile("[\0\ud800-\udfff]")
_CONTROL: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_KEY: Final = re.compile(r"[\x21-\x7e]+")


def check_purpose(purpose: str) -> None:
    """Refuse what a visitor could not be shown."""
    if len(purpose) > MAX_PURPOSE_CHARS:
        raise FieldInvalid("purpose", f"must not be longer than {MAX_PURPOSE_CHARS} characters")
    if _CONTROL.search(purpose):
        raise FieldInvalid("purpose", "must not hold control characters")


def check_idempotency_key(key: str) -> None:
    """Refuse what is no key: empty, too long, or not visible ASCII."""
    if len(key) > MAX_KEY_CHARS or _KEY.fullmatch(key) is None:
        problem = f"must be 1 to {MAX_KEY_CHARS} characters of visible ASCII"
        raise FieldInvalid("Idempotency-Key", problem)


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Refuse metadata that is too large, too deep, or holds what JSON or a store cannot keep."""
    level: list[Any] = [metadata]
    for _ in range(MAX_METADATA_DEPTH):
        below: list[Any] = []
        for value in level:
            _check_value(value)
            if isinstance(value, dict):
                below.extend((*value, *value.values()))
            elif isinstance(value, list):
                below.extend(value)
        if not below:
            break
        level = below
    else:
        problem = f"must not be nested deeper than {MAX_METADATA_DEPTH} levels"
        raise FieldInvalid("metadata", problem)
    if len(msgspec.json.encode(metadata)) > MAX_METADATA_BYTES:
        problem = f"must not be larger than {MAX_METADATA_BYTES} bytes of JSON"
        raise FieldInvalid("metadata", problem)


def _check_value(value: Any) -> None:
    match value:
        case str() if not value.isascii() and _NOT_TEXT.search(value):
            raise FieldInvalid("metadata", "must not hold lone surrogates")
        case str() if "\0" in value:
            raise FieldInvalid("metadata", "must not hold NUL characters")
        case int() if not -(2**63) <= value < 2**64:
            raise FieldInvalid("metadata", "must not hold whole numbers beyond 64 bits")
        case float() if not math.isfinite(value):
            raise FieldInvalid("metadata", "must not hold numbers that JSON does not have")
