"""QR codes: the picture says the text, and holds nothing of it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import segno

from api.pages import qr_svg

URL = "https://mooring.example/s/5fNq0cBvXk3m1dJv2yQ8Zt7sLw4hRe6aUoPiGxYbKc9"


def modules_of(svg: str) -> set[tuple[int, int]]:
    """Return the dark modules that an SVG of segno's draws: `m` moves, `h` draws to the right."""
    path = ET.fromstring(svg).findall("path")[1].attrib["d"]
    dark, x, y = set(), 0, 0.0
    for kind, across, down in re.findall(r"([Mmh])(-?[\d.]+)(?: (-?[\d.]+))?", path):
        if kind == "h":
            dark |= {(x + step, int(y)) for step in range(int(across))}
        x += int(across)
        y += float(down or 0)
    return dark


def test_the_picture_is_the_code_of_the_text() -> None:
    matrix = segno.make(URL, error="m", micro=False).matrix
    wanted = {
        (x + 4, y + 4) for y, row in enumerate(matrix) for x, module in enumerate(row) if module
    }
    assert modules_of(qr_svg(URL, label="Session URL")) == wanted


def test_it_is_dark_on_white_whatever_the_page_looks_like_and_has_a_name() -> None:
    svg = qr_svg(URL, label='Open "it" <on a phone>')
    root = ET.fromstring(svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == 'Open "it" <on a phone>'
    assert next(iter(root)).attrib["fill"] == "#fff"
    assert "style" not in svg


def test_nothing_of_the_text_is_in_the_picture() -> None:
    assert "script" not in qr_svg("<script>alert(1)</script>", label="code")
