"""What is said of a route in the documents.

Laws of this file: plain values, written down beside each other in one file for each family. Types
are msgspec types, so their schemas are made, not written. An error is named by its class; what it
looks like is asked of `api.errors` and not repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
Where: TypeAlias = Literal["path", "query", "header"]
Scheme: TypeAlias = Literal["operatorToken", "accessToken", "apiKey", "dashboardCookie"]

# Whoever calls a route of the operator's API; on loopback without tokens nothing is needed.
OPERATOR: Final[tuple[Scheme | None, ...]] = ("operatorToken", None)

_NO_NUL: Final = r"^[^\x00]*$"
Text: TypeAlias = Annotated[str, Meta(pattern=_NO_NUL)]
Timestamp: TypeAlias = Annotated[
    str,
    Meta(
        description="UTC, ISO 8601, milliseconds.",
        examples=["2026-01-07T12:34:56.789Z"],
        extra_json_schema={"format": "date-time"},
    ),
]
Limit: TypeAlias = Annotated[int, Meta(ge=1, le=100, description="Entries of a page.")]
Sequence: TypeAlias = Annotated[int, Meta(ge=0, le=2**53 - 1)]


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter; one in the path is always required."""

    name: str
    where: Where
    type: Any
    description: str
    required: bool = False
    default: Any = UNSET
    example: Any = UNSET


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """A JSON body; the example is one that works."""

    type: Any
    example: Any
    required: bool = True


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """Where an answer leads: another operation, with parameters taken from this answer."""

    operation: str
    parameters: Mapping[str, str]
    description: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is no error.

    Attributes:
        type: of the JSON; None for no body, or for a medium that is not JSON.
        headers: name to description.
        links: name to link.
    """

    status: int
    description: str
    type: Any = None
    example: Any = UNSET
    medium: str | None = "application/json"
    headers: Mapping[str, str] = {}
    links: Mapping[str, Link] = {}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A route with one method.

    Attributes:
        path: with parameters in braces.
        security: kinds of credential of which one is needed; None stands for none at all.
        errors: classes, the same that `api.errors` knows; more than one may have a status.
    """

    id: str
    method: Method
    path: str
    tag: str
    summary: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    answers: tuple[Answer, ...]
    errors: tuple[type[Exception], ...] = ()
    security: tuple[Scheme | None, ...]


def path_text(name: str, description: str, example: str) -> Parameter:
    """Return a parameter of the path."""
    type_ = Annotated[str, Meta(min_length=1)]
    return Parameter(
        name=name,
        where="path",
        type=type_,
        description=description,
        required=True,
        example=example,
    )


LIMIT: Final = Parameter(
    name="limit", where="query", type=Limit, description="Entries of a page.", default=20
)
CURSOR: Final = Parameter(
    name="cursor",
    where="query",
    type=str,
    description="Where to go on: the `next_cursor` or `nextCursor` of the page before, as it was.",
)
AFTER: Final = Parameter(
    name="after",
    where="query",
    type=Sequence,
    description="Send what comes after this `seq`; without it, what comes from now on.",
)
LAST_EVENT_ID: Final = Parameter(
    name="Last-Event-ID",
    where="header",
    type=Sequence,
    description="As `after`, and before it; an EventSource sends it by itself.",
)
