"""Every error of Mooring has one root, and branches by phase and by whose fault it is.

Laws of this file: an error carries fields and composes its message from them; a message that could
not be delivered comes back with its error; nothing here knows a status code.
"""

from __future__ import annotations

from typing import Any, TypeVar


class MooringError(Exception):
    """The root of everything that Mooring raises on purpose."""


_E = TypeVar("_E", bound=Exception)


def anew(error: _E) -> _E:
    """Return a copy to raise at one caller: an instance raised at many keeps all frames alive."""
    copy = type(error).__new__(type(error), *error.args)
    copy.__dict__.update(vars(error))
    return copy


class DomainError(MooringError):
    """An answer that says no.

    The only exceptions that a handler may raise to its asker. Any other exception that leaves a
    handler is a crash of its actor.
    """


class SpawnError(MooringError):
    """An actor could not be started."""


class AddressTaken(SpawnError):
    """The address already belongs to a running actor."""

    def __init__(self, address: str) -> None:
        super().__init__(f"an actor already runs at {address}")
        self.address = address


class SupervisorStopping(SpawnError):
    """The supervisor is shutting down and starts nothing any more."""

    def __init__(self, supervisor: str) -> None:
        super().__init__(f"supervisor {supervisor} is stopping")
        self.supervisor = supervisor


class DeliveryError(MooringError):
    """A message did not reach its actor; `message` is given back unhandled."""

    def __init__(self, text: str, *, address: str, message: Any) -> None:
        super().__init__(text)
        self.address = address
        self.message = message


class InboxFull(DeliveryError):
    """The inbox had no room at once (`tell_nowait`) or within the deadline (`tell`)."""

    def __init__(self, address: str, message: Any) -> None:
        super().__init__(f"the inbox of {address} is full", address=address, message=message)


class ActorStopped(DeliveryError):
    """The actor has stopped, or stopped before it answered."""

    def __init__(self, address: str, message: Any) -> None:
        super().__init__(f"{address} has stopped", address=address, message=message)


class AskError(MooringError):
    """An ask that reached its actor ended without an answer."""


class AskTimeout(AskError):
    """No answer within the deadline; a message not yet begun is never begun."""

    def __init__(self, address: str, message: Any) -> None:
        super().__init__(f"{address} did not answer in time")
        self.address = address
        self.message = message


class ActorCrashed(AskError):
    """The actor crashed while it handled this message; `__cause__` is the crash."""

    def __init__(self, address: str) -> None:
        super().__init__(f"{address} crashed")
        self.address = address


class SupervisionError(MooringError):
    """A supervisor gave up."""


class RestartLimitReached(SupervisionError):
    """An actor crashed more often than its policy allows; `__cause__` is the last crash."""

    def __init__(self, address: str, restarts: int, within_s: float) -> None:
        super().__init__(f"{address} crashed more than {restarts} times within {within_s:g} s")
        self.address = address
        self.restarts = restarts
        self.within_s = within_s


class StoreError(MooringError):
    """The durable log could not do what it was asked."""


class CommitRefused(StoreError):
    """A commit broke a rule of the log; nothing of it was written, and trying again won't help."""


class CommitConflict(CommitRefused):
    """The stream has moved on, or not come as far, as the writer believed."""

    def __init__(self, stream: str, *, expected_seq: int, newest_seq: int) -> None:
        super().__init__(f"{stream} is at {newest_seq}, not at {expected_seq}")
        self.stream = stream
        self.expected_seq = expected_seq
        self.newest_seq = newest_seq


class StaleEpoch(CommitRefused):
    """A newer owner has written to the stream; this one's writes are over."""

    def __init__(self, stream: str, *, epoch: int, newest_epoch: int) -> None:
        super().__init__(f"{stream} belongs to epoch {newest_epoch}; epoch {epoch} is over")
        self.stream = stream
        self.epoch = epoch
        self.newest_epoch = newest_epoch


class OwnershipLost(CommitRefused):
    """The writer does not own the stream: another node took it, or its lease is over."""

    def __init__(self, stream: str, *, epoch: int, newest_epoch: int) -> None:
        super().__init__(f"{stream} is not owned by epoch {epoch} (any more)")
        self.stream = stream
        self.epoch = epoch
        self.newest_epoch = newest_epoch


