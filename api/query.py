"""Numbers in a query string, checked.

Laws of this file: pure; what is not a number in range is refused by its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from api.errors import FieldInvalid

MAX_LIMIT: Final = 100
DEFAULT_LIMIT: Final = 20

_MAX_SEQ: Final = 2**53 - 1
_NUMBER: Final = re.compile(r"[0-9]{1,16}")


def take_limit(query: Mapping[str, str]) -> int:
    """Return how many entries a page may have, 20 where nothing is said.

    Raises:
        FieldInvalid: not a whole number from 1 to 100.
    """
    text = query.get("limit")
    if text is None:
        return DEFAULT_LIMIT
    if _NUMBER.fullmatch(text) is None or not 1 <= int(text) <= MAX_LIMIT:
        raise FieldInvalid("limit", f"must be a whole number from 1 to {MAX_LIMIT}")
    return int(text)


def take_sequence(query: Mapping[str, str], name: str) -> int | None:
    """Return the sequence under `name`; None when there is none.

    Raises:
        FieldInvalid: it is not a whole number that a sequence could be.
    """
    text = query.get(name)
    if text is None:
        return None
    if _NUMBER.fullmatch(text) is None or int(text) > _MAX_SEQ:
        raise FieldInvalid(name, "must be a sequence number")
    return int(text)
