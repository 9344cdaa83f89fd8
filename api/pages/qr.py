"""QR codes as SVG inside a page."""

from __future__ import annotations

from typing import Final

import segno
from markupsafe import Markup

# Scanners want four modules of white around it, and dark on white, whatever the page's colours.
_BORDER: Final = 4


def qr_svg(text: str, *, label: str) -> Markup:
    """Return a picture of `text` as a QR code; some 4 ms for a session's URL.

    Args:
        label: what somebody who does not see it is told.
    """
    code = segno.make(text, error="m", micro=False)
    picture = code.svg_inline(
        omitsize=True, border=_BORDER, dark="#000", light="#fff", svgclass="qr", lineclass=None
    )
    # The picture is made of numbers and of the arguments above; the text is in none of it.
    head, _, rest = picture.partition(" ")
    return Markup(f'{head} role="img" aria-label="{{}}" ').format(label) + Markup(rest)  # noqa: S704
