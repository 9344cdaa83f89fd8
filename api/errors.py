"""How errors look to a caller, and the only place that knows status codes.

Laws of this file: every error leaves in its family's shape, says what to do, and gives away
nothing of the inside. What is not known here is a 500 without a word about its cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from actors.assistant.errors import ConversationError
from actors.browser import errors as browser
from actors.partner.errors import PartnerError
from api.assistant import errors as assistant_errors
from api.partner import errors as partner_errors
from engine.errors import (
    ActorCrashed,
    ActorStopped,
    AskTimeout,
    CursorInvalid,
    InboxFull,
    MooringError,
    StoreError,
    SupervisorStopping,
)
from engine.ownership import NotOwner

UNEXPECTED: Final = "Internal server error"


class RequestError(MooringError):
    """The root of what the door itself says no with.

    Attributes:
        error: one line, the same for every such refusal.
        details: what was wrong this time, or what to do.
        fields: further fields of the answer.
    """

    error: ClassVar[str] = "Bad request"

    def __init__(self, details: str | None = None, **fields: Any) -> None:
        super().__init__(self.error if details is None else f"{self.error}: {details}")
        self.details = details
        self.fields = fields


class BodyNotJson(RequestError):
    """The body is not a JSON object."""

    error = "Request body must be a JSON object"


class BodyTooLarge(RequestError):
    """The body is larger than `max_body_bytes`."""

    error = "Request body too large"


class BodyTooSlow(RequestError):
    """The body did not arrive within its deadline."""

    error = "Request body took too long"


class FieldsMissing(RequestError):
    """Required fields are absent or empty; says which, in the order of the contract."""

    def __init__(self, names: tuple[str, ...], details: str | None = None) -> None:
        super().__init__(details)
        self.names = names

    @property
    def text(self) -> str:
        return f"Missing required fields: {', '.join(self.names)}"


class FieldInvalid(RequestError):
    """A field has the wrong type or holds what it must not."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(problem)
        self.name = name

    @property
    def text(self) -> str:
        return f"Invalid field: {self.name}"


class CallRefused(RequestError):
    """Without operator tokens only this machine's own programs may call."""

    error = "Refused"


class TokenRequired(RequestError):
    """No operator token, or none that is known."""

    error = "Operator token required"


class NotAcceptable(RequestError):
    """What the client accepts is not what is there."""

    error = "Not acceptable"


class BundleNotFound(RequestError):
    """There is no debug bundle of that name (any more)."""

    error = "Debug bundle not found"


class OperationSessionGone(browser.SessionNotFound):
    """An operation named a session that is not there, and no credentials to make it anew."""

    error = "Session not found or expired"


class ServerStopping(RequestError):
    """The server is on its way down."""

    error = "Server is stopping"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An error as HTTP: status, JSON body, further headers."""

    status: int
    body: dict[str, Any]
    headers: dict[str, str]


# An error's class, or the nearest of its bases here, decides.
_STATUS: Final[Mapping[type[Exception], int]] = {
    RequestError: 400,
    BodyTooLarge: 413,
    BodyTooSlow: 408,
    CallRefused: 403,
    TokenRequired: 401,
    BundleNotFound: 404,
    NotAcceptable: 406,
    ServerStopping: 503,
    browser.BrowserSessionError: 500,
    browser.AuthenticationFailed: 401,
    browser.PortalUnreachable: 502,
    browser.CaptchaFailed: 502,
    browser.LoginTimedOut: 504,
    browser.CapacityExhausted: 503,
    browser.SessionNotFound: 404,
    browser.SessionClosed: 409,
    browser.CloseFailed: 500,
    browser.NotWritten: 503,
    browser.NotKnown: 503,
    browser.BrowserCrashed: 503,
    browser.BrowserUnavailable: 503,
    browser.LoginLost: 502,
    browser.OperationTimedOut: 504,
    browser.OperationFailed: 502,
    browser.NotAtPortal: 404,
    NotOwner: 503,
    ActorStopped: 503,
    SupervisorStopping: 503,
    InboxFull: 503,
    AskTimeout: 504,
    **assistant_errors.STATUS,
    **partner_errors.STATUS,
}

# What the engine says is not for callers; these words are.
_ENGINE_WORDS: Final[Mapping[type[Exception], str]] = {
    NotOwner: "The session is on another server; try again later",
    ActorStopped: ServerStopping.error,
    SupervisorStopping: ServerStopping.error,
    InboxFull: "Server is busy",
    AskTimeout: "Timed out",
    **assistant_errors.WORDS,
}

# Seconds after which another try may go better.
_RETRY_AFTER_S: Final[Mapping[type[Exception], int | None]] = {
    browser.CapacityExhausted: 10,
    browser.BrowserCrashed: 5,
    browser.NotWritten: 1,
    browser.NotKnown: 5,
    browser.BrowserUnavailable: 10,
    ServerStopping: 5,
    ActorStopped: 5,
    SupervisorStopping: 5,
    InboxFull: 1,
    **assistant_errors.RETRY_AFTER_S,
}


def answer_to(error: BaseException, *, request_id: str, path: str = "") -> Answer:
    """Return what a caller gets to see of `error`, in the shape of the path's family."""
    error = _behind(error)
    answer = _answer_to(error, request_id)
    if assistant_errors.is_ours(path):
        body = assistant_errors.shaped(answer.status, _message_of(error, answer.body))
        id_field = "requestId"
    elif partner_errors.is_ours(path):
        body = partner_errors.shaped(_detail_of(error, answer.body))
        id_field = "request_id"
    else:
        return answer
    if answer.status == 500:
        body[id_field] = request_id
    return Answer(status=answer.status, body=body, headers=answer.headers)


