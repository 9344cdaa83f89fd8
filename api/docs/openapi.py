"""`/openapi.json`: OpenAPI 3.1 of every route, made from what is said of them and from their types.

https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from msgspec import UNSET

from api.docs.errors import answers_of, example_of, meaning, shape_at
from api.docs.operation import Answer, Link, Operation, Parameter, Scheme
from api.docs.schemas import Schemas

VERSION: Final = "3.1.0"

_DESCRIPTION: Final = """\
Mooring keeps sessions alive: logged-in browsers, conversations with an assistant, and hosted \
pages that wait for their visitor.

A method that a path does not have is a 405 with `Allow`; a path \
that does not exist is a 404 in its family's error shape. Fields that a route does not know are \
ignored. All times are UTC, ISO 8601, with milliseconds. The live streams are described in \
`/asyncapi.json`."""

SECURITY_SCHEMES: Final[Mapping[Scheme, Mapping[str, str]]] = {
    "operatorToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "One of `MOORING_OPERATOR_TOKENS`. Without any set, the server is open to "
        "programs on its own machine, and to nobody else.",
    },
    "accessToken": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "What `POST /api/v1/auth/login` gives a person.",
    },
    "apiKey": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "vp_<environment>_…",
        "description": "An API key of a tenant, for its backend.",
    },
    "dashboardCookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-mooring",
        "description": "What the dashboard's login sets (without `__Host-` over plain http); only "
        "with our own `Origin`.",
    },
}


def openapi_document(
    operations: Sequence[Operation], *, tags: Mapping[str, str], version: str, server_url: str
) -> Mapping[str, Any]:
    """Return the document.

    Args:
        tags: name to description, in order.
        version: of the server.
        server_url: where it is reached.
    """
    schemas = Schemas(_types_of(operations))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        entry = paths.setdefault(operation.path, {})
        entry[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": VERSION,
        "info": {"title": "Mooring", "version": version, "description": _DESCRIPTION},
        "servers": [{"url": server_url}],
        "tags": [{"name": name, "description": text} for name, text in tags.items()],
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "headers": {name: _HEADERS[name] for name in (*_ON_ALL, *_ON_LIMITED)},
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def _types_of(operations: Sequence[Operation]) -> Iterator[Any]:
    for operation in operations:
        yield shape_at(operation.path)
        yield None if operation.body is None else operation.body.type
        yield from (parameter.type for parameter in operation.parameters)
        yield from (answer.type for answer in operation.answers)


def _operation(operation: Operation, schemas: Schemas) -> Mapping[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "security": [{} if one is None else {one: []} for one in operation.security],
        "responses": _responses(operation, schemas),
    }
    if operation.description:
        described["description"] = operation.description
    if operation.parameters:
        described["parameters"] = [_parameter(one, schemas) for one in operation.parameters]
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.body.required,
            "content": {
                "application/json": {
                    "schema": schemas.of(operation.body.type),
                    "example": operation.body.example,
                }
            },
        }
    return described


def _parameter(parameter: Parameter, schemas: Schemas) -> Mapping[str, Any]:
    schema = dict(schemas.of(parameter.type))
    if parameter.default is not UNSET:
        schema["default"] = parameter.default
    described = {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.required,
        "description": parameter.description,
        "schema": schema,
    }
    if parameter.example is not UNSET:
        described["example"] = parameter.example
    return described


def _responses(operation: Operation, schemas: Schemas) -> Mapping[str, Any]:
    responses: dict[str, Mapping[str, Any]] = {
        str(one.status): _answer(one, schemas) for one in operation.answers
    }
    shape = schemas.of(shape_at(operation.path))
    for status, answers in answers_of(operation).items():
        response: dict[str, Any] = {
            "description": " ".join(f"`{kind.__name__}`: {meaning(kind)}" for kind, _ in answers),
            "content": {
                "application/json": {
                    "schema": shape,
                    "examples": {
                        kind.__name__: {
                            "summary": meaning(kind) or HTTPStatus(status).phrase,
                            "value": example_of(answer),
                        }
                        for kind, answer in answers
                    },
                }
            },
        }
        names = {name for _, answer in answers for name in answer.headers}
        if names:
            response["headers"] = {name: _HEADERS[name] for name in sorted(names)}
        own = responses.get(str(status))
        responses[str(status)] = response if own is None else _either(own, response)
    standing = _standing_headers(operation.path)
    return {
        status: {**response, "headers": {**response.get("headers", {}), **standing}}
        for status, response in sorted(responses.items())
    }


def _standing_headers(path: str) -> Mapping[str, Any]:
    """Return what every answer of a path has, whatever it is."""
    names = (*_ON_ALL, *_ON_LIMITED) if path.startswith("/api/v1/") else _ON_ALL
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _either(own: Mapping[str, Any], error: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a response that is either an answer of the route's own or an error."""
    schemas = [one["content"]["application/json"]["schema"] for one in (own, error)]
    content = dict(error["content"]["application/json"]) | {"schema": {"anyOf": schemas}}
    return {
        "description": f"{own['description']} {error['description']}",
        "content": {"application/json": content},
        "headers": {**own.get("headers", {}), **error.get("headers", {})},
    }


def _answer(answer: Answer, schemas: Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description}
    if answer.type is not None:
        content: dict[str, Any] = {"schema": schemas.of(answer.type)}
        if answer.example is not UNSET:
            content["example"] = answer.example
        described["content"] = {answer.medium: content}
    elif answer.medium not in {None, "application/json"}:
        described["content"] = {answer.medium: {}}
    if answer.headers:
        described["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in answer.headers.items()
        }
    if answer.links:
        described["links"] = {name: _link(link) for name, link in answer.links.items()}
    return described


def _link(link: Link) -> Mapping[str, Any]:
    return {
        "operationId": link.operation,
        "parameters": link.parameters,
        "description": link.description,
    }


_ON_ALL: Final = ("X-Request-Id",)
_ON_LIMITED: Final = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
_NUMBER: Final = {"type": "string", "pattern": "^[0-9]+$"}
_HEADERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "X-Request-Id": {
        "description": "The name of the request; each of its log lines has it.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{20}$"},
    },
    "X-RateLimit-Limit": {
        "description": "How many requests a minute are allowed; absent where nobody is counted.",
        "schema": _NUMBER,
    },
    "X-RateLimit-Remaining": {
        "description": "How many of them are left in this minute.",
        "schema": _NUMBER,
    },
    "X-RateLimit-Reset": {
        "description": "When the next minute begins, in Unix seconds.",
        "schema": _NUMBER,
    },
    "Retry-After": {
        "description": "Seconds after which another try may go better.",
        "schema": _NUMBER,
    },
    "WWW-Authenticate": {
        "description": "The kind of credential that is needed.",
        "schema": {"type": "string"},
    },
}
