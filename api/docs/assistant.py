"""The routes of conversations."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from actors.assistant import errors as assistant
from actors.assistant.bounds import MAX_CONTENT_BYTES, MAX_ID_CHARS, MAX_TITLE_CHARS
from actors.assistant.commands import OnBusy
from actors.assistant.records import Message, Session, SessionStatus
from api.assistant.errors import PREFIX, NoActiveSession
from api.docs.errors import WITH_BODY
from api.docs.operation import (
    AFTER,
    CURSOR,
    LAST_EVENT_ID,
    LIMIT,
    OPERATOR,
    Answer,
    Body,
    Link,
    Operation,
    Parameter,
    Sequence,
    Text,
    path_text,
)
from api.errors import FieldInvalid, NotAcceptable, TokenRequired
from engine.durable import AliasHeld, NotRecorded
from engine.errors import CursorInvalid, TooManySubscribers

_PRINTABLE: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"
Id = Annotated[str, Meta(min_length=1, max_length=MAX_ID_CHARS, pattern=_PRINTABLE)]
Title = Annotated[Text, Meta(max_length=MAX_TITLE_CHARS)]
Metadata = Annotated[
    dict[str, Any], Meta(description="At most 16 KiB of JSON, nested at most 32 levels deep.")
]
Content = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_CONTENT_BYTES,
        pattern=r"^[^\x00]*[^\x00\s][^\x00]*$",
        description="At most 64 KiB of UTF-8, and more than blanks.",
    ),
]


class CreateConversation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whose conversation it is, and what about."""

    business_id: Id
    user_id: Id
    location_id: Annotated[str, Meta(max_length=MAX_ID_CHARS, pattern=_PRINTABLE)] | None = None
    session_type: Annotated[str, Meta(max_length=MAX_ID_CHARS, pattern=_PRINTABLE)] | None = None
    title: Title | None = None
    metadata: Metadata | None = None
    force_new: bool | None = None