def _behind(error: BaseException) -> BaseException:
    """Return what an actor has crashed over when that is its store: the store's error, to callers.

    Whether what they asked for has been written is not known then; they may ask again.
    """
    cause = error.__cause__
    return cause if isinstance(error, ActorCrashed) and isinstance(cause, StoreError) else error


def _answer_to(error: BaseException, request_id: str) -> Answer:
    match error:
        case HTTPException():
            return _routing_answer(error)
        case RequestError() | browser.BrowserSessionError():
            return _told_answer(error)
        case ConversationError() | PartnerError():
            return _answer(error, {"success": False, "error": str(error)})
    kind = _nearest(type(error), _ENGINE_WORDS)
    if kind is None:
        body = {"success": False, "error": UNEXPECTED, "request_id": request_id}
        return Answer(status=500, body=body, headers={})
    return _answer(error, {"success": False, "error": _ENGINE_WORDS[kind]})


def _message_of(error: BaseException, body: Mapping[str, Any]) -> str:
    """Return an error in one line, where its family has no other field for it."""
    if isinstance(error, FieldInvalid):
        return f"{error.name} {error.details}"
    return ": ".join(body[name] for name in ("error", "details") if name in body)


def _detail_of(error: BaseException, body: Mapping[str, Any]) -> str:
    if isinstance(error, FieldInvalid):
        return f"{error.name}: {error.details}"
    if isinstance(error, CursorInvalid):
        return "cursor: does not belong to this list"
    return _message_of(error, body)


def is_unexpected(error: BaseException) -> bool:
    """Tell whether `error` is a fault of ours that somebody should look at."""
    error = _behind(error)
    return not isinstance(error, HTTPException) and _nearest(type(error), _STATUS) is None


def _told_answer(error: RequestError | browser.BrowserSessionError) -> Answer:
    text = error.text if isinstance(error, FieldsMissing | FieldInvalid) else error.error
    body: dict[str, Any] = {"success": False, "error": text}
    if error.details is not None:
        body["details"] = error.details
    return _answer(error, body | error.fields)


def _routing_answer(error: HTTPException) -> Answer:
    """Answer for what Quart itself raises: no such route, wrong method."""
    text = {404: "Not found", 405: "Method not allowed"}.get(error.code or 500, error.name)
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return Answer(status=error.code or 500, body={"success": False, "error": text}, headers=headers)


def _answer(error: BaseException, body: dict[str, Any]) -> Answer:
    headers = {}
    retry = _nearest(type(error), _RETRY_AFTER_S)
    retry_after_s = None if retry is None else _RETRY_AFTER_S[retry]
    if isinstance(error, NotOwner):
        headers["Retry-After"] = str(error.retry_after_s)
    elif retry_after_s is not None:
        headers["Retry-After"] = str(retry_after_s)
    if isinstance(error, TokenRequired):
        headers["WWW-Authenticate"] = 'Bearer realm="mooring"'
    headers |= partner_errors.headers(error)
    kind = _nearest(type(error), _STATUS)
    return Answer(status=500 if kind is None else _STATUS[kind], body=body, headers=headers)


def _nearest(kind: type[BaseException], table: Mapping[type[Exception], Any]) -> Any:
    """Return the first class in `kind`'s line of bases that `table` has; None for none."""
    return next((base for base in kind.__mro__ if base in table), None)
