"""One delivery of one event to one endpoint: what is tried, and how it ends.

Laws of this file: it awaits nothing, reads no clock and knows neither store nor HTTP; time and
chance come in. The message is made once: its id and its text are the same at each attempt. What has
been delivered stays delivered.

    pending --Record(taken)--> delivered
       |                           ^
       |                           |  Record(taken), of an attempt that somebody asked for
       '--Record(the last one)--> failed

`Resend` brings one more attempt, in every state; it never begins the retries anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias, assert_never

import msgspec
from msgspec.structs import replace

from actors.partner.errors import NotFound
from actors.partner.webhooks.errors import TooManyResends
from actors.partner.webhooks.notification import EventType
from actors.partner.webhooks.retry import next_attempt
from engine.clock import timestamp

MAX_RESENDS: Final = 50
GONE: Final = 410
# So long an ended delivery is kept, to be looked at and sent again; then it is erased.
KEPT: Final = timedelta(days=30)

Status: TypeAlias = Literal["pending", "delivered", "failed"]
EventName: TypeAlias = Literal["delivery.created", "delivery.attempted", "delivery.resent"]


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent; `event_id` is the `webhook-id` that receivers tell repeats by."""

    event_id: str
    endpoint_id: str
    tenant_id: str
    type: EventType
    subject: str
    event_seq: int
    body: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of sending.

    Attributes:
        status: of the answer; None when there was none.
        response: the beginning of the answer's body.
        error: why it was not taken, for people; None when it was.
        retry_after_s: the pause that the receiver asked for.
        final: trying again is of no use.
    """

    duration_ms: int = 0
    status: int | None = None
    response: str | None = None
    error: str | None = None
    retry_after_s: int = 0
    final: bool = False

    @property
    def taken(self) -> bool:
        return self.error is None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt; `number` counts from 1, `resend` tells whether somebody asked for it."""

    number: int
    at: str
    duration_ms: int
    status: int | None
    response: str | None
    error: str | None
    resend: bool


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery as it stands.

    Attributes:
        attempts: all of them, in order; their number is bounded by the retry table and
            `MAX_RESENDS`.
        next_at: when it is to be tried; None when nothing is to be done.
        resends: how often somebody has asked for another attempt.
        resend: one of these is still to be made.
    """

    id: str
    seq: int
    message: Message
    created_at: str
    updated_at: str
    status: Status = "pending"
    attempts: tuple[Attempt, ...] = ()
    next_at: str | None = None
    resends: int = 0
    resend: bool = False

    def is_due(self, now: datetime) -> bool:
        return self.next_at is not None and self.next_at <= timestamp(now)

    @property
    def kept_until(self) -> datetime | None:
        """When it is to be erased; None while something is still to be done."""
        return None if self.next_at is not None else datetime.fromisoformat(self.updated_at) + KEPT


class DeliveryEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened to a delivery: what changed, or the message at its beginning."""

    seq: int
    type: EventName
    at: str
    id: str
    status: Status
    next_at: str | None
    message: Message | None = None
    attempt: Attempt | None = None


class _Command(msgspec.Struct, frozen=True, kw_only=True, tag=True, forbid_unknown_fields=True):
    pass


class Open(_Command, frozen=True, kw_only=True):
    """Begin to deliver; nothing happens when it has begun."""

    id: str
    message: Message


class Record(_Command, frozen=True, kw_only=True):
    """An attempt has ended; `resend` when it was begun because somebody asked for it."""

    outcome: Outcome
    resend: bool


class Resend(_Command, frozen=True, kw_only=True):
    """Try once more, now."""

    tenant_id: str


Command: TypeAlias = Open | Record | Resend


def decide(
    state: Delivery | None, command: Command, now: datetime, jitter: float
) -> Sequence[DeliveryEvent]:
    """Return the events that `command` causes; none when it changes nothing.

    Raises:
        NotFound: there is no such delivery, or it is another tenant's.
        TooManyResends: nobody may ask for another attempt.
    """
    at = timestamp(now)
    if isinstance(command, Open):
        return [] if state is not None else [_opened(command, at)]
    if state is None:
        raise NotFound("Attempt")
    match command:
        case Record():
            return [_attempted(state, command, now, jitter)]
        case Resend():
            return [_resent(state, command, at)]
        case _:
            assert_never(command)


def evolve(state: Delivery | None, event: DeliveryEvent) -> Delivery:
    """Return the delivery after an event."""
    if event.message is not None:
        return Delivery(
            id=event.id,
            seq=event.seq,
            message=event.message,
            created_at=event.at,
            updated_at=event.at,
            next_at=event.next_at,
        )
    assert state is not None  # noqa: S101 - the first event carries the message
    changed = replace(
        state, seq=event.seq, updated_at=event.at, status=event.status, next_at=event.next_at
    )
    if event.attempt is None:
        return replace(changed, resends=state.resends + 1, resend=True)
    resend = state.resend and not event.attempt.resend
    return replace(changed, attempts=(*state.attempts, event.attempt), resend=resend)


def _opened(command: Open, at: str) -> DeliveryEvent:
    return DeliveryEvent(
        seq=1,
        type="delivery.created",
        at=at,
        id=command.id,
        status="pending",
        next_at=at,
        message=command.message,
    )


def _resent(state: Delivery, command: Resend, at: str) -> DeliveryEvent:
    if state.message.tenant_id != command.tenant_id:
        raise NotFound("Attempt")
    if state.resends >= MAX_RESENDS:
        raise TooManyResends(limit=MAX_RESENDS)
    return DeliveryEvent(
        seq=state.seq + 1,
        type="delivery.resent",
        at=at,
        id=state.id,
        status=state.status,
        next_at=at,
    )


def _attempted(state: Delivery, record: Record, now: datetime, jitter: float) -> DeliveryEvent:
    at, outcome = timestamp(now), record.outcome
    status, next_at = _after(state, outcome, now, jitter)
    if state.resend and not record.resend:
        next_at = at  # it was asked for while this one was under way
    attempt = Attempt(
        number=len(state.attempts) + 1,
        at=at,
        duration_ms=outcome.duration_ms,
        status=outcome.status,
        response=outcome.response,
        error=outcome.error,
        resend=record.resend,
    )
    return DeliveryEvent(
        seq=state.seq + 1,
        type="delivery.attempted",
        at=at,
        id=state.id,
        status=status,
        next_at=next_at,
        attempt=attempt,
    )


def _after(
    state: Delivery, outcome: Outcome, now: datetime, jitter: float
) -> tuple[Status, str | None]:
    if outcome.taken:
        return "delivered", None
    if state.status != "pending" or outcome.final:
        return ("failed" if state.status == "pending" else state.status), None
    following = next_attempt(
        created=datetime.fromisoformat(state.created_at),
        now=now,
        failed=sum(not attempt.resend for attempt in state.attempts) + 1,
        jitter=jitter,
        retry_after_s=outcome.retry_after_s,
    )
    return ("failed", None) if following is None else ("pending", timestamp(following))
