"""The live streams, event by event: what `/asyncapi.json` is made of.

The frames around events are `api.stream_frames`'; what each event carries is the family's own type,
or, for browser sessions, said here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

import msgspec

from actors.assistant.commands import OnBusy
from actors.assistant.events import ConversationEvent
from actors.partner.hosted.events import HostedEvent
from api.assistant.errors import PREFIX
from api.docs.errors import ErrorOfAssistant
from api.docs.operation import OPERATOR, Scheme, Timestamp
from api.partner.sessions import SESSIONS

# Close codes by which a stream ends, and what a client does then.
CLOSE_CODES: Final[Mapping[int, str]] = {
    1000: "The session is over; its last event came before. Nothing is to be done.",
    1002: "A frame broke RFC 6455. Mend the client.",
    1006: "No close frame: the line was cut. Come again with the last `seq`.",
    1007: "A frame was no UTF-8. Mend the client.",
    1008: "`after` is beyond the newest event, or too many messages came. Mend the client.",
    1009: "A frame was too large. Mend the client.",
    1011: "Something failed inside. Come again with the last `seq`.",
    1012: "The server is stopping. Come again with the last `seq`.",
    1013: "The log cannot be read now. Come again with the last `seq`.",
}


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ready"):
    """The first frame: where the stream stands, and where this subscription starts."""

    seq: int
    after: int


class StreamError(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """The subscription cannot go on; the connection closes."""

    code: Literal["beyond_newest"]
    message: str
    seq: int


class Ack(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ack"):
    """A client's frame was obeyed; for a message with its `seq` and the stored message."""

    id: str | None
    seq: int | None = None
    message: Mapping[str, Any] | None = None


class FrameRefused(
    ErrorOfAssistant, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="error"
):
    """A client's frame was refused; as the same request over REST would be."""

    id: str | None


class ClientMessage(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="message"
):
    """Post a message; `id` is its idempotency key."""

    content: str
    id: str | None = None
    metadata: Mapping[str, Any] | None = None
    on_busy: OnBusy | None = None


class ClientCancel(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag_field="type", tag="cancel"
):
    """Cancel the running reply, or the one that is named."""

    id: str | None = None
    reply_id: str | None = None


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """No further data."""


class Username(msgspec.Struct, frozen=True, kw_only=True):
    """Whose session it is."""

    username: str


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong."""

    error: str


class LeaseData(msgspec.Struct, frozen=True, kw_only=True):
    """The lease of an operation."""

    token: int


class OperationBegun(msgspec.Struct, frozen=True, kw_only=True):
    """Which operation it is."""

    name: str


class OperationEnded(msgspec.Struct, frozen=True, kw_only=True):
    """Which operation it was, and how it went."""

    name: str
    success: bool
    error: str | None = None


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """How many windows and dialogs there were."""

    count: int


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """Why the session waits."""

    reason: Literal["server_stopped", "server_lost"]


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """After a restore: whether the login was still good."""

    login: Literal["kept", "renewed"] | None = None


class Closed(msgspec.Struct, frozen=True, kw_only=True):
    """Why the session is over."""

    reason: str


# What each event of a browser session means, and what it carries.
BROWSER_EVENTS: Final[Mapping[str, tuple[str, type[msgspec.Struct]]]] = {
    "session.created": ("A login begins.", Username),
    "login.started": ("The first login begins.", Nothing),
    "login.succeeded": ("The portal shows that it worked.", Nothing),
    "login.failed": ("The first login did not work.", Failure),
    "captcha.solved": ("The captcha service gave a token.", Nothing),
    "lease.granted": ("An operation got its session.", LeaseData),
    "lease.released": ("The operation that had the session has ended.", LeaseData),
    "operation.started": ("An operation begins.", OperationBegun),
    "operation.finished": ("An operation has ended.", OperationEnded),
    "refresh.started": ("The background login check begins.", Nothing),
    "refresh.succeeded": ("The login is still good.", Nothing),
    "refresh.failed": ("The background login check did not work.", Failure),
    "popup.blocked": ("Windows and dialogs were got rid of during a step.", Count),
    "browser.crashed": ("Its Chromium, or the connection to it, was lost.", Nothing),
    "session.parked": ("The session waits to be asked for.", Parked),
    "restore.started": ("It is being restored.", Nothing),
    "restore.failed": ("It was not restored; it waits on, unless it is closed.", Failure),
    "session.recovered": ("Its page is back.", Recovered),
    "session.closed": ("The last event.", Closed),
}


class StreamMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of frame; `name` is unique in its stream."""

    name: str
    summary: str
    type: Any


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of stream.

    Attributes:
        sends: what the server sends, events and the frames around them.
        takes: what a websocket's client may send.
        final: the events after which nothing follows.
    """

    id: str
    address: str
    title: str
    tag: str
    session_id: str
    sends: tuple[StreamMessage, ...]
    takes: tuple[StreamMessage, ...] = ()
    final: tuple[str, ...]
    security: tuple[Scheme | None, ...]


def _frame(struct: type[msgspec.Struct], name: str) -> StreamMessage:
    return StreamMessage(name=name, summary=(struct.__doc__ or "").partition("\n")[0], type=struct)


def _typed(event: type[msgspec.Struct]) -> StreamMessage:
    own = event.__dict__.get("__doc__") or ""
    summary = own.partition("\n")[0]
    tag = str(event.__struct_config__.tag)
    return StreamMessage(name=tag, summary=summary, type=event)


def _browser_event(name: str, summary: str, data: type[msgspec.Struct]) -> StreamMessage:
    fields = [("seq", int), ("at", Timestamp), ("data", data)]
    words = "".join(part.capitalize() for part in name.replace(".", "_").split("_"))
    struct = msgspec.defstruct(
        f"Browser{words}",
        fields,
        kw_only=True,
        frozen=True,
        tag_field="type",
        tag=name,
        namespace={"__doc__": summary},
    )
    return StreamMessage(name=name, summary=summary, type=struct)


_AROUND: Final = (_frame(Ready, "ready"), _frame(StreamError, "beyond_newest"))

STREAMS: Final = (
    Stream(
        id="browser_session",
        address="/sessions/{session_id}/events",
        title="What happens to a browser session",
        tag="browser sessions",
        session_id="session_1704067200_1234567890",
        sends=(
            *(_browser_event(name, *said) for name, said in BROWSER_EVENTS.items()),
            *_AROUND,
        ),
        final=("session.closed",),
        security=OPERATOR,
    ),
    Stream(
        id="conversation",
        address=f"{PREFIX}/{{session_id}}/stream",
        title="A conversation, and its replies as they are written",
        tag="conversations",
        session_id="3f0c1a5e-8f3b-4d5e-9a52-0c8f6f1d2b7a",
        sends=(
            *map(_typed, get_args(ConversationEvent)),
            *_AROUND,
            _frame(Ack, "ack"),
            _frame(FrameRefused, "refused"),
        ),
        takes=(_frame(ClientMessage, "message"), _frame(ClientCancel, "cancel")),
        final=("session.closed",),
        security=OPERATOR,
    ),
    Stream(
        id="hosted_session",
        address=f"{SESSIONS}/{{session_id}}/events",
        title="What happens to a hosted session",
        tag="hosted sessions",
        session_id="3f0c1a5e-8f3b-4d5e-9a52-0c8f6f1d2b7a",
        sends=(*map(_typed, get_args(HostedEvent)), *_AROUND),
        final=("session.completed", "session.failed", "session.expired", "session.cancelled"),
        security=("accessToken", "apiKey", "dashboardCookie"),
    ),
)
