"""The routes of hosted sessions."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from actors.partner import errors as partner
from actors.partner.hosted import HostedSession, State
from actors.partner.hosted.bounds import MAX_KEY_CHARS, MAX_METADATA_BYTES, MAX_PURPOSE_CHARS
from actors.partner.hosted.errors import IllegalTransition, SessionNotFound
from actors.partner.hosted.flows import FLOWS
from actors.partner.hosted.return_url import MAX_URL
from actors.partner.tenants.principal import Environment
from api.docs.errors import WITH_BODY
from api.docs.operation import (
    AFTER,
    CURSOR,
    LAST_EVENT_ID,
    LIMIT,
    Answer,
    Body,
    Link,
    Operation,
    Parameter,
    Scheme,
    Text,
    Timestamp,
    path_text,
)
from api.errors import FieldInvalid, NotAcceptable
from api.partner.jwks import PATH as JWKS
from api.partner.sessions import SESSIONS
from engine.errors import CursorInvalid, TooManySubscribers

FLOW_NAMES: Final = " or ".join(f"`{name}`" for name in FLOWS)


class HostedSessionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the visitor is asked for, and where they are sent back to."""

    return_url: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=MAX_URL,
            description="https; in the sandbox http on this machine too.",
            extra_json_schema={"format": "uri"},
        ),
    ]
    metadata: (
        Annotated[dict[str, Any], Meta(description=f"At most {MAX_METADATA_BYTES} bytes of JSON.")]
        | None
    ) = None
    purpose: Annotated[Text, Meta(max_length=MAX_PURPOSE_CHARS)] | None = None
    flow: Annotated[str, Meta(description=f"What the visitor does: {FLOW_NAMES}.")] | None = None
    environment: Environment | None = None


class HostedSessionCreated(msgspec.Struct, frozen=True, kw_only=True):
    """A new session: send the visitor to `session_url`."""

    session_id: str
    session_url: str
    expires_at: Timestamp
    state: State
    environment: Environment
    flow: str
    created_at: Timestamp


class HostedSessionList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of sessions, the newest first."""

    sessions: tuple[HostedSession, ...]
    next_cursor: str | None


class HostedResults(msgspec.Struct, frozen=True, kw_only=True):
    """How a session turned out; `receipt` is signed, and None until it has ended."""

    session_id: str
    environment: Environment
    state: State
    flow: str
    result: dict[str, Any] | None
    reason: str | None
    metadata: dict[str, Any]
    ended_at: Timestamp | None
    receipt: str | None


class JsonWebKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The public keys that receipts verify with (RFC 7517)."""

    keys: tuple[dict[str, Any], ...]


TAG: Final = "hosted sessions"
_ID: Final = "3f0c1a5e-8f3b-4d5e-9a52-0c8f6f1d2b7a"
_CREATED: Final = {
    "session_id": _ID,
    "session_url": "http://127.0.0.1:8000/s/0Jx…",
    "expires_at": "2026-01-07T13:04:56.789Z",
    "state": "pending",
    "environment": "sandbox",
    "flow": "consent",
    "created_at": "2026-01-07T12:34:56.789Z",
}
_SESSION: Final = {
    "session_id": _ID,
    "environment": "sandbox",
    "state": "pending",
    "flow": "consent",
    "purpose": None,
    "return_url": "https://yourapp.com/callback",
    "metadata": {"user_id": "user-123", "transaction_id": "txn-456"},
    "progress": {"done": 0, "of": 1},
    "created_at": "2026-01-07T12:34:56.789Z",
    "updated_at": "2026-01-07T12:34:56.789Z",
    "expires_at": "2026-01-07T13:04:56.789Z",
    "ended_at": None,
    "reason": None,
    "result": None,
}
_CANCELLED: Final = _SESSION | {
    "state": "cancelled",
    "ended_at": "2026-01-07T12:40:00.000Z",
    "reason": "partner",
}
_RESULTS: Final = {
    "session_id": _ID,
    "environment": "sandbox",
    "state": "completed",
    "flow": "consent",
    "result": {"agreed": True},
    "reason": None,
    "metadata": {"user_id": "user-123"},
    "ended_at": "2026-01-07T12:40:00.000Z",
    "receipt": "eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl",
}
_REQUEST: Final = {
    "return_url": "https://yourapp.com/callback",
    "metadata": {"user_id": "user-123", "transaction_id": "txn-456"},
}
_SESSION_ID: Final = path_text("session_id", "A hosted session's id.", _ID)
_OWN: Final = f"{SESSIONS}/{{session_id}}"
_EITHER: Final[tuple[Scheme, ...]] = ("accessToken", "apiKey")
_CALLER: Final = (partner.CredentialsRefused, partner.RateLimited)
_LINKS: Final = {
    name: Link(
        operation=name,
        parameters={"session_id": "$response.body#/session_id"},
        description="The same session.",
    )
    for name in ("read_session", "session_results", "cancel_session")
}


