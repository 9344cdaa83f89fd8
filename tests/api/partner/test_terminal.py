from __future__ import annotations

import pytest
import segno

from api.partner.terminal import qr_lines

URL = "https://mooring.example/s/" + "x" * 43


def modules() -> list[list[bool]]:
    code = segno.make(URL, error="m", micro=False)
    return [list(map(bool, row)) for row in code.matrix_iter(border=2)]


def test_blocks_draw_two_rows_a_line() -> None:
    lines = qr_lines(URL, encoding="utf-8", in_colour=False)
    drawn: list[list[bool]] = []
    for line in lines:
        drawn.append([letter in "▀█" for letter in line])
        drawn.append([letter in "▄█" for letter in line])
    assert drawn[: len(modules())] == modules()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no such encoding", None])
def test_a_terminal_without_blocks_gets_plain_ascii(encoding: str | None) -> None:
    lines = qr_lines(URL, encoding=encoding, in_colour=False)
    assert all(line.isascii() for line in lines)
    width = len(modules()[0])
    drawn = [[line.ljust(2 * width)[2 * at] == "#" for at in range(width)] for line in lines]
    assert drawn == modules()


def test_in_colour_it_is_black_on_white() -> None:
    (plain, colour) = (qr_lines(URL, encoding="utf-8", in_colour=it) for it in (False, True))
    assert [line.partition("m")[2].partition("\x1b")[0] for line in colour] == list(plain)
