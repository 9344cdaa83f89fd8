"""What writes replies."""

from actors.assistant.responders.catalogue import check_responder, open_responder
from actors.assistant.responders.responder import (
    Emit,
    Finish,
    ProviderRefused,
    ProviderTooSlow,
    ProviderUnreachable,
    ReplyCut,
    ReplyGarbled,
    ReplyWithheld,
    Responder,
    ResponderError,
    ResponderUnusable,
)

__all__ = [
    "Emit",
    "Finish",
    "ProviderRefused",
    "ProviderTooSlow",
    "ProviderUnreachable",
    "ReplyCut",
    "ReplyGarbled",
    "ReplyWithheld",
    "Responder",
    "ResponderError",
    "ResponderUnusable",
    "check_responder",
    "open_responder",
]
