"""Ids in a path that hold a slash, as clients encode it: `business/a%2Fb/user/u`.

ASGI's path is decoded, and a slash of an id's looks there like one between two segments. So the
router is given a stand-in for it, which no other path can hold, and views that take such ids put
the slash back. Only the assistant's ids are anybody's to choose; elsewhere an encoded slash stays
what it was, a path that nobody knows.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

_CHOSEN_IDS: Final = b"/api/sessions/business/"
_ENCODED_SLASH: Final = re.compile(rb"%2f", re.IGNORECASE)
# A lone surrogate: what is not UTF-8 is decoded to U+FFFD, so nothing is decoded to this.
_STAND_IN: Final = "\udc2f"


def routed_path(path: str, raw_path: bytes) -> str:
    """Return the path to route by: `path`, save where an id of a client's holds a slash."""
    if not raw_path.startswith(_CHOSEN_IDS) or _ENCODED_SLASH.search(raw_path) is None:
        return path
    return _STAND_IN.join(unquote(part.decode("ascii")) for part in _ENCODED_SLASH.split(raw_path))


def whole_id(segment: str) -> str:
    """Return the id that a segment of a routed path stands for."""
    return segment.replace(_STAND_IN, "/")
