"""A part of a path that is an id, beside routes that have a word of their own there.

`/api-keys/<any_but(list):key_id>` does not match `/api-keys/list`: what is allowed there, and what
`Allow` says, is what the route of that name takes.
"""

from __future__ import annotations

import re

from werkzeug.routing import BaseConverter, Map


class AnyBut(BaseConverter):
    """Matches one part of a path that is none of some words."""

    def __init__(self, url_map: Map, *words: str) -> None:
        super().__init__(url_map)
        self.regex = f"(?!(?:{'|'.join(map(re.escape, words))})(?:/|$))[^/]+"
