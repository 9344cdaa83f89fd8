"""The routes of browser sessions; one for each operation of the portal is made from its types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from actors.browser import errors as browser
from actors.browser.messages import Status
from actors.browser.portals.portal import Operation as PortalOperation
from api.docs.errors import WITH_BODY
from api.docs.operation import (
    AFTER,
    LAST_EVENT_ID,
    OPERATOR,
    Answer,
    Body,
    Link,
    Operation,
    Text,
    Timestamp,
    path_text,
)
from api.errors import (
    BundleNotFound,
    FieldInvalid,
    NotAcceptable,
    OperationSessionGone,
    TokenRequired,
)
from engine.errors import TooManySubscribers

Credential = Annotated[Text, Meta(min_length=1, max_length=1_024)]
OptionalCredential = Annotated[Text, Meta(max_length=1_024)] | None


class GetSessionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The credentials of one account at the portal, and of the captcha service."""

    username: Credential
    password: Credential
    captcha_api_key: Credential


class GetSessionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The session that is logged in with these credentials."""

    success: Literal[True]
    session_id: str
    is_new: bool
    username: str
    created_at: Timestamp
    expires_at: None
    message: str


class BrowserSession(msgspec.Struct, frozen=True, kw_only=True):
    """A browser session, as lists show it."""

    session_id: str
    username: str
    created_at: Timestamp
    last_used: Timestamp
    keep_alive: bool
    current_url: str
    in_use: bool
    status: Status
    last_refresh: Timestamp | None


class BrowserSessions(msgspec.Struct, frozen=True, kw_only=True):
    """All sessions, the oldest first; `waiting` ones are restored when they are asked for."""

    active_sessions: int
    waiting_sessions: int
    sessions: tuple[BrowserSession, ...]


class SessionClosedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The session has been closed."""

    success: Literal[True]
    message: str


TAG: Final = "browser sessions"
_SESSION_ID: Final = path_text("session_id", "A session's id.", "session_1704067200_1234567890")
_SESSION: Final = {
    "success": True,
    "session_id": "session_1704067200_1234567890",
    "is_new": True,
    "username": "driver-1",
    "created_at": "2024-01-01T00:00:00.000Z",
    "expires_at": None,
    "message": "New persistent session created",
}
_CREDENTIALS: Final = {
    "username": "driver-1",
    "password": "harbor-1",
    "captcha_api_key": "demo-captcha-key",
}
_LOGIN_ERRORS: Final = (
    browser.AuthenticationFailed,
    browser.PortalUnreachable,
    browser.CaptchaFailed,
    browser.LoginTimedOut,
    browser.CapacityExhausted,
    browser.BrowserUnavailable,
    browser.BrowserCrashed,
    browser.SessionClosed,
    browser.NotWritten,
    browser.NotKnown,
    browser.BrowserSessionError,
)
_SESSION_LINK: Final = {"session_id": "$response.body#/session_id"}

OPERATIONS: Final = (
    Operation(
        id="get_session",
        method="POST",
        path="/get_session",
        tag=TAG,
        summary="Get the session of these credentials, logged in",
        description="One that is live is reused. Any number of calls at once log in once.",
        body=Body(type=GetSessionRequest, example=_CREDENTIALS),
        answers=(
            Answer(
                status=200,
                description="The session.",
                type=GetSessionAnswer,
                example=_SESSION,
                links={
                    "close": Link(
                        operation="close_session",
                        parameters=_SESSION_LINK,
                        description="Close it.",
                    ),
                },
            ),
        ),
        errors=(TokenRequired, *WITH_BODY, *_LOGIN_ERRORS),
        security=OPERATOR,
    ),
    Operation(
        id="list_sessions",
        method="GET",
        path="/sessions",
        tag=TAG,
        summary="List the sessions",
        description="Answers at once, whatever a browser is doing.",
        answers=(
            Answer(
                status=200,
                description="What there is.",
                type=BrowserSessions,
                example={"active_sessions": 0, "waiting_sessions": 0, "sessions": []},
                links={
                    "close_first": Link(
                        operation="close_session",
                        parameters={"session_id": "$response.body#/sessions/0/session_id"},
                        description="Close one of them.",
                    )
                },
            ),
        ),
        errors=(TokenRequired,),
        security=OPERATOR,
    ),
    Operation(
        id="close_session",
        method="DELETE",
        path="/sessions/{session_id}",
        tag=TAG,
        summary="Close a session",
        description="What runs in it ends with `SessionClosed`.",
        parameters=(_SESSION_ID,),
        answers=(
            Answer(
                status=200,
                description="It is closed, and that is on record.",
                type=SessionClosedAnswer,
                example={"success": True, "message": "Session session_1704067200_1 closed"},
            ),
        ),
        errors=(
            TokenRequired,
            browser.SessionNotFound,
            browser.CloseFailed,
            browser.NotWritten,
            browser.NotKnown,
        ),
        security=OPERATOR,
    ),
    Operation(
        id="browser_session_events",
        method="GET",
        path="/sessions/{session_id}/events",
        tag=TAG,
        summary="Follow what happens to a session, as server-sent events",
        description="A websocket at the same path gives the same; see `/asyncapi.json`.",
        parameters=(_SESSION_ID, AFTER, LAST_EVENT_ID),
        answers=(
            Answer(
                status=200,
                description="The stream: open until the session ends.",
                type=str,
                medium="text/event-stream",
            ),
            Answer(
                status=204,
                description="The session is over and everything of it was seen: an EventSource "
                "does not come again.",
                medium=None,
            ),
        ),
        errors=(
            TokenRequired,
            browser.SessionNotFound,
            FieldInvalid,
            NotAcceptable,
            TooManySubscribers,
        ),
        security=OPERATOR,
    ),
    Operation(
        id="debug_bundle",
        method="GET",
        path="/debug_bundles/{name}.zip",
        tag=TAG,
        summary="Get the debug bundle of an operation",
        description="Where an answer says `debug_bundle_url`; kept for 24 hours.",
        parameters=(path_text("name", "The bundle's name.", "9b2f7a52c0d14f6e"),),
        answers=(
            Answer(
                status=200,
                description="Screenshot, HTML and log.",
                type=bytes,
                medium="application/zip",
            ),
        ),
        errors=(TokenRequired, BundleNotFound),
        security=OPERATOR,
    ),
)


