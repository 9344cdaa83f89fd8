"""The documents, made ready to be read: what the page at `/docs` shows.

Laws of this file: pure; everything comes from the documents, so that the page cannot say anything
else than they do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from api.docs.documents import Documents

_METHODS: Final = ("get", "post", "put", "patch", "delete")
_CREDENTIALS: Final = {
    "operatorToken": "operator token",
    "accessToken": "access token",
    "apiKey": "API key",
    "dashboardCookie": "the dashboard's cookie",
}
_ERROR: Final = re.compile(r"`(\w+)`: ")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A field or a parameter."""

    name: str
    type: str
    required: bool
    description: str


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An answer: a status, or an error under it."""

    status: str
    description: str
    rows: tuple[Row, ...] = ()
    examples: tuple[tuple[str, str], ...] = ()  # its name, and the JSON
    meanings: Mapping[str, str] = {}  # of errors, by name


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One operation."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    credentials: str
    parameters: tuple[Row, ...]
    body: tuple[Row, ...]
    body_example: str
    answers: tuple[Told, ...]
    errors: tuple[Told, ...]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The routes of a tag."""

    id: str
    title: str
    description: str
    routes: tuple[Route, ...]


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of frame."""

    name: str
    summary: str
    rows: tuple[Row, ...]


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of stream."""

    id: str
    address: str
    title: str
    description: str
    sends: tuple[Happening, ...]
    takes: tuple[Happening, ...]


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """All of it, in order."""

    version: str
    paragraphs: tuple[str, ...]
    groups: tuple[Group, ...]
    streams: tuple[str, ...]
    channels: tuple[Channel, ...]
    close_codes: tuple[tuple[str, str], ...]


def make_reading(documents: Documents) -> Reading:
    """Return what a person reads of the documents."""
    openapi, asyncapi = documents.openapi, documents.asyncapi
    channels = asyncapi["channels"]
    codes = next(iter(channels.values()))["x-close-codes"]
    return Reading(
        version=openapi["info"]["version"],
        paragraphs=tuple(openapi["info"]["description"].split("\n\n")),
        groups=tuple(_group(openapi, tag) for tag in openapi["tags"]),
        streams=tuple(asyncapi["info"]["description"].split("\n\n")),
        channels=tuple(_channel(asyncapi, name) for name in channels),
        close_codes=tuple(sorted(codes.items())),
    )


def _group(openapi: Mapping[str, Any], tag: Mapping[str, str]) -> Group:
    return Group(
        id=_slug(tag["name"]),
        title=tag["name"].capitalize(),
        description=tag["description"],
        routes=tuple(_routes(openapi, tag["name"])),
    )


def _routes(openapi: Mapping[str, Any], tag: str) -> Iterator[Route]:
    for path, entry in openapi["paths"].items():
        for method in _METHODS:
            if tag in entry.get(method, {}).get("tags", ()):
                yield _route(openapi, path, method)


def _route(openapi: Mapping[str, Any], path: str, method: str) -> Route:
    operation = openapi["paths"][path][method]
    media = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return Route(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        description=operation.get("description", ""),
        credentials=_credentials(operation["security"]),
        parameters=tuple(_parameter(openapi, one) for one in operation.get("parameters", ())),
        body=_rows(openapi, media.get("schema", {})),
        body_example=_json(media["example"]) if "example" in media else "",
        answers=tuple(_answers(openapi, operation)),
        errors=tuple(_errors(operation)),
    )


def _credentials(security: Sequence[Mapping[str, Any]]) -> str:
    named = [_CREDENTIALS[name] for one in security for name in one]
    if not named:
        return "nothing"
    return " or ".join(named) + ("" if all(security) else ", where one is set")


def _parameter(openapi: Mapping[str, Any], parameter: Mapping[str, Any]) -> Row:
    return Row(
        name=parameter["name"],
        type=f"{_type_of(openapi, parameter['schema'])}, in the {parameter['in']}",
        required=parameter["required"],
        description=parameter["description"],
    )


def _answers(openapi: Mapping[str, Any], operation: Mapping[str, Any]) -> Iterator[Told]:
    for status, response in operation["responses"].items():
        if status >= "300":
            continue
        (media,) = response.get("content", {"": {}}).values()
        example = (_json(media["example"]),) if "example" in media else ()
        yield Told(
            status=status,
            description=response["description"],
            rows=_rows(openapi, media.get("schema", {})),
            examples=tuple(("", text) for text in example),
        )


def _errors(operation: Mapping[str, Any]) -> Iterator[Told]:
    for status, response in operation["responses"].items():
        if status < "300":
            continue
        media = response["content"]["application/json"]
        examples = media.get("examples", {})
        yield Told(
            status=status,
            description=_ERROR.sub("", response["description"]),
            examples=tuple((name, _json(one["value"])) for name, one in examples.items()),
            meanings={name: one["summary"] for name, one in examples.items()},
        )


def _channel(asyncapi: Mapping[str, Any], name: str) -> Channel:
    channel = asyncapi["channels"][name]

    def frames(verb: str) -> tuple[Happening, ...]:
        operation = asyncapi["operations"].get(f"{verb}_{name}", {"messages": ()})
        return tuple(_happening(asyncapi, channel, one) for one in operation["messages"])

    return Channel(
        id=name,
        address=channel["address"],
        title=channel["title"],
        description=channel["description"],
        sends=frames("follow"),
        takes=frames("speak_to"),
    )


def _happening(
    asyncapi: Mapping[str, Any], channel: Mapping[str, Any], ref: Mapping[str, str]
) -> Happening:
    name = ref["$ref"].rpartition("/")[2]
    key = channel["messages"][name]["$ref"].rpartition("/")[2]
    message = asyncapi["components"]["messages"][key]
    data = _resolved(asyncapi, message["payload"]).get("properties", {})
    schema = data.get("data", message["payload"])
    return Happening(name=name, summary=message["summary"], rows=_rows(asyncapi, schema))


def _rows(document: Mapping[str, Any], schema: Mapping[str, Any]) -> tuple[Row, ...]:
    """Return the fields of an object's schema; none for anything else."""
    whole = _resolved(document, schema)
    required = whole.get("required", ())
    return tuple(
        Row(
            name=name,
            type=_type_of(document, field),
            required=name in required,
            description=_meaning(document, field),
        )
        for name, field in whole.get("properties", {}).items()
    )


def _meaning(document: Mapping[str, Any], field: Mapping[str, Any]) -> str:
    """Return what a field means: its own words, or those of what it may be."""
    choices = (_resolved(document, one) for one in (field, *field.get("anyOf", ())))
    return next((str(one["description"]) for one in choices if "description" in one), "")


def _type_of(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return a schema's type in a few words."""
    match schema:
        case {"$ref": str(ref)} if _resolved(document, schema).get("type") == "object":
            return ref.rpartition("/")[2]
        case {"$ref": _}:
            return _type_of(document, _resolved(document, schema))
        case {"anyOf": list(choices)}:
            return " or ".join(dict.fromkeys(_type_of(document, one) for one in choices))
        case {"enum": list(values)}:
            return " or ".join(json.dumps(one) for one in values)
        case {"type": "array", "items": dict(items)}:
            return f"list of {_type_of(document, items)}"
    return json.dumps(schema["const"]) if "const" in schema else str(schema.get("type", "any"))


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Mapping[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _slug(text: str) -> str:
    return text.replace(" ", "-")


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
