"""What lies in the demo terminal: 203 containers, the same ones in the same order at each start.

Three are named by the contract. The other 200 follow one rule, written down in docs/demo.md: the
n-th is owned by the (n mod 5)-th line, and its seven digits are 301000 + 37 n and the ISO 6346
check digit. Every third is an import, which has no booking field at all; of the exports every
fourth still waits for its booking and shows "N/A"; the others' booking is BKG and the seven digits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

Trade = Literal["EXPORT", "IMPORT"]

_OWNERS: Final = ("MSKU", "HLXU", "CMAU", "TCLU", "OOLU")
_LINES: Final[Mapping[str, str]] = {
    "MSKU": "Maersk",
    "HLXU": "Hapag-Lloyd",
    "CMAU": "CMA CGM",
    "TCLU": "Evergreen",
    "OOLU": "OOCL",
    "TRHU": "MSC",
    "MSCU": "MSC",
    "MSDU": "MSC",
}
_TERMINALS: Final = ("Pier 400", "Harbor East", "West Basin", "Terminal Island")
_VESSELS: Final = (
    "EVER GIVING 041E",
    "MSC AURELIA 112W",
    "NORTHERN LIGHT 007N",
    "BAY PIONEER 330S",
)
_SIZES: Final = ("40HC", "20DV", "40DV", "45HC", "20RF")


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table.

    Attributes:
        booking: None for an export that has none yet; an import never has one.
    """

    id: str
    trade: Trade
    line: str
    size: str
    terminal: str
    vessel: str
    status: str
    booking: str | None


def check_digit(ten: str) -> int:
    """Return the ISO 6346 check digit of four letters and six digits."""
    # Letters count from 10 upwards and skip the multiples of eleven: A=10, B=12, ... K=21, L=23.
    values = [int(c) if c.isdigit() else (ord(c) - 55) + (ord(c) - 56) // 10 for c in ten]
    return sum(value << place for place, value in enumerate(values)) % 11 % 10


def _container(
    container_id: str, *, number: int, trade: Trade, booking: str | None = None
) -> Container:
    return Container(
        id=container_id,
        trade=trade,
        line=_LINES[container_id[:4]],
        size=_SIZES[number % len(_SIZES)],
        terminal=_TERMINALS[number % len(_TERMINALS)],
        vessel=_VESSELS[number % len(_VESSELS)],
        status="On vessel" if number % 7 == 0 else "In yard",
        booking=booking,
    )


def _more(number: int) -> Container:
    ten = f"{_OWNERS[number % len(_OWNERS)]}{301000 + 37 * number:06d}"
    container_id = f"{ten}{check_digit(ten)}"
    if number % 3 == 0:
        return _container(container_id, number=number, trade="IMPORT")
    booking = None if number % 4 == 0 else f"BKG{container_id[4:]}"
    return _container(container_id, number=number, trade="EXPORT", booking=booking)


def _all() -> tuple[Container, ...]:
    rows = [_more(number) for number in range(1, 201)]
    # The first page shows the first one; the second and the last are reached only by scrolling.
    rows.insert(2, _container("TRHU1866154", number=2, trade="EXPORT", booking="RICFEM857500"))
    rows.insert(27, _container("MSCU5165756", number=27, trade="IMPORT"))
    rows.insert(190, _container("MSDU5772413", number=190, trade="EXPORT", booking="BKG5772413"))
    return tuple(rows)


CONTAINERS: Final[Sequence[Container]] = _all()
BY_ID: Final[Mapping[str, Container]] = {row.id: row for row in CONTAINERS}