def portal_operations(operations: Mapping[str, PortalOperation]) -> tuple[Operation, ...]:
    """Return what is said of the routes of a portal's operations."""
    return tuple(_portal_operation(operation) for operation in operations.values())


def _portal_operation(operation: PortalOperation) -> Operation:
    return Operation(
        id=operation.name,
        method="POST",
        path=f"/{operation.name}",
        tag=TAG,
        summary=operation.summary.rstrip(".") or operation.name,
        description="In a session named by `session_id`, or else in the one of the credentials; "
        "with both, the credentials serve when the session is gone. With `debug`, the answer "
        "has `debug_bundle_url`.",
        body=Body(type=_request(operation), example=_CREDENTIALS | _example(operation.request)),
        answers=(
            Answer(
                status=200,
                description="What the portal says.",
                type=_answer(operation),
                links={
                    "again": Link(
                        operation="close_session",
                        parameters=_SESSION_LINK,
                        description="Close the session that it ran in.",
                    )
                },
            ),
        ),
        errors=(
            TokenRequired,
            *WITH_BODY,
            *_LOGIN_ERRORS,
            OperationSessionGone,
            browser.LoginLost,
            browser.OperationTimedOut,
            browser.OperationFailed,
            browser.NotAtPortal,
        ),
        security=OPERATOR,
    )


def _request(operation: PortalOperation) -> type[msgspec.Struct]:
    own = [_field(field) for field in msgspec.structs.fields(operation.request)]
    names = {name for name, *_ in own}
    common = [
        (name, type_, None)
        for name, type_ in (
            ("session_id", OptionalCredential),
            ("username", OptionalCredential),
            ("password", OptionalCredential),
            ("captcha_api_key", OptionalCredential),
            ("debug", bool | None),
        )
        if name not in names
    ]
    return _struct(f"{operation.request.__name__}Request", [*own, *common])


def _answer(operation: PortalOperation) -> type[msgspec.Struct]:
    own = [_field(field) for field in msgspec.structs.fields(operation.answer)]
    common = [
        ("success", Literal[True]),
        ("session_id", str),
        ("is_new_session", bool),
        ("debug_bundle_url", str | msgspec.UnsetType, msgspec.UNSET),
    ]
    return _struct(f"{operation.answer.__name__}Answer", [*own, *common])


def _struct(name: str, fields: list[Any]) -> type[msgspec.Struct]:
    return msgspec.defstruct(name, fields, kw_only=True, frozen=True)


def _field(field: Any) -> Any:
    if field.required:
        return (field.encode_name, field.type)
    return (field.encode_name, field.type, field.default)


def _example(request: type[msgspec.Struct]) -> dict[str, Any]:
    """Return values for the fields that must be there."""
    return {
        field.encode_name: _EXAMPLES.get(field.encode_name, _of_type(field.type))
        for field in msgspec.structs.fields(request)
        if field.required
    }


def _of_type(type_: Any) -> Any:
    plain = get_args(type_)[0] if get_origin(type_) is Annotated else type_
    return _OF_TYPE.get(plain, "…")


_EXAMPLES: Final = {"container_id": "TRHU1866154"}
_OF_TYPE: Final[Mapping[Any, Any]] = {int: 1, float: 1.0, bool: True}
