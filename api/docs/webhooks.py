"""The routes of webhooks."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from actors.partner import errors as partner
from actors.partner.webhooks import EVENT_TYPES, EventType, errors
from actors.partner.webhooks.delivery import Status
from actors.partner.webhooks.endpoint import DisabledReason
from actors.partner.webhooks.url import MAX_URL_CHARS
from api.docs.accounts import BY_PERSON
from api.docs.errors import WITH_BODY
from api.docs.operation import (
    CURSOR,
    LIMIT,
    Answer,
    Body,
    Link,
    Operation,
    Text,
    Timestamp,
    path_text,
)
from api.errors import FieldInvalid
from api.partner.webhooks import WEBHOOKS
from engine.durable import NotRecorded
from engine.errors import CursorInvalid


class WebhookRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Where to tell, and of what; of everything where nothing is said."""

    url: Annotated[
        Text,
        Meta(
            min_length=1,
            max_length=MAX_URL_CHARS,
            description="https, of a host on the internet, without user and fragment.",
            extra_json_schema={"format": "uri"},
        ),
    ]
    events: Annotated[tuple[EventType, ...], Meta(min_length=1)] | None = None


class WebhookShown(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook."""

    id: str
    url: str
    events: tuple[EventType, ...]
    status: Literal["enabled", "disabled"]
    created_at: Timestamp
    failing_since: Timestamp | None
    disabled_at: Timestamp | None
    disabled_reason: DisabledReason | None
    old_secret_signs_until: Timestamp | None


class WebhookWithSecret(WebhookShown, frozen=True, kw_only=True):
    """A webhook, with the secret that it now signs with: shown this once."""

    secret: Annotated[str, Meta(pattern="^whsec_")]


class WebhookList(msgspec.Struct, frozen=True, kw_only=True):
    """The tenant's webhooks, the newest first; at most 16."""

    webhooks: tuple[WebhookShown, ...]


class AttemptShown(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, and how its delivery stands."""

    id: str
    event_id: str
    type: EventType
    subject: str
    seq: int
    number: int
    at: Timestamp
    status: int | None
    duration_ms: int
    response: str | None
    error: str | None
    delivered: bool
    resend: bool
    state: Status
    next_attempt_at: Timestamp | None


class AttemptList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of attempts, those of the newest event first."""

    attempts: tuple[AttemptShown, ...]
    next_cursor: str | None


class ResendAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """It is sent once more; `event_id` is the `webhook-id`, the same as before."""

    event_id: str
    state: Literal["pending"]


TAG: Final = "webhooks"
_ID: Final = "7c1e2f7a-0b1d-4c7b-9d52-0a5f9d1c3e42"
_ATTEMPT: Final = "2f9a1c1e-4d0b-43f7-8e15-5f9d0c7b6a31.1"
_WEBHOOK: Final = {
    "id": _ID,
    "url": "https://example.com/hooks",
    "events": list(EVENT_TYPES),
    "status": "enabled",
    "created_at": "2026-01-07T12:34:56.789Z",
    "failing_since": None,
    "disabled_at": None,
    "disabled_reason": None,
    "old_secret_signs_until": None,
}
_SECRET: Final = {"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}
_SHOWN: Final = {
    "id": _ATTEMPT,
    "event_id": "evt_5f0c2b7d9a1e4c3f8b6d0a9e7c5f3b1d",
    "type": "session.completed",
    "subject": "3f0c1a5e-8f3b-4d5e-9a52-0c8f6f1d2b7a",
    "seq": 7,
    "number": 1,
    "at": "2026-01-07T12:35:01.000Z",
    "status": 200,
    "duration_ms": 84,
    "response": "",
    "error": None,
    "delivered": True,
    "resend": False,
    "state": "delivered",
    "next_attempt_at": None,
}
_RESENT: Final = {"event_id": "evt_5f0c2b7d9a1e4c3f8b6d0a9e7c5f3b1d", "state": "pending"}
_WEBHOOK_ID: Final = path_text("webhook_id", "A webhook's id.", _ID)
_ATTEMPT_ID: Final = path_text("attempt_id", "An attempt's id.", _ATTEMPT)
_OWN: Final = f"{WEBHOOKS}/{{webhook_id}}"
_OF_WEBHOOK: Final = {"webhook_id": "$response.body#/id"}
_LINKS: Final = {
    name: Link(operation=name, parameters=_OF_WEBHOOK, description="The same webhook.")
    for name in ("rotate_secret", "enable_webhook", "list_attempts", "delete_webhook")
}
_ONE: Final = (*BY_PERSON, partner.NotFound)
_RESEND_ERRORS: Final = (
    *_ONE,
    partner.NotAllowed,
    errors.WebhookDisabled,
    errors.TooManyResends,
    NotRecorded,
)
_RESEND_ANSWER: Final = Answer(
    status=202, description="It is on its way.", type=ResendAnswer, example=_RESENT
)

OPERATIONS: Final = (
    Operation(
        id="create_webhook",
        method="POST",
        path=WEBHOOKS,
        tag=TAG,
        summary="Make a webhook",
        body=Body(
            type=WebhookRequest,
            example={"url": "https://example.com/hooks", "events": ["session.completed"]},
        ),
        answers=(
            Answer(
                status=201,
                description="The webhook, with its secret.",
                type=WebhookWithSecret,
                example=_WEBHOOK | _SECRET,
                links=_LINKS,
            ),
        ),
        errors=(
            *WITH_BODY,
            *BY_PERSON,
            partner.FieldInvalid,
            partner.NotAllowed,
            errors.TooManyWebhooks,
            NotRecorded,
        ),
        security=("accessToken",),
    ),
    Operation(
        id="list_webhooks",
        method="GET",
        path=WEBHOOKS,
        tag=TAG,
        summary="List webhooks",
        answers=(
            Answer(
                status=200,
                description="All of them.",
                type=WebhookList,
                example={"webhooks": [_WEBHOOK]},
            ),
        ),
        errors=BY_PERSON,
        security=("accessToken",),
    ),
    Operation(
        id="delete_webhook",
        method="DELETE",
        path=_OWN,
        tag=TAG,
        summary="Delete a webhook; nothing more is sent to it",
        parameters=(_WEBHOOK_ID,),
        answers=(Answer(status=204, description="It is gone.", medium=None),),
        errors=(*_ONE, partner.NotAllowed, NotRecorded),
        security=("accessToken",),
    ),
    Operation(
        id="rotate_secret",
        method="POST",
        path=f"{_OWN}/rotate",
        tag=TAG,
        summary="Give a webhook a new secret; the old one signs beside it for 24 hours",
        parameters=(_WEBHOOK_ID,),
        answers=(
            Answer(
                status=200,
                description="The webhook, with its new secret.",
                type=WebhookWithSecret,
                example=_WEBHOOK | {"old_secret_signs_until": "2026-01-08T12:34:56.789Z"} | _SECRET,
            ),
        ),
        errors=(*_ONE, partner.NotAllowed, NotRecorded),
        security=("accessToken",),
    ),
    Operation(
        id="enable_webhook",
        method="POST",
        path=f"{_OWN}/enable",
        tag=TAG,
        summary="Deliver to a webhook again that was disabled; idempotent",
        parameters=(_WEBHOOK_ID,),
        answers=(
            Answer(
                status=200,
                description="The webhook, enabled.",
                type=WebhookShown,
                example=_WEBHOOK,
            ),
        ),
        errors=(*_ONE, partner.NotAllowed, NotRecorded),
        security=("accessToken",),
    ),
    Operation(
        id="list_attempts",
        method="GET",
        path=f"{_OWN}/attempts",
        tag=TAG,
        summary="List the attempts at a webhook, those of the newest event first",
        parameters=(_WEBHOOK_ID, LIMIT, CURSOR),
        answers=(
            Answer(
                status=200,
                description="A page.",
                type=AttemptList,
                example={"attempts": [_SHOWN], "next_cursor": None},
                links={
                    "resend_first": Link(
                        operation="resend_attempt",
                        parameters={"attempt_id": "$response.body#/attempts/0/id"},
                        description="Send the first one's event again.",
                    )
                },
            ),
        ),
        errors=(*_ONE, FieldInvalid, CursorInvalid),
        security=("accessToken",),
    ),
    Operation(
        id="resend_attempt",
        method="POST",
        path=f"{WEBHOOKS}/attempts/{{attempt_id}}/resend",
        tag=TAG,
        summary="Send an attempt's event once more, now, with the same `webhook-id`",
        parameters=(_ATTEMPT_ID,),
        answers=(_RESEND_ANSWER,),
        errors=_RESEND_ERRORS,
        security=("accessToken",),
    ),
    Operation(
        id="resend_attempt_of_webhook",
        method="POST",
        path=f"{_OWN}/attempts/{{attempt_id}}/resend",
        tag=TAG,
        summary="The same, named with its webhook",
        parameters=(_WEBHOOK_ID, _ATTEMPT_ID),
        answers=(_RESEND_ANSWER,),
        errors=_RESEND_ERRORS,
        security=("accessToken",),
    ),
)
