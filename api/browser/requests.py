"""Bodies of the browser routes, decoded: what is missing first, then what is wrong.

Laws of this file: pure. Unknown fields are ignored; no error repeats a value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from actors.browser.messages import GetSession, RunOperation
from actors.browser.portals.portal import Credentials, Operation
from api.body import check_text, take_flag, take_text
from api.errors import FieldInvalid, FieldsMissing

CREDENTIAL_FIELDS: Final = ("username", "password", "captcha_api_key")

# Longer than any portal's credentials, and than any text that an operation takes.
_MAX_CREDENTIAL: Final = 1024
_MAX_TEXT: Final = 4096
_HOW_TO_NAME_A_SESSION: Final = f"Give session_id, or {', '.join(CREDENTIAL_FIELDS)}"


def get_session(body: Mapping[str, Any]) -> GetSession:
    """Return the message of `POST /get_session`.

    Raises:
        FieldsMissing: absent, null or empty ones, in the contract's order.
        FieldInvalid: one is no string, too long, or holds a NUL.
    """
    missing = _missing(body, CREDENTIAL_FIELDS)
    if missing:
        raise FieldsMissing(missing)
    return GetSession(credentials=_credentials(body))


def run_operation(operation: Operation, body: Mapping[str, Any]) -> RunOperation:
    """Return the message of `POST /<operation>`.

    Credentials count when all three are there; beside a session id they may be left out.

    Raises:
        FieldsMissing, FieldInvalid: as above, for the operation's own fields too.
    """
    fields = msgspec.structs.fields(operation.request)
    required = tuple(field.encode_name for field in fields if field.required)
    session, details = _missing_session(body)
    missing = session + _missing(body, required)
    if missing:
        raise FieldsMissing(missing, details)
    return RunOperation(
        name=operation.name,
        request=_own_request(operation, body, tuple(field.encode_name for field in fields)),
        session_id=take_text(body, "session_id", longest=_MAX_CREDENTIAL),
        credentials=None if _missing(body, CREDENTIAL_FIELDS) else _credentials(body),
        debug=take_flag(body, "debug"),
    )


def _missing_session(body: Mapping[str, Any]) -> tuple[tuple[str, ...], str | None]:
    """Return what is missing of a session id or else credentials, and how to mend it."""
    if not _missing(body, ("session_id",)):
        return (), None
    missing = _missing(body, CREDENTIAL_FIELDS)
    if missing == CREDENTIAL_FIELDS:
        return ("session_id",), _HOW_TO_NAME_A_SESSION
    return missing, _HOW_TO_NAME_A_SESSION if missing else None


def _missing(body: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if body.get(name) in (None, ""))


def _credentials(body: Mapping[str, Any]) -> Credentials:
    texts = {
        name: take_text(body, name, longest=_MAX_CREDENTIAL) or "" for name in CREDENTIAL_FIELDS
    }
    return Credentials(**texts)


def _own_request(operation: Operation, body: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    own = {name: body[name] for name in names if body.get(name) is not None}
    for name, value in own.items():
        check_text(name, value, longest=_MAX_TEXT)
    try:
        return msgspec.convert(own, operation.request)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$.")
        name = path.rstrip("`") or operation.name
        raise FieldInvalid(name, problem.replace("`", "")) from None
