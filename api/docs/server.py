"""The routes of the server itself."""

from __future__ import annotations

from typing import Any, Final, Literal

import msgspec

from api.docs.operation import OPERATOR, Answer, Operation, Timestamp
from api.errors import TokenRequired


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong; docs/operations.md says what to do about each code."""

    code: str
    message: str


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the server does what it is for, and how full it is."""

    status: Literal["healthy", "degraded", "unhealthy"]
    service: Literal["Mooring"]
    timestamp: Timestamp
    active_sessions: int | None = None
    max_sessions: int | None = None
    session_capacity: str | None = None
    draining: bool | None = None
    in_use: int | None = None
    replies: int | None = None
    problems: tuple[Problem, ...] = ()


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether new work is welcome; `ready`, or why not."""

    status: str


_HEALTHY: Final = {
    "status": "healthy",
    "service": "Mooring",
    "active_sessions": 3,
    "max_sessions": 10,
    "session_capacity": "3/10",
    "timestamp": "2026-01-07T12:34:56.789Z",
}
_UNHEALTHY: Final = {
    "status": "unhealthy",
    "service": "Mooring",
    "timestamp": "2026-01-07T12:34:56.789Z",
    "problems": [{"code": "store_failing", "message": "The newest events were refused"}],
}
_ANY: Final = dict[str, Any]

TAG: Final = "server"
OPERATIONS: Final = (
    Operation(
        id="health",
        method="GET",
        path="/health",
        tag=TAG,
        summary="Say that it lives, how full it is, and what is wrong",
        answers=(
            Answer(status=200, description="Healthy, or degraded.", type=Health, example=_HEALTHY),
            Answer(status=503, description="Of no use now.", type=Health, example=_UNHEALTHY),
        ),
        security=(None,),
    ),
    Operation(
        id="ready",
        method="GET",
        path="/ready",
        tag=TAG,
        summary="Say whether new work is welcome",
        answers=(
            Answer(status=200, description="It is.", type=Readiness, example={"status": "ready"}),
            Answer(
                status=503,
                description="It is not.",
                type=Readiness,
                example={"status": "draining"},
                headers={"Retry-After": "Seconds after which to ask again."},
            ),
        ),
        security=(None,),
    ),
    Operation(
        id="metrics",
        method="GET",
        path="/metrics",
        tag=TAG,
        summary="Give figures for Prometheus",
        answers=(
            Answer(
                status=200,
                description="All figures, in Prometheus' text format.",
                type=str,
                medium="text/plain",
            ),
        ),
        errors=(TokenRequired,),
        security=OPERATOR,
    ),
    Operation(
        id="openapi",
        method="GET",
        path="/openapi.json",
        tag=TAG,
        summary="Give this document",
        answers=(Answer(status=200, description="OpenAPI 3.1.", type=_ANY),),
        security=(None,),
    ),
    Operation(
        id="asyncapi",
        method="GET",
        path="/asyncapi.json",
        tag=TAG,
        summary="Give the document of the live streams",
        answers=(Answer(status=200, description="AsyncAPI 3.0.", type=_ANY),),
        security=(None,),
    ),
)
