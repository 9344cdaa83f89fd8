"""Why a form was not taken, in words for whoever filled it in.

Laws of this file: pure; a problem of one field is said beside it and nowhere else; nothing of the
inside is given away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from actors.partner import (
    EmailTaken,
    FieldInvalid,
    IdempotencyMismatch,
    LimitReached,
    QuotaExceeded,
    TooManyActive,
)
from api.errors import FieldInvalid as TypedInvalid
from api.errors import answer_to

_FAMILY: Final = "/dashboard"
# Where a field is called otherwise in our forms.
_FIELDS: Final[Mapping[str, str]] = {"metadata": "user_id", "metadata.user_id": "user_id"}


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """How a form's page is shown again; as it is made here, there is nothing wrong.

    Attributes:
        problem, advice: about the form as a whole.
        problems: of its fields, by their names; each field has an entry.
    """

    status: int = 200
    headers: Mapping[str, str] = {}
    problem: str = ""
    advice: str = ""
    problems: Mapping[str, str] = {}

    @property
    def shown(self) -> dict[str, Any]:
        """What templates are given."""
        return {"problem": self.problem, "advice": self.advice, "problems": self.problems}


def refusal_of(error: Exception | None, fields: Iterable[str] = ()) -> Refusal:
    """Return what to say; without an error, nothing.

    Args:
        fields: of the form.
    """
    problems = dict.fromkeys(fields, "")
    if error is None:
        return Refusal(problems=problems)
    answer = answer_to(error, request_id="", path=_FAMILY)
    problem, advice = _said(error)
    field = _field_of(error)
    if field in problems:
        problems[field], problem = problem, ""
    return Refusal(
        status=answer.status,
        # A browser that is told of Bearer tokens has nothing to do with them.
        headers={name: it for name, it in answer.headers.items() if name == "Retry-After"},
        problem=problem,
        advice=advice,
        problems=problems,
    )


def duration(seconds: int) -> str:
    """Return a time to wait, in words."""
    count, unit = (seconds, "second") if seconds < 120 else (-(-seconds // 60), "minute")
    return f"{count} {unit}{'' if count == 1 else 's'}"


def sentence(text: str) -> str:
    """Return a text that begins like a sentence and ends like one."""
    begun = text[:1].upper() + text[1:]
    return begun if begun.endswith((".", "!", "?")) else f"{begun}."


def _field_of(error: Exception) -> str:
    match error:
        case FieldInvalid(field=str(name)) | TypedInvalid(name=str(name)):
            return _FIELDS.get(name, name)
        case EmailTaken():
            return "email"
    return ""


def _said(error: Exception) -> tuple[str, str]:
    match error:
        case FieldInvalid(problem=str(problem)) | TypedInvalid(details=str(problem)):
            said = sentence(problem), ""
        case EmailTaken():
            said = "There is an account with this address already. Log in instead.", ""
        case IdempotencyMismatch():
            said = "This form was sent already, with something else in it.", "Load the page again."
        case LimitReached():
            said = sentence(str(error)), _when_again(error)
        case _:
            said = sentence(str(error)), ""
    return said


def _when_again(error: LimitReached) -> str:
    match error:
        case QuotaExceeded(limit=limit):
            return f"All {limit:,} sessions of this month are used. A new month begins on the 1st."
        case TooManyActive(limit=limit):
            return f"{limit} sessions have not ended yet. Cancel one, or wait until one expires."
    return f"Try again in {duration(error.retry_after_s)}."
