"""Webhooks: partners are told what has happened, signed, until they have taken it or a day is over.

`open_webhooks` puts them together; `Webhooks` is the door; `Notify` is what the rest of the family
hands its news to.
"""

from actors.partner.webhooks.attempts import AttemptPage, ListedAttempt
from actors.partner.webhooks.change import Change, Permit
from actors.partner.webhooks.delivery import Outcome
from actors.partner.webhooks.endpoint import Endpoint
from actors.partner.webhooks.endpoint_decider import MAX_ENDPOINTS
from actors.partner.webhooks.errors import TooManyResends, TooManyWebhooks, WebhookDisabled
from actors.partner.webhooks.family import open_webhooks
from actors.partner.webhooks.notification import EVENT_TYPES, EventType, Notification, Notify
from actors.partner.webhooks.sender import Outgoing, Send
from actors.partner.webhooks.webhooks import Created, Webhooks

__all__ = [
    "EVENT_TYPES",
    "MAX_ENDPOINTS",
    "AttemptPage",
    "Change",
    "Created",
    "Endpoint",
    "EventType",
    "ListedAttempt",
    "Notification",
    "Notify",
    "Outcome",
    "Outgoing",
    "Permit",
    "Send",
    "TooManyResends",
    "TooManyWebhooks",
    "WebhookDisabled",
    "Webhooks",
    "open_webhooks",
]