class AliasTaken(CommitRefused):
    """A claimed alias belongs to another stream; `holder` is that stream."""

    def __init__(self, alias: str, *, holder: str) -> None:
        # The alias may be made from a secret's digest: it is carried, and not put into the text.
        super().__init__(f"an alias is already held by {holder}")
        self.alias = alias
        self.holder = holder


class CommitInvalid(CommitRefused):
    """A commit is malformed or larger than the store's limits allow: its writer's mistake."""

    def __init__(self, stream: str, *, reason: str) -> None:
        super().__init__(f"commit to {stream[:120]!r} is not valid: {reason}")
        self.stream = stream
        self.reason = reason


class CursorInvalid(StoreError):
    """A list's cursor was made up, altered, or belongs to another list."""

    def __init__(self) -> None:
        super().__init__("the cursor does not belong to this list")


class StoreUnavailable(StoreError):
    """The store cannot serve now (`reason`); a commit that got this was not written.

    Args:
        detail: where, and what was said there; for the log and the operator's eyes only.
    """

    def __init__(self, reason: str, *, detail: str = "") -> None:
        where = f" ({detail})" if detail else ""
        super().__init__(f"the store is not available: {reason}{where}")
        self.reason = reason


class OwnedElsewhere(StoreError):
    """Another node owns the stream, for `left_s` more seconds unless it renews its lease."""

    def __init__(self, stream: str, *, node: str, left_s: float) -> None:
        super().__init__(f"{stream} is owned by another node")
        self.stream = stream
        self.node = node
        self.left_s = left_s


class CommitUnknown(StoreError):
    """The storage stalled or failed over a commit that had begun: it may or may not be durable.

    What became of it is in the log. A store in a file takes no further commits, and the next start
    will know; one in PostgreSQL goes on once the database is back.
    """

    def __init__(self, stream: str, *, reason: str) -> None:
        super().__init__(f"the fate of a commit to {stream} is unknown: {reason}")
        self.stream = stream
        self.reason = reason


class StoreDamaged(StoreError):
    """The store's file is not what Mooring wrote: damaged, foreign, or not a database."""

    def __init__(self, place: str, *, detail: str) -> None:
        super().__init__(f"{place} cannot be used: {detail}")
        self.place = place
        self.detail = detail


class StoreTooNew(StoreError):
    """The store was written by a newer Mooring; this one leaves it untouched."""

    def __init__(self, place: str, *, version: int, supported: int) -> None:
        super().__init__(
            f"{place} has schema version {version}; this Mooring knows versions up to {supported}"
        )
        self.place = place
        self.version = version
        self.supported = supported


class ImportRefused(StoreError):
    """An import was given up; nothing of it was written. `line` counts from 1, 0 for none."""

    def __init__(self, reason: str, *, line: int = 0) -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.reason = reason
        self.line = line


class CopyDiffers(StoreError):
    """A copied store is not what it was copied from; `streams` names some that differ."""

    def __init__(self, streams: tuple[str, ...], *, count: int) -> None:
        super().__init__(f"{count} sessions differ in the copy, {', '.join(streams)} among them")
        self.streams = streams
        self.count = count


class StreamError(MooringError):
    """A subscription could not begin, or has ended."""


class BeyondNewest(StreamError):
    """The subscriber asked to go on from an event that does not exist."""

    def __init__(self, stream: str, *, after: int, newest_seq: int) -> None:
        super().__init__(f"{stream} is at {newest_seq}; there is nothing after {after}")
        self.stream = stream
        self.after = after
        self.newest_seq = newest_seq


class TooManySubscribers(StreamError):
    """The stream, or the whole server, has as many subscribers as it may have."""

    def __init__(self, scope: str, *, limit: int) -> None:
        super().__init__(f"{scope} already has {limit} subscribers")
        self.scope = scope
        self.limit = limit


class StreamEnded(StreamError):
    """Everything has been delivered and nothing will follow; `reason` says why."""

    def __init__(self, stream: str, *, reason: str) -> None:
        super().__init__(f"{stream} has ended: {reason}")
        self.stream = stream
        self.reason = reason
