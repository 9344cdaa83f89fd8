"""Actors whose state is their log: commit, then evolve, then publish, then reply.

What was answered is durable and on the stream. While a commit is under way the actor takes no
ordinary message; commands of its own (ends of jobs, timers) wait in line behind it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from engine.actor import DEFERRED, Actor, JobEnded, StopReason
from engine.clock import Clock
from engine.errors import AliasTaken, DomainError, OwnershipLost, StoreUnavailable, anew
from engine.ownership import NotOwner, Ownership, Tenure
from engine.reply import Reply
from engine.store import CatalogueRow, Claim, Commit, Event, Snapshot, Store

S = TypeVar("S")
C_contra = TypeVar("C_contra", contravariant=True)
E = TypeVar("E")

_COMMIT: Final = "engine.commit"
_PAGE: Final = 500
_RETRY_S: Final = 0.5
_RETRY_MAX_S: Final = 10.0
_AWAY: Final = "the store is not available; try again"


class NotRecorded(DomainError):
    """The store could not take it; nothing has changed, and it may be asked again."""


class AliasHeld(DomainError):
    """Another stream already holds an alias that the command would claim."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"{holder} came first")
        self.holder = holder


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """Where a durable actor's events go.

    Attributes:
        epoch: of this start of the server; fences off any earlier one.
        publish: called with a stream and its new events right after their commit.
        end: called with a stream that is over, and why; its subscribers are told.
        ownership: which streams this node may write to; None where nobody else could.
    """

    store: Store
    epoch: int
    publish: Callable[[str, Sequence[Event]], None]
    end: Callable[[str, str], None]
    ownership: Ownership | None = None


class Decider(Protocol[S, C_contra, E]):
    """The pure part of a durable actor; see `DurableActor`."""

    def decide(self, state: S | None, command: C_contra, clock: Clock) -> Sequence[E]:
        """Return the events that the command causes; raise a `DomainError` to refuse."""
        ...

    def evolve(self, state: S | None, event: E) -> S:
        """Return the state after an event."""
        ...

    def encode(self, event: E) -> Event:
        """Return the event as it is stored and sent."""
        ...

    def decode(self, event: Event) -> E:
        """Return the event that was stored."""
        ...

    def row(self, state: S) -> CatalogueRow:
        """Return what lists show of the state."""
        ...

    def claims(self, before: S | None, after: S) -> Sequence[Claim]:
        """Return the aliases that are claimed as the state changes so."""
        ...

    def releases(self, before: S | None, after: S) -> Sequence[str]:
        """Return the aliases that are given up as the state changes so."""
        ...

    def snapshot(self, state: S) -> bytes:
        """Return the state in one piece."""
        ...

    def restore(self, body: bytes) -> S | None:
        """Return the state of a snapshot; None when it cannot be read, and the log must be."""
        ...


class _Pending(Generic[S]):
    __slots__ = ("answer", "command", "failures", "reply")

    def __init__(
        self, command: Any, reply: Reply | None, answer: Callable[[S], Any] | None
    ) -> None:
        self.command = command
        self.reply = reply  # None for the actor's own: those are tried until they are recorded
        self.answer = answer
        self.failures = 0


class _TryAgain(msgspec.Struct, frozen=True):
    pass


