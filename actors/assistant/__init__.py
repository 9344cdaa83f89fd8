"""Conversations with an assistant, decided apart from store and HTTP."""

from actors.assistant.commands import (
    AddText,
    CancelReply,
    Close,
    Command,
    CompleteReply,
    Create,
    FailReply,
    OnBusy,
    PostMessage,
    Recover,
    StartReply,
    Update,
)
from actors.assistant.conversation import Conversation, QueuedReply, RunningReply, evolve
from actors.assistant.decision import decide, find_posted
from actors.assistant.errors import (
    Busy,
    ConversationError,
    ConversationExists,
    ConversationNotFound,
    FieldInvalid,
    IdempotencyMismatch,
    NotActive,
    VersionConflict,
)
from actors.assistant.events import (
    PRUNABLE_TYPES,
    ConversationEvent,
    decode_event,
    encode_event,
    type_of,
)
from actors.assistant.keys import KeyMemory, KeyRecord, alias_of, left_early
from actors.assistant.pages import ChangedAfter, CreatedAfter, MessagePage
from actors.assistant.prompt import Prompt, PromptMessage, build_prompt
from actors.assistant.records import Message, Session, Usage
from actors.assistant.settings import AssistantSettings
from actors.assistant.snapshot import decode_snapshot, encode_snapshot

__all__ = [
    "PRUNABLE_TYPES",
    "AddText",
    "AssistantSettings",
    "Busy",
    "CancelReply",
    "ChangedAfter",
    "Close",
    "Command",
    "CompleteReply",
    "Conversation",
    "ConversationError",
    "ConversationEvent",
    "ConversationExists",
    "ConversationNotFound",
    "Create",
    "CreatedAfter",
    "FailReply",
    "FieldInvalid",
    "IdempotencyMismatch",
    "KeyMemory",
    "KeyRecord",
    "Message",
    "MessagePage",
    "NotActive",
    "OnBusy",
    "PostMessage",
    "Prompt",
    "PromptMessage",
    "QueuedReply",
    "Recover",
    "RunningReply",
    "Session",
    "StartReply",
    "Update",
    "Usage",
    "VersionConflict",
    "alias_of",
    "build_prompt",
    "decide",
    "decode_event",
    "decode_snapshot",
    "encode_event",
    "encode_snapshot",
    "evolve",
    "find_posted",
    "left_early",
    "type_of",
]
