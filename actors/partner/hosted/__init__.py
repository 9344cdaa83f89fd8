"""Hosted sessions: what a partner asks for, what its visitor does, and how it can be trusted.

`open_hosted` puts them together; `HostedSessions` is the door. Deciding is pure (`decide`), apart
from store and HTTP.
"""

from actors.partner.hosted.acts import MAX_EXTENSIONS, MAX_HANDOVERS
from actors.partner.hosted.commands import (
    Begin,
    Cancel,
    Command,
    Conclude,
    Expire,
    Extend,
    GiveAnswer,
    OfferHandOver,
    TakeOver,
)
from actors.partner.hosted.decider import KIND, decode_session, encode_session, place_of, stream_of
from actors.partner.hosted.decision import decide
from actors.partner.hosted.desk import Answered, HostedSessions, Outcome, SessionPage, Tenants
from actors.partner.hosted.errors import (
    AnswerInvalid,
    BoundElsewhere,
    HandOverUnusable,
    IllegalTransition,
    LimitOfVisit,
    SessionNotFound,
)
from actors.partner.hosted.events import (
    FINAL_TYPES,
    HostedEvent,
    Recorded,
    decode_event,
    encode_event,
    sent_to_tenant,
)
from actors.partner.hosted.family import open_hosted
from actors.partner.hosted.opening import Created, Opening, check_opening
from actors.partner.hosted.records import HandOver, Hosted, HostedSession, Progress, Visit
from actors.partner.hosted.resealing import reseal_hosted, reseal_signing
from actors.partner.hosted.return_url import check_return_url, with_outcome
from actors.partner.hosted.signing_keys import (
    RECEIPT_LIFE,
    SIGNING_KIND,
    SigningKey,
    SigningKeys,
)
from actors.partner.hosted.states import ENDS, NEXT, OPEN, UNFINISHED, State
from actors.partner.hosted.tokens import digest_of, is_token, new_token

__all__ = [
    "ENDS",
    "FINAL_TYPES",
    "KIND",
    "MAX_EXTENSIONS",
    "MAX_HANDOVERS",
    "NEXT",
    "OPEN",
    "RECEIPT_LIFE",
    "SIGNING_KIND",
    "UNFINISHED",
    "AnswerInvalid",
    "Answered",
    "Begin",
    "BoundElsewhere",
    "Cancel",
    "Command",
    "Conclude",
    "Created",
    "Expire",
    "Extend",
    "GiveAnswer",
    "HandOver",
    "HandOverUnusable",
    "Hosted",
    "HostedEvent",
    "HostedSession",
    "HostedSessions",
    "IllegalTransition",
    "LimitOfVisit",
    "OfferHandOver",
    "Opening",
    "Outcome",
    "Progress",
    "Recorded",
    "SessionNotFound",
    "SessionPage",
    "SigningKey",
    "SigningKeys",
    "State",
    "TakeOver",
    "Tenants",
    "Visit",
    "check_opening",
    "check_return_url",
    "decide",
    "decode_event",
    "decode_session",
    "digest_of",
    "encode_event",
    "encode_session",
    "is_token",
    "new_token",
    "open_hosted",
    "place_of",
    "reseal_hosted",
    "reseal_signing",
    "sent_to_tenant",
    "stream_of",
    "with_outcome",
]
