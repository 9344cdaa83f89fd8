"""Marks that turn the direction of text around, kept to the text that they are in.

Laws of this file: pure. What comes out opens and closes every embedding, override and isolate in
itself, line by line, as Unicode's bidirectional algorithm (UAX 9) pairs them; every other character
is as it was. So an element with `unicode-bidi: isolate` around it holds it: a mark left open would
take the element's own end for its own, and one that closes too much would leave the element.
"""

from __future__ import annotations

import re
from typing import Final

_ISOLATES: Final = "\u2066\u2067\u2068"
_END_OF_ISOLATE: Final = "\u2069"
_EMBEDDINGS: Final = "\u202a\u202b\u202d\u202e"
_END_OF_EMBEDDING: Final = "\u202c"
_MARK: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
# What ends a paragraph, and with it all that is open in it.
_PARAGRAPH: Final = re.compile("([\n\r\x1c-\x1e\x85\u2029])")


def balanced(text: str) -> str:
    """Return the text with its marks in pairs: what is open is closed, what closes nothing goes."""
    if _MARK.search(text) is None:
        return text
    return "".join(map(_balanced, _PARAGRAPH.split(text)))


def escaped(json: str) -> str:
    """Return JSON text that means the same, and has each mark written as an escape.

    Marks are only ever within its strings; so it can be shown, copied and read as JSON again.
    """
    return _MARK.sub(lambda mark: f"\\u{ord(mark[0]):04x}", json)


def _balanced(line: str) -> str:
    kept: list[str] = []
    ends: list[str] = []  # of what is open, the innermost last
    isolates = 0  # of these
    for letter in line:
        if letter in _ISOLATES:
            ends.append(_END_OF_ISOLATE)
            isolates += 1
        elif letter in _EMBEDDINGS:
            ends.append(_END_OF_EMBEDDING)
        elif letter == _END_OF_EMBEDDING:
            if not ends or ends[-1] != letter:
                continue
            ends.pop()
        elif letter == _END_OF_ISOLATE:
            if not isolates:
                continue
            isolates -= 1
            while ends.pop() != letter:
                pass  # an isolate's end ends the embeddings in it as well
        kept.append(letter)
    return "".join(kept + ends[::-1])