class DurableActor(Actor, Generic[S, C_contra, E]):
    """An actor that is its stream: what it knows is what was committed.

    A subclass turns messages into commands and hands them to `submit`. A commit refused by the
    store for another reason than its being unavailable is a crash: somebody else has written, and
    what this actor knows is void. Where several nodes share the store, it lives only as long as
    its stream is this node's.

    Args:
        stream: the log's name, `kind/id`.
        decider: the pure part.
        log: where events go.
        clock: wall time and ids.
        snapshot_every: a snapshot is written with every so many events.
    """

    def __init__(
        self,
        stream: str,
        decider: Decider[S, C_contra, E],
        *,
        log: Log,
        clock: Clock,
        snapshot_every: int = 100,
    ) -> None:
        self.stream = stream
        self.clock = clock
        self.state: S | None = None
        self.seq = 0
        self.refusing: DomainError | None = None  # why it takes no command, and knows no state
        self._decider = decider
        self._log = log
        self._epoch = log.epoch
        self._tenure: Tenure | None = None
        self._snapshot_every = snapshot_every
        self._snapshot_seq = 0
        self._line: deque[_Pending[S]] = deque()
        self._waiting_to_retry = False
        self._writing: tuple[_Pending[S], S, Sequence[E], tuple[Event, ...]] | None = None

    # -- for subclasses ------------------------------------------------------------------------

    def submit(
        self,
        command: C_contra,
        answer: Callable[[S], Any] | None = None,
        *,
        reply: Reply | None = None,
    ) -> Any:
        """Decide the ask in hand, or the deferred one of `reply`; return this from the handler.

        `answer` is called with the state once the events are durable, and makes the answer.
        """
        if self.refusing is not None:
            raise anew(self.refusing)
        self._line.append(_Pending(command, reply or self.defer(), answer))
        self._go_on()
        return DEFERRED

    def submit_own(self, command: C_contra) -> None:
        """Decide a command of the actor's own; tried again until the store takes it."""
        self._line.append(_Pending(command, None, None))
        self._go_on()

    def changed(self, events: Sequence[E]) -> None:
        """Called after each commit, when state and stream are up to date and the asker answered."""

    async def erase(self) -> None:
        """Remove the log, as a job of the actor: afterwards it is as if it had never been.

        Raises:
            StoreError: it is still there.
        """
        await self._log.store.erase(self.stream, epoch=self._epoch)
        self.state, self.seq, self._snapshot_seq = None, 0, 0

    @property
    def epoch(self) -> int:
        """What commits to this stream are written under."""
        return self._epoch

    @property
    def quiet(self) -> bool:
        """True when no command waits or is being written."""
        return self._writing is None and not self._line

    # -- the actor -----------------------------------------------------------------------------

    async def on_start(self) -> None:
        """Take the stream and load it; what comes is refused when either cannot be had now."""
        try:
            await self._take()
            await self._load()
        except NotOwner as elsewhere:
            self.refusing = elsewhere
        except StoreUnavailable:
            self.state, self.refusing = None, NotRecorded(_AWAY)

    async def on_stop(self, reason: StopReason) -> None:
        """Let the stream go. A subclass calls this last."""
        if self._tenure is not None and self._log.ownership is not None:
            self._log.ownership.let_go(self._tenure)

    async def _take(self) -> None:
        if self._log.ownership is not None:
            self._tenure = await self._log.ownership.take(self.stream)
            self._epoch = self._tenure.epoch
            self.live_within(self._tenure.scope)

    async def _load(self) -> None:
        loaded = await self._log.store.load(self.stream)
        after = 0
        if loaded.snapshot is not None:
            self.state = self._decider.restore(loaded.snapshot.body)
            if self.state is not None:
                after = self._snapshot_seq = loaded.snapshot.seq
        while after < loaded.seq:
            page = await self._log.store.read(self.stream, after=after, limit=_PAGE)
            events = map(self._decider.decode, page.events)
            self.state = reduce(self._decider.evolve, events, self.state)
            after = page.through
        self.seq = loaded.seq

    @staticmethod
    def is_own(message: Any) -> bool:
        """Tell whether a message is this class's, and no use of the actor."""
        return isinstance(message, _TryAgain)

    def handle(self, message: Any) -> Any:
        if self.is_own(message):
            self._waiting_to_retry = False
            self._go_on()
            return None
        raise TypeError(f"{self.ref.address} does not know {message!r}")

    def handle_job_end(self, end: JobEnded) -> None:
        if end.name != _COMMIT or self._writing is None:
            super().handle_job_end(end)
            return
        pending, state, decided, stored = self._writing
        self._writing = None
        self.resume()
        if end.error is None and not end.cancelled:
            self.state, self.seq = state, self.seq + len(stored)
            self._log.publish(self.stream, stored)
            self._answer(pending, state)
            self.changed(decided)
        elif isinstance(end.error, AliasTaken):
            self._refuse(pending, AliasHeld(end.error.holder))
        elif end.cancelled or isinstance(end.error, StoreUnavailable):
            self._not_recorded(pending)
        elif isinstance(end.error, OwnershipLost) and self._tenure is not None:
            self._lose(pending, self._tenure)
        elif end.error is not None:
            raise end.error
        self._go_on()

    # -- one command after the other -----------------------------------------------------------

    def _go_on(self) -> None:
        while self._writing is None and self._line and not self._waiting_to_retry:
            self._decide(self._line.popleft())

    def _decide(self, pending: _Pending[S]) -> None:
        decider = self._decider
        try:
            events = decider.decide(self.state, pending.command, self.clock)
        except DomainError as refusal:
            self._refuse(pending, refusal)
            return
        if not events:
            if self.state is not None:
                self._answer(pending, self.state)
            return
        state = reduce(decider.evolve, events, self.state)
        assert state is not None  # noqa: S101 - evolve never gives None
        stored = tuple(map(decider.encode, events))
        self._writing = pending, state, events, stored
        self.pause()
        self.start_job(_COMMIT, self._write, self._commit(state, stored))

    def _commit(self, state: S, stored: tuple[Event, ...]) -> Commit:
        decider, snapshot = self._decider, None
        newest = self.seq + len(stored)
        if newest - self._snapshot_seq >= self._snapshot_every:
            snapshot = Snapshot(seq=newest, body=decider.snapshot(state))
        return Commit(
            stream=self.stream,
            epoch=self._epoch,
            expected_seq=self.seq,
            events=stored,
            snapshot=snapshot,
            row=decider.row(state),
            claims=decider.claims(self.state, state),
            releases=decider.releases(self.state, state),
        )

    async def _write(self, commit: Commit) -> None:
        await self._log.store.commit(commit)
        if commit.snapshot is not None:
            self._snapshot_seq = commit.snapshot.seq

    def _answer(self, pending: _Pending[S], state: S) -> None:
        if pending.reply is not None:
            pending.reply.answer(None if pending.answer is None else pending.answer(state))

    def _refuse(self, pending: _Pending[S], error: DomainError) -> None:
        if pending.reply is not None:
            pending.reply.refuse(error)

    def _lose(self, pending: _Pending[S], tenure: Tenure) -> None:
        """The stream is another node's: nothing of this was written, and nothing more will be."""
        assert self._log.ownership is not None  # noqa: S101 - it has given the tenure
        self.refusing = self._log.ownership.lost(tenure)
        for one in (pending, *self._line):
            self._refuse(one, anew(self.refusing))
        self._line.clear()

    def _not_recorded(self, pending: _Pending[S]) -> None:
        """Tell the asker, who may ask again; the actor's own commands are tried until they hold."""
        if pending.reply is not None:
            self._refuse(pending, NotRecorded(_AWAY))
        elif not self.stopping:
            pending.failures += 1
            self._line.appendleft(pending)
            self._waiting_to_retry = True
            delay_s = min(_RETRY_S * 2.0 ** (pending.failures - 1), _RETRY_MAX_S)
            self.set_timer("engine.retry", delay_s, _TryAgain())
