"""The supervisor: starts actors, restarts them by policy, stops them in order."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import trio
from trio.lowlevel import checkpoint, enable_ki_protection

from engine.cell import Build, Cell
from engine.clock import Clock, SystemClock
from engine.deadlines import Deadlines
from engine.errors import AddressTaken, RestartLimitReached, SupervisorStopping
from engine.inbox import Inbox
from engine.policy import DEFAULT_POLICY, ActorPolicy
from engine.ref import ActorRef, Pace, new_pace

_LOG: Final = logging.getLogger("mooring.engine")


class SupervisorStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor holds now, and what it has seen.

    Attributes:
        inbox_depth: messages not yet begun, in the inboxes of all its actors together.
        deepest_inbox: those in the fullest one.
    """

    name: str
    actors: int
    restarts: int
    crashes: int
    stopping: bool
    inbox_depth: int
    deepest_inbox: int


class Supervisor:
    """Runs actors in one nursery; made by `open_supervisor`.

    The nursery is shielded: a cancelled block ends its actors as every other block does, by a stop,
    so that an inner supervisor's actors have ended before the outer one's are asked to.
    """

    def __init__(
        self, name: str, block: trio.Nursery, *, parent: Supervisor | None, clock: Clock | None
    ) -> None:
        self.name = name
        self.deadlines: Deadlines = Deadlines() if parent is None else parent.deadlines
        self.clock: Clock = clock or (SystemClock() if parent is None else parent.clock)
        self._pace: Pace = new_pace() if parent is None else parent._pace
        self._owns_deadlines = parent is None
        self._block = block
        self._life = trio.CancelScope(shield=True)
        self._opened = trio.Event()
        self._nursery: trio.Nursery
        self._cells: dict[str, Cell] = {}
        self._stopping = False
        self._empty: trio.Event | None = None
        self._restarts = 0
        self._crashes = 0

    @enable_ki_protection
    def spawn(
        self,
        build: Build,
        address: str,
        *,
        policy: ActorPolicy = DEFAULT_POLICY,
        watcher: ActorRef | None = None,
    ) -> ActorRef:
        """Start the actor that `build` makes, and return its ref at once.

        `build` is called again for each restart. Messages may be sent before it has started. The
        watcher gets an `ActorEnded` signal when the actor has ended for good.

        Raises:
            AddressTaken: an actor runs there.
            SupervisorStopping: nothing is started any more.
        """
        if self._stopping:
            raise SupervisorStopping(self.name)
        if address in self._cells:
            raise AddressTaken(address)
        inbox = Inbox(address, policy.inbox_capacity)
        ref = ActorRef(inbox, self.deadlines, self._pace)
        cell = Cell(build, inbox=inbox, ref=ref, policy=policy, supervisor=self, watcher=watcher)
        self._cells[address] = cell
        self._nursery.start_soon(cell.run, name=address)
        return ref

    def lookup(self, address: str) -> ActorRef | None:
        """Return the ref of a running actor."""
        cell = self._cells.get(address)
        return None if cell is None else cell.ref

    def stop_soon(self, ref: ActorRef, *, grace_s: float = 0.0) -> None:
        """Ask an actor to stop: accept nothing more, finish what is begun within `grace_s`."""
        cell = self._cells.get(ref.address)
        if cell is not None and cell.ref is ref:
            cell.ask_to_stop(grace_s)

    async def stop(self, ref: ActorRef, *, grace_s: float = 0.0) -> None:
        """Stop an actor, and return when it has ended; one that has is fine.

        Takes at most `grace_s` plus the policy's `stop_timeout_s` plus what its jobs' own
        clean-up takes. An `on_start` under way is cancelled after `grace_s`.
        """
        cell = self._cells.get(ref.address)
        if cell is None or cell.ref is not ref:
            await checkpoint()
            return
        cell.ask_to_stop(grace_s)
        if cell.ended is None:
            cell.ended = trio.Event()
        await cell.ended.wait()

    async def stop_all(self, *, grace_s: float = 0.0) -> None:
        """Start nothing more, stop all actors at once, and return when the last has ended."""
        self._stopping = True
        for cell in tuple(self._cells.values()):
            cell.ask_to_stop(grace_s)
        if self._empty is None:
            self._empty = trio.Event()
        if not self._cells:
            self._empty.set()
        await self._empty.wait()

    @property
    def stopping(self) -> bool:
        """True once nothing is started any more."""
        return self._stopping

    def statistics(self) -> SupervisorStatistics:
        """Return what it holds; looks at every actor."""
        depths = [len(cell.inbox.lane or ()) for cell in self._cells.values()]
        return SupervisorStatistics(
            name=self.name,
            actors=len(self._cells),
            restarts=self._restarts,
            crashes=self._crashes,
            stopping=self._stopping,
            inbox_depth=sum(depths),
            deepest_inbox=max(depths, default=0),
        )

    # -- for cells -----------------------------------------------------------------------------

    def forget(self, cell: Cell) -> None:
        """A cell has ended; its address is free again."""
        del self._cells[cell.inbox.address]
        if self._empty is not None and not self._cells:
            self._empty.set()

    def count_crash(self) -> None:
        self._crashes += 1

    def count_restart(self) -> None:
        self._restarts += 1

    def report(self, event: str, error: BaseException | None, **fields: str) -> None:
        """Log what went wrong in a cell."""
        _LOG.error(event, exc_info=error, extra=fields)

    def escalate(self, limit: RestartLimitReached) -> None:
        """Cancel the block; its actors are stopped as it unwinds."""
        self._block.start_soon(_raise, limit)

    # -- for open_supervisor -------------------------------------------------------------------

    @enable_ki_protection
    async def run(self) -> None:
        """Keep the nursery that the actors live in open, until `close`."""
        try:
            with self._life:
                async with trio.open_nursery() as self._nursery:
                    if self._owns_deadlines:
                        name = f"{self.name}/deadlines"
                        self._nursery.start_soon(self.deadlines.run, name=name)
                    self._opened.set()
                    await trio.sleep_forever()
        finally:
            self._stopping = True

    async def wait_opened(self) -> None:
        with trio.CancelScope(shield=True):
            await self._opened.wait()

    def close(self) -> None:
        """Cancel what has not ended by now."""
        self._life.cancel()