def _create(id_: str, path: str, scheme: Scheme, summary: str) -> Operation:
    return Operation(
        id=id_,
        method="POST",
        path=path,
        tag=TAG,
        summary=summary,
        description="With an `Idempotency-Key`, the same key and body gives the same answer for 24 "
        "hours (`Idempotent-Replayed: true`), and costs nothing.",
        parameters=(
            Parameter(
                name="Idempotency-Key",
                where="header",
                type=Annotated[
                    str, Meta(min_length=1, max_length=MAX_KEY_CHARS, pattern="^[!-~]+$")
                ],
                description="Visible ASCII; another body under the same key is a 422.",
            ),
        ),
        body=Body(type=HostedSessionRequest, example=_REQUEST),
        answers=(
            Answer(
                status=201,
                description="The session.",
                type=HostedSessionCreated,
                example=_CREATED,
                headers={"Idempotent-Replayed": "`true` where an earlier answer is given again."},
                links=_LINKS,
            ),
        ),
        errors=(
            *WITH_BODY,
            *_CALLER,
            partner.FieldInvalid,
            partner.IdempotencyMismatch,
            partner.QuotaExceeded,
            partner.TooManyActive,
        ),
        security=(scheme,),
    )


OPERATIONS: Final = (
    _create("create_session", SESSIONS, "accessToken", "Create a session, as a person"),
    _create("create_session_by_key", f"{SESSIONS}/create", "apiKey", "Create a session, by API"),
    Operation(
        id="list_hosted_sessions",
        method="GET",
        path=SESSIONS,
        tag=TAG,
        summary="List sessions, the newest first",
        parameters=(
            Parameter(name="state", where="query", type=State, description="Only these."),
            Parameter(
                name="environment", where="query", type=Environment, description="Only its own."
            ),
            LIMIT,
            CURSOR,
        ),
        answers=(
            Answer(
                status=200,
                description="A page.",
                type=HostedSessionList,
                example={"sessions": [_SESSION], "next_cursor": None},
            ),
        ),
        errors=(*_CALLER, FieldInvalid, partner.FieldInvalid, CursorInvalid),
        security=("accessToken",),
    ),
    Operation(
        id="read_session",
        method="GET",
        path=_OWN,
        tag=TAG,
        summary="Read a session",
        parameters=(_SESSION_ID,),
        answers=(
            Answer(
                status=200,
                description="The session as it stands.",
                type=HostedSession,
                example=_SESSION,
            ),
        ),
        errors=(*_CALLER, SessionNotFound),
        security=_EITHER,
    ),
    Operation(
        id="cancel_session",
        method="POST",
        path=f"{_OWN}/cancel",
        tag=TAG,
        summary="Cancel a session that is not being processed; idempotent",
        parameters=(_SESSION_ID,),
        answers=(
            Answer(
                status=200,
                description="The session, cancelled.",
                type=HostedSession,
                example=_CANCELLED,
            ),
        ),
        errors=(*_CALLER, SessionNotFound, IllegalTransition),
        security=_EITHER,
    ),
    Operation(
        id="session_results",
        method="GET",
        path=f"{_OWN}/results",
        tag=TAG,
        summary="Get how a session turned out, with its signed receipt",
        parameters=(_SESSION_ID,),
        answers=(
            Answer(
                status=200,
                description="So far, or for good.",
                type=HostedResults,
                example=_RESULTS,
            ),
        ),
        errors=(*_CALLER, SessionNotFound),
        security=_EITHER,
    ),
    Operation(
        id="hosted_session_events",
        method="GET",
        path=f"{_OWN}/events",
        tag=TAG,
        summary="Follow a session, as server-sent events",
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
                description="The session is over and everything of it was seen.",
                medium=None,
            ),
        ),
        errors=(*_CALLER, SessionNotFound, FieldInvalid, NotAcceptable, TooManySubscribers),
        security=(*_EITHER, "dashboardCookie"),
    ),
    Operation(
        id="jwks",
        method="GET",
        path=JWKS,
        tag=TAG,
        summary="Get the public keys of receipts",
        answers=(
            Answer(
                status=200,
                description="A JWK set; a key says its environment and `kid`.",
                type=JsonWebKeys,
                example={"keys": []},
            ),
        ),
        security=(None,),
    ),
)
