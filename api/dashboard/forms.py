"""Reading a form: bounded in size, number of fields and length; every value is a text.

Laws of this file: a field that is sent twice has its last value, unless it may have several. What
is only white space is empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

from quart import Request

from api.body import check_text, read_bytes
from api.errors import FieldInvalid

_MOST_FIELDS: Final = 64
_TYPE: Final = "application/x-www-form-urlencoded"


class Form:
    """What was typed."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._pairs = pairs

    def text(self, name: str, *, longest: int) -> str:
        """Return a field's text without space around it, empty when it is absent.

        Raises:
            FieldInvalid: too long, or with a NUL character in it.
        """
        value = self.raw(name).strip()
        check_text(name, value, longest=longest)
        return value

    def raw(self, name: str) -> str:
        """Return a field as it was typed, for showing it again or for a password."""
        return next((value for key, value in reversed(self._pairs) if key == name), "")

    def several(self, name: str) -> tuple[str, ...]:
        """Return all values of a field."""
        return tuple(value for key, value in self._pairs if key == name)

    def typed(self, names: Iterable[str], *, longest: int = 10_000) -> dict[str, str]:
        """Return what was typed into these fields, to be shown again; a part of what is endless."""
        return {name: self.raw(name)[:longest] for name in names}


async def read_form(request: Request) -> Form:
    """Return the form that the request in hand brings.

    Raises:
        BodyTooLarge, BodyTooSlow, FieldInvalid: not a form, or not in UTF-8.
    """
    data = await read_bytes(request)
    if data and request.mimetype != _TYPE:
        raise FieldInvalid("form", f"Send it as Content-Type: {_TYPE}")
    try:
        pairs = parse_qsl(
            data.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise FieldInvalid("form", "Expected fields in UTF-8, and not so many") from None
    return Form(pairs)


def chosen(value: str, among: Sequence[str]) -> str:
    """Return the choice, or the first one where it is none of them: for showing a form again."""
    return value if value in among else among[0]


def given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that were given a value."""
    return {name: value for name, value in fields.items() if value not in ("", None)}