async def _raise(error: Exception) -> None:
    raise error


@asynccontextmanager
@enable_ki_protection  # of opening and closing; the block itself is the caller's
async def open_supervisor(
    name: str,
    *,
    parent: Supervisor | None = None,
    clock: Clock | None = None,
    grace_s: float = 0.0,
    shutdown_timeout_s: float = 30.0,
) -> AsyncIterator[Supervisor]:
    """Open a supervisor for the length of a block.

    Supervisors nest as blocks do: one opened inside another is stopped before it. At the end of the
    block, however it ends, all actors are stopped at once, with `grace_s` for what they have begun;
    what has not ended after `shutdown_timeout_s` is cancelled. No task is left afterwards.

    Args:
        parent: the supervisor in whose block this one is opened, and whose table of deadlines it
            shares; None for a root.
        clock: where time, ids and randomness come from; default the parent's, or the system's.

    Raises:
        RestartLimitReached: in an exception group; an actor exceeded its policy, and so the block
            was cancelled and its other actors were stopped.
    """
    async with trio.open_nursery() as block:
        supervisor = Supervisor(name, block, parent=parent, clock=clock)
        block.start_soon(supervisor.run, name=name)
        try:
            await supervisor.wait_opened()
            yield supervisor
        finally:
            try:
                deadline = trio.current_time() + shutdown_timeout_s
                with trio.CancelScope(shield=True, deadline=deadline):
                    await supervisor.stop_all(grace_s=grace_s)
            finally:
                supervisor.close()
