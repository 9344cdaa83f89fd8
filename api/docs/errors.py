"""Every error that a caller can be told, once, as it would be raised: what the documents show.

Laws of this file: the answers themselves are made by `api.errors`, from these. An error of the
tables there that is not here fails a test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec

from actors.assistant import errors as assistant
from actors.browser import errors as browser
from actors.partner import errors as partner
from actors.partner.hosted import State
from actors.partner.hosted import errors as hosted
from actors.partner.rate import Rate
from actors.partner.webhooks import errors as webhooks
from api import errors as door
from api.assistant.errors import NoActiveSession
from api.assistant.errors import is_ours as is_assistants
from api.docs.operation import Operation
from api.errors import Answer, answer_to
from api.partner.errors import is_ours as is_partners
from engine.durable import AliasHeld, NotRecorded
from engine.errors import (
    ActorStopped,
    AskTimeout,
    CursorInvalid,
    InboxFull,
    StoreUnavailable,
    SupervisorStopping,
    TooManySubscribers,
)
from engine.ownership import NotOwner

REQUEST_ID: Final = "9b2f7a52c0d14f6e"
_ID: Final = "3f0c1a5e-8f3b-4d5e-9a52-0c8f6f1d2b7a"
_NEXT_MONTH: Final = datetime(2026, 2, 1, tzinfo=UTC)


class Unexpected(Exception):
    """Something is wrong inside the server; `request_id` names the request in its log."""


# One of each; the key is what operations name.
SAMPLES: Final[Mapping[type[Exception], Exception]] = MappingProxyType(
    {
        type(error): error
        for error in (
            door.RequestError("says what"),
            door.BodyNotJson("Expected object, got array"),
            door.BodyTooLarge("At most 1048576 bytes are read"),
            door.BodyTooSlow("It must arrive within 30 s"),
            door.FieldsMissing(("username", "password")),
            door.FieldInvalid("limit", "must be a whole number from 1 to 100"),
            door.CallRefused("Host is not loopback; call 127.0.0.1 or localhost"),
            door.TokenRequired("Send the header Authorization: Bearer <token>"),
            door.NotAcceptable("Accept: text/event-stream, or open a websocket"),
            door.BundleNotFound("It is kept for 24 hours"),
            door.OperationSessionGone(reason="idle_timeout"),
            door.ServerStopping("Connect again in a moment"),
            browser.BrowserSessionError(),
            browser.AuthenticationFailed(),
            browser.PortalUnreachable("The portal did not answer"),
            browser.CaptchaFailed("The captcha service refused the key"),
            browser.LoginTimedOut(),
            browser.CapacityExhausted(),
            browser.SessionNotFound(),
            browser.SessionClosed(),
            browser.NotWritten(),
            browser.NotKnown(),
            browser.CloseFailed(),
            browser.BrowserCrashed(),
            browser.BrowserUnavailable(),
            browser.LoginLost(),
            browser.OperationTimedOut(),
            browser.OperationFailed("The portal's page did not behave as expected"),
            browser.NotAtPortal(),
            ActorStopped("", None),
            SupervisorStopping(""),
            InboxFull("", None),
            AskTimeout("", None),
            assistant.ConversationError("says what"),
            assistant.ConversationNotFound(_ID),
            NoActiveSession("B0100001", "user_123"),
            assistant.ConversationExists(_ID),
            assistant.NotActive(_ID),
            assistant.Busy(_ID, unfinished=1, line_full=False),
            assistant.VersionConflict(_ID, expected=2, version=3),
            assistant.IdempotencyMismatch("key", message_id=_ID),
            assistant.FieldInvalid("content", "must not be empty"),
            AliasHeld("conversation/x"),
            NotOwner("conversation/x", retry_after_s=10),
            CursorInvalid(),
            NotRecorded("the store is not available; try again"),
            StoreUnavailable("busy"),
            TooManySubscribers("the session", limit=2_000),
            partner.PartnerError("says what"),
            partner.FieldInvalid("return_url", "must be an https URL"),
            partner.NotFound("Session"),
            partner.IdempotencyMismatch(),
            partner.CredentialsRefused("Invalid or expired token"),
            partner.NotAllowed("A tenant has at most 100 keys; revoke one first"),
            partner.SignupClosed(),
            partner.EmailTaken(),
            partner.RateLimited(rate=Rate(limit=100, remaining=0, resets_at_s=0), retry_after_s=30),
            partner.QuotaExceeded(limit=100, resets_at=_NEXT_MONTH, retry_after_s=86_400),
            partner.TooManyActive(limit=10, retry_after_s=60),
            hosted.SessionNotFound(),
            hosted.IllegalTransition(State.COMPLETED, "cancelled"),
            webhooks.TooManyWebhooks(limit=16),
            webhooks.TooManyResends(limit=50),
            webhooks.WebhookDisabled(),
            Unexpected(),
        )
    }
)

# What only the visitor's pages say, as pages; no route of the API answers with them.
OF_PAGES: Final = frozenset(
    {
        hosted.AnswerInvalid,
        hosted.BoundElsewhere,
        hosted.HandOverUnusable,
        hosted.LimitOfVisit,
    }
)

# What may happen at any route.
ANYWHERE: Final = (
    door.CallRefused,
    door.ServerStopping,
    InboxFull,
    AskTimeout,
    StoreUnavailable,
    NotOwner,
    Unexpected,
)
WITH_BODY: Final = (
    door.BodyNotJson,
    door.BodyTooLarge,
    door.BodyTooSlow,
    door.FieldsMissing,
    door.FieldInvalid,
)


class ErrorOfBrowser(msgspec.Struct, frozen=True, kw_only=True):
    """An error of browser sessions and of the server itself; some have further fields."""

    success: bool
    error: str
    details: str | None = None
    reason: str | None = None
    container_id: str | None = None
    debug_bundle_url: str | None = None
    request_id: str | None = None


class ErrorOfAssistant(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An error of conversations."""

    status_code: int
    message: str
    error: str
    request_id: str | None = None


class ErrorOfPartner(msgspec.Struct, frozen=True, kw_only=True):
    """An error of the partner API."""

    detail: str
    request_id: str | None = None


def shape_at(path: str) -> type[msgspec.Struct]:
    """Return the shape that errors have at a path."""
    if is_assistants(path):
        return ErrorOfAssistant
    return ErrorOfPartner if is_partners(path) else ErrorOfBrowser


def answers_of(operation: Operation) -> Mapping[int, Sequence[tuple[type[Exception], Answer]]]:
    """Return the errors of an operation by status, each with what a caller gets."""
    found: dict[int, list[tuple[type[Exception], Answer]]] = {}
    for kind in dict.fromkeys((*operation.errors, *ANYWHERE)):
        answer = answer_to(SAMPLES[kind], request_id=REQUEST_ID, path=operation.path)
        found.setdefault(answer.status, []).append((kind, answer))
    return dict(sorted(found.items()))


def meaning(kind: type[Exception]) -> str:
    """Return what an error means, in one line."""
    return (kind.__doc__ or "").strip().partition("\n")[0]


def example_of(answer: Answer) -> Any:
    """Return an answer's body as JSON has it."""
    return msgspec.to_builtins(answer.body)
