"""What is written: events, the catalogue row, aliases, a snapshot, and the commit that joins them.

Laws of this file: everything is immutable, encoded by its writer, and bounded; times are integer
milliseconds UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from engine.errors import CommitInvalid

MAX_EVENTS: Final = 1_000
MAX_COMMIT_BYTES: Final = 8 * 1024 * 1024
MAX_CHANGES: Final = 64  # claims and releases together, and tags
MAX_TEXT: Final = 512
MAX_STREAM: Final = 200
MAX_INTEGER: Final = 2**53 - 1  # what every store, and JSON, keeps exactly

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")
_STREAM: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}/[A-Za-z0-9._~:@/-]+")


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that happened to one session, as it is stored and as subscribers are sent it.

    `body` is opaque to the engine: encode it once, with everything that a subscriber is to see.
    """

    seq: int
    type: str
    at_ms: int
    body: bytes


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A state that stands for all events up to and including `seq`."""

    seq: int
    body: bytes


class CatalogueRow(msgspec.Struct, frozen=True, kw_only=True):
    """What lists are answered from: small, whole, and replaced as a whole.

    The kind is the part of the stream's id before the slash. `owner`, `status` and each tag are
    indexed, so a filter that must be fast on its own is best made a tag of its own; a tag's name
    is a word of ASCII. `due_at_ms` is when the session wants to be woken.
    """

    owner: str
    status: str
    created_at_ms: int
    updated_at_ms: int
    due_at_ms: int | None = None
    summary: bytes = b""
    tags: Mapping[str, str] = {}


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A name that at most one stream holds at a time: `alias` resolves to the commit's stream.

    Claiming again what the stream already holds replaces payload and expiry. An expired alias is
    free. An idempotency record is an alias whose payload is the first answer.
    """

    alias: str
    payload: bytes = b""
    expires_at_ms: int | None = None


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction on one stream: all of it becomes durable, or nothing.

    Args:
        stream: `kind/id`.
        epoch: the writer's; refused when the stream has seen a newer one.
        expected_seq: the newest sequence that the writer knows, 0 for a new stream.
        events: numbered `expected_seq + 1` and on, without a gap; may be empty.
        claims: refused as a whole when another stream holds one of them.
        releases: aliases to give up; one that the stream does not hold is left alone. Releases
            come before claims.
    """

    stream: str
    epoch: int
    expected_seq: int
    events: Sequence[Event] = ()
    snapshot: Snapshot | None = None
    row: CatalogueRow | None = None
    claims: Sequence[Claim] = ()
    releases: Sequence[str] = ()

    @property
    def newest_seq(self) -> int:
        """The stream's newest sequence once this commit is durable."""
        return self.expected_seq + len(self.events)


def kind_of(stream: str) -> str:
    """Return the kind that the stream's id begins with."""
    return stream.partition("/")[0]


def is_stream(text: str) -> bool:
    """Return whether `text` could be a stream's id; what could not is simply unknown."""
    return len(text) <= MAX_STREAM and _STREAM.fullmatch(text) is not None


def is_text(text: str) -> bool:
    """Return whether every store can keep `text` and give it back unchanged."""
    if len(text) > MAX_TEXT or "\0" in text:
        return False
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def size_of(commit: Commit) -> int:
    """Check a commit's form, and return roughly how many bytes it takes.

    Raises:
        CommitInvalid: with the first reason found.
    """
    try:
        size = _weigh(commit)
        _require(size <= MAX_COMMIT_BYTES, "it is too large")
    except ValueError as error:
        raise CommitInvalid(commit.stream, reason=str(error)) from None
    return size


def _weigh(commit: Commit) -> int:
    _require(is_stream(commit.stream), "the stream is not a kind/id")
    _require(0 <= commit.expected_seq < MAX_INTEGER, "the sequence is out of range")
    _require(0 <= commit.epoch < MAX_INTEGER, "the epoch is out of range")
    _require(len(commit.events) <= MAX_EVENTS, "too many events")
    size, seq = 256, commit.expected_seq
    for event in commit.events:
        seq += 1
        _require(event.seq == seq, "the events are not numbered in order")
        _require(_is_word(event.type), "an event's type is not text")
        _require(0 <= event.at_ms < MAX_INTEGER, "an event's time is out of range")
        size += 100 + len(event.body)
    if (snapshot := commit.snapshot) is not None:
        _require(0 <= snapshot.seq <= seq, "the snapshot is of an event that does not exist")
        size += len(snapshot.body)
    if commit.row is not None:
        size += _weigh_row(commit.row)
    if commit.claims or commit.releases:
        size += _weigh_aliases(commit)
    return size


def _weigh_row(row: CatalogueRow) -> int:
    _require(0 <= row.created_at_ms < MAX_INTEGER, "the row's creation is out of range")
    _require(0 <= row.updated_at_ms < MAX_INTEGER, "the row's update is out of range")
    _require(0 <= (row.due_at_ms or 0) < MAX_INTEGER, "what is due is out of range")
    _require(is_text(row.owner) and _is_word(row.status), "owner or status is not text")
    _require(len(row.tags) <= MAX_CHANGES, "too many tags")
    for name, value in row.tags.items():
        _require(_is_name(name) and is_text(value), "a tag is not a name and a text")
    return len(row.summary)


def _weigh_aliases(commit: Commit) -> int:
    _require(len(commit.claims) + len(commit.releases) <= MAX_CHANGES, "too many alias changes")
    for name in (*(claim.alias for claim in commit.claims), *commit.releases):
        _require(name != "" and is_text(name), "an alias is not text")
    for claim in commit.claims:
        _require(0 <= (claim.expires_at_ms or 0) < MAX_INTEGER, "an expiry is out of range")
    return sum(len(claim.payload) for claim in commit.claims)


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise ValueError(rule)


@lru_cache(maxsize=1_024)
def _is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


@lru_cache(maxsize=1_024)
def _is_word(text: str) -> bool:
    """Say whether this is a usable type or status: a few of them come again and again."""
    return text != "" and is_text(text)
