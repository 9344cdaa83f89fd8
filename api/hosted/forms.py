"""Forms that a visitor's page sends: a few short fields, read within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

import msgspec
from quart import Request
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from api.errors import BodyTooLarge, BodyTooSlow

_TYPE: Final = "application/x-www-form-urlencoded"
_LONGEST: Final = 4_096
_MOST_FIELDS: Final = 16


class Form(msgspec.Struct, frozen=True):
    """The fields of a form; one that came twice counts as not there."""

    fields: Mapping[str, str]

    def text(self, name: str) -> str:
        """Return a field's text; empty when it is not there."""
        return self.fields.get(name, "")


async def read_form(request: Request) -> Form:
    """Return the form that a request brings; an empty one when it brings something else.

    Raises:
        BodyTooLarge, BodyTooSlow.
    """
    try:
        data = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    except RequestEntityTooLarge:
        raise BodyTooLarge("At most a few fields are read") from None
    except RequestTimeout:
        raise BodyTooSlow("It must arrive sooner") from None
    if request.mimetype != _TYPE or len(data) > _LONGEST:
        return Form({})
    try:
        pairs = parse_qsl(data.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        return Form({})
    names = [name for name, _ in pairs]
    return Form({name: text for name, text in pairs if names.count(name) == 1})