class UpdateConversation(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """What is to be set; metadata is replaced as a whole. Other fields are refused."""

    title: Title | msgspec.UnsetType | None = msgspec.UNSET
    metadata: Metadata | msgspec.UnsetType | None = msgspec.UNSET
    location_id: Id | msgspec.UnsetType = msgspec.UNSET
    session_type: Id | msgspec.UnsetType = msgspec.UNSET
    status: SessionStatus | msgspec.UnsetType = msgspec.UNSET


class ConversationOpened(Session, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """The conversation, and whether it was made just now."""

    is_new: bool


class Conversations(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A page of conversations, the newest first."""

    sessions: tuple[Session, ...]
    next_cursor: str | None


class Messages(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A page of messages, the oldest first; `seq` is where the conversation stands."""

    messages: tuple[Message, ...]
    next_cursor: str | None
    seq: int


class PostMessageRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the user says, and what is to be done while a reply is under way."""

    content: Content
    metadata: Metadata | None = None
    on_busy: OnBusy | None = None


class CancelRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which reply is meant; without it the running one, or the next in line."""

    reply_id: str | None = None


TAG: Final = "conversations"
_ID: Final = "3f0c1a5e-8f3b-4d5e-9a52-0c8f6f1d2b7a"
_SESSION: Final[dict[str, Any]] = {
    "sessionId": _ID,
    "businessId": "B0100001",
    "locationId": "L0100001",
    "userId": "user_123",
    "sessionType": "general",
    "status": "active",
    "title": None,
    "metadata": {},
    "messageCount": 0,
    "createdAt": "2026-01-07T12:34:56.789Z",
    "updatedAt": "2026-01-07T12:34:56.789Z",
    "lastActivityAt": "2026-01-07T12:34:56.789Z",
    "version": 1,
}
_MESSAGE: Final[dict[str, Any]] = {
    "messageId": "0a7d9f51-64a5-4c62-8f6e-0b6f5a3b9d10",
    "sessionId": _ID,
    "seq": 2,
    "role": "user",
    "content": "hello",
    "status": "complete",
    "metadata": {},
    "createdAt": "2026-01-07T12:34:57.000Z",
    "updatedSeq": 2,
    "replyId": "5b1e0c8e-7f0a-4b0e-8a63-1a0b9c3d4e5f",
}
_SESSION_ID: Final = path_text("session_id", "A conversation's id.", _ID)
_BUSINESS: Final = path_text("business_id", "A business.", "B0100001")
_USER: Final = path_text("user_id", "A user of it.", "user_123")
_ETAG: Final = {"ETag": "The conversation's version, for `If-Match`."}
_STORED: Final = (NotRecorded,)
_OF_SESSION: Final[dict[str, Any]] = {"session_id": "$response.body#/sessionId"}


def _leads_to(*operations: str) -> dict[str, Link]:
    return {
        name: Link(operation=name, parameters=_OF_SESSION, description="The same conversation.")
        for name in operations
    }


_OPENED_LINKS: Final[dict[str, Link]] = _leads_to(
    "read_conversation",
    "update_conversation",
    "delete_conversation",
    "list_messages",
    "post_message",
    "cancel_reply",
) | {
    "active_conversation": Link(
        operation="active_conversation",
        parameters={
            "business_id": "$response.body#/businessId",
            "user_id": "$response.body#/userId",
        },
        description="The user's active conversation.",
    )
}

OPERATIONS: Final = (
    Operation(
        id="open_conversation",
        method="POST",
        path=PREFIX,
        tag=TAG,
        summary="Open a conversation, or find the one that is active",
        description="A user has one active conversation at a business, also under racing creates. "
        "`forceNew` closes it and makes another one.",
        body=Body(
            type=CreateConversation, example={"businessId": "B0100001", "userId": "user_123"}
        ),
        answers=tuple(
            Answer(
                status=status,
                description=text,
                type=ConversationOpened,
                example=_SESSION | {"isNew": is_new},
                headers=_ETAG | {"Location": "Where the conversation is."},
                links=_OPENED_LINKS,
            )
            for status, text, is_new in (
                (200, "There was one.", False),
                (201, "A new one.", True),
            )
        ),
        errors=(
            TokenRequired,
            *WITH_BODY,
            assistant.FieldInvalid,
            assistant.ConversationExists,
            AliasHeld,
            *_STORED,
        ),
        security=OPERATOR,
    ),
    Operation(
        id="read_conversation",
        method="GET",
        path=f"{PREFIX}/{{session_id}}",
        tag=TAG,
        summary="Read a conversation",
        parameters=(_SESSION_ID,),
        answers=(
            Answer(
                status=200,
                description="The conversation as it stands.",
                type=Session,
                example=_SESSION,
                headers=_ETAG,
            ),
        ),
        errors=(TokenRequired, assistant.ConversationNotFound),
        security=OPERATOR,
    ),
    Operation(
        id="update_conversation",
        method="PATCH",
        path=f"{PREFIX}/{{session_id}}",
        tag=TAG,
        summary="Change a conversation, or close it",
        parameters=(
            _SESSION_ID,
            Parameter(
                name="If-Match",
                where="header",
                type=str,
                description="The version that it must have, as `ETag` gave it.",
            ),
        ),
        body=Body(type=UpdateConversation, example={"title": "Delivery times"}),
        answers=(
            Answer(
                status=200,
                description="The conversation as it is now.",
                type=Session,
                example=_SESSION | {"title": "Delivery times", "version": 2},
                headers=_ETAG,
            ),
        ),
        errors=(
            TokenRequired,
            *WITH_BODY,
            assistant.FieldInvalid,
            assistant.ConversationNotFound,
            assistant.NotActive,
            assistant.VersionConflict,
            *_STORED,
        ),
        security=OPERATOR,
    ),
    Operation(
        id="delete_conversation",
        method="DELETE",
        path=f"{PREFIX}/{{session_id}}",
        tag=TAG,
        summary="Delete a conversation with its log",
        parameters=(_SESSION_ID,),
        answers=(Answer(status=204, description="Nothing is left of it.", medium=None),),
        errors=(TokenRequired, assistant.ConversationNotFound, *_STORED),
        security=OPERATOR,
    ),
    Operation(
        id="list_messages",
        method="GET",
        path=f"{PREFIX}/{{session_id}}/messages",
        tag=TAG,
        summary="List messages, the oldest first",
        description="With `updatedAfter`, every message that changed since: what a poller asks.",
        parameters=(
            _SESSION_ID,
            LIMIT,
            Parameter(
                name="after",
                where="query",
                type=Sequence,
                description="Those created after this `seq`.",
            ),
            Parameter(
                name="updatedAfter",
                where="query",
                type=Sequence,
                description="Those changed after this `seq`; not together with `after`.",
            ),
            Parameter(
                name="cursor",
                where="query",
                type=Sequence,
                description="The `nextCursor` of the page before.",
            ),
        ),
        answers=(
            Answer(
                status=200,
                description="A page.",
                type=Messages,
                example={"messages": [_MESSAGE], "nextCursor": None, "seq": 2},
            ),
        ),
        errors=(TokenRequired, FieldInvalid, assistant.ConversationNotFound),
        security=OPERATOR,
    ),
    Operation(
        id="post_message",
        method="POST",
        path=f"{PREFIX}/{{session_id}}/messages",
        tag=TAG,
        summary="Post a message; its reply follows on the stream",
        description="While a reply is under way `onBusy` decides: `enqueue` puts the message in "
        "line, `reject` refuses it, `interrupt` cancels the running reply.",
        parameters=(
            _SESSION_ID,
            Parameter(
                name="Idempotency-Key",
                where="header",
                type=Id,
                description="With the same key and body it is the same message, for 24 hours.",
            ),
        ),
        body=Body(type=PostMessageRequest, example={"content": "hello"}),
        answers=(
            Answer(
                status=201,
                description="The message, durable.",
                type=Message,
                example=_MESSAGE,
                links=_leads_to("list_messages", "cancel_reply"),
            ),
        ),
        errors=(
            TokenRequired,
            *WITH_BODY,
            assistant.FieldInvalid,
            assistant.ConversationNotFound,
            assistant.NotActive,
            assistant.Busy,
            assistant.IdempotencyMismatch,
            *_STORED,
        ),
        security=OPERATOR,
    ),
    Operation(
        id="cancel_reply",
        method="POST",
        path=f"{PREFIX}/{{session_id}}/cancel",
        tag=TAG,
        summary="Cancel a reply and keep its text; idempotent",
        parameters=(_SESSION_ID,),
        body=Body(type=CancelRequest, example={}, required=False),
        answers=(
            Answer(
                status=200,
                description="The conversation.",
                type=Session,
                example=_SESSION,
                headers=_ETAG,
            ),
        ),
        errors=(TokenRequired, *WITH_BODY, assistant.ConversationNotFound, *_STORED),
        security=OPERATOR,
    ),
    Operation(
        id="conversation_stream",
        method="GET",
        path=f"{PREFIX}/{{session_id}}/stream",
        tag=TAG,
        summary="Follow a conversation, as server-sent events",
        description="A websocket at the same path gives the same, and takes messages; see "
        "`/asyncapi.json`.",
        parameters=(_SESSION_ID, AFTER, LAST_EVENT_ID),
        answers=(
            Answer(
                status=200,
                description="The stream: open until the conversation ends.",
                type=str,
                medium="text/event-stream",
            ),
            Answer(
                status=204,
                description="The conversation is over and everything of it was seen.",
                medium=None,
            ),
        ),
        errors=(
            TokenRequired,
            assistant.ConversationNotFound,
            FieldInvalid,
            NotAcceptable,
            TooManySubscribers,
        ),
        security=OPERATOR,
    ),
    Operation(
        id="active_conversations_of_business",
        method="GET",
        path=f"{PREFIX}/business/{{business_id}}/active",
        tag=TAG,
        summary="List the active conversations of a business, the newest first",
        parameters=(_BUSINESS, LIMIT, CURSOR),
        answers=(
            Answer(
                status=200,
                description="A page.",
                type=Conversations,
                example={"sessions": [_SESSION], "nextCursor": None},
            ),
        ),
        errors=(TokenRequired, FieldInvalid, CursorInvalid),
        security=OPERATOR,
    ),
    Operation(
        id="active_conversation",
        method="GET",
        path=f"{PREFIX}/business/{{business_id}}/user/{{user_id}}/active",
        tag=TAG,
        summary="Find the active conversation of a user",
        parameters=(_BUSINESS, _USER),
        answers=(
            Answer(
                status=200,
                description="The conversation.",
                type=Session,
                example=_SESSION,
                headers=_ETAG,
            ),
        ),
        errors=(TokenRequired, NoActiveSession),
        security=OPERATOR,
    ),
    Operation(
        id="conversation_history",
        method="GET",
        path=f"{PREFIX}/business/{{business_id}}/user/{{user_id}}/history",
        tag=TAG,
        summary="List all conversations of a user, the newest first",
        parameters=(_BUSINESS, _USER, LIMIT, CURSOR),
        answers=(
            Answer(
                status=200,
                description="A page.",
                type=Conversations,
                example={"sessions": [_SESSION], "nextCursor": None},
            ),
        ),
        errors=(TokenRequired, FieldInvalid, CursorInvalid),
        security=OPERATOR,
    ),
)
