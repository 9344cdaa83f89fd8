"""A QR code in a terminal: drawn in colour, in blocks, or in plain ASCII, as the terminal can.

Laws of this file: pure. In colour the code is black on white whatever the terminal's own colours
are. Without colour nobody knows these, and what is dark is drawn; phones read either.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Final

import segno

_BORDER: Final = 2
_BLOCKS: Final = " ▄▀█"  # two rows of modules a line: lower, upper, both
_BLACK_ON_WHITE: Final = "\x1b[38;5;16;48;5;231m"
_RESET: Final = "\x1b[0m"


def qr_lines(text: str, *, encoding: str | None, in_colour: bool) -> Sequence[str]:
    """Return the lines that draw `text`.

    Args:
        encoding: the terminal's; one without block characters gets plain ASCII.
        in_colour: it is a terminal, and not a file or a pipe.
    """
    code = segno.make(text, error="m", micro=False)
    rows = [list(map(bool, row)) for row in code.matrix_iter(border=_BORDER)]
    if not _can_draw(encoding):
        return ["".join("##" if dark else "  " for dark in row).rstrip() for row in rows]
    lines = [_line(upper, lower) for upper, lower in _pairs(rows)]
    return [f"{_BLACK_ON_WHITE}{line}{_RESET}" for line in lines] if in_colour else lines


def _can_draw(encoding: str | None) -> bool:
    try:
        _BLOCKS.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _pairs(rows: Sequence[Sequence[bool]]) -> Sequence[tuple[Sequence[bool], Sequence[bool]]]:
    nothing = [False] * len(rows[0])
    return list(zip_longest(rows[::2], rows[1::2], fillvalue=nothing))


def _line(upper: Sequence[bool], lower: Sequence[bool]) -> str:
    return "".join(_BLOCKS[2 * up + low] for up, low in zip(upper, lower, strict=True))
