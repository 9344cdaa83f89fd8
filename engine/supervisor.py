"""The supervisor: starts actors, restarts them by policy, stops them in order."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import trio

from engine.cell import Build, Cell
from engine.clock import Clock, SystemClock
from engine.deadlines import Deadlines
from engine.errors import AddressTaken, SupervisorStopping
from engine.inbox import Inbox
from engine.policy import DEFAULT_POLICY, ActorPolicy
from engine.ref import ActorRef

_LOG: Final = logging.getLogger("mooring.engine")


class SupervisorStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor holds now, and what it has seen."""

    name: str
    actors: int
    restarts: int
    crashes: int
    stopping: bool


class Supervisor:
    """Runs actors in one nursery; made by `open_supervisor`."""

    def __init__(
        self, name: str, nursery: trio.Nursery, deadlines: Deadlines, clock: Clock
    ) -> None:
        self.name = name
        self.deadlines = deadlines
        self.clock = clock
        self._nursery = nursery
        self._cells: dict[str, Cell] = {}
        self._stopping = False
        self._empty: trio.Event | None = None
        self._restarts = 0
        self._crashes = 0

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
        ref = ActorRef(inbox, self.deadlines)
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
        clean-up takes.
        """
        cell = self._cells.get(ref.address)
        if cell is None or cell.ref is not ref:
            await trio.lowlevel.checkpoint()
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
        if self._cells:
            self._empty = trio.Event()
            await self._empty.wait()

    def statistics(self) -> SupervisorStatistics:
        return SupervisorStatistics(
            name=self.name,
            actors=len(self._cells),
            restarts=self._restarts,
            crashes=self._crashes,
            stopping=self._stopping,
        )

    # -- for cells -----------------------------------------------------------------------------

    def forget(self, cell: Cell) -> None:
        """A cell has ended; its address is free again."""
        del self._cells[cell.inbox.address]
        if self._empty is not None and not self._cells:
            self._empty.set()

    def report(self, address: str, what: str, error: BaseException | None) -> None:
        """Count and log what went wrong in a cell."""
        self._crashes += error is not None
        self._restarts += what == "restarting"
        _LOG.error("%s: %s", address, what, exc_info=error)


@asynccontextmanager
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
        parent: the supervisor whose deadlines and clock this one shares; None for a root.
        clock: a root's clock, default the system's.

    Raises:
        RestartLimitReached: in an exception group; an actor exceeded its policy, and so the block
            was cancelled and its other actors were stopped.
    """
    if parent is not None:
        async with _open(name, parent.deadlines, parent.clock, grace_s, shutdown_timeout_s) as it:
            yield it
        return
    deadlines = Deadlines()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deadlines.run, name=f"{name}/deadlines")
        own_clock = clock or SystemClock()
        async with _open(name, deadlines, own_clock, grace_s, shutdown_timeout_s) as it:
            yield it
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def _open(
    name: str, deadlines: Deadlines, clock: Clock, grace_s: float, timeout_s: float
) -> AsyncIterator[Supervisor]:
    async with trio.open_nursery() as nursery:
        supervisor = Supervisor(name, nursery, deadlines, clock)
        try:
            yield supervisor
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + timeout_s):
                await supervisor.stop_all(grace_s=grace_s)
            nursery.cancel_scope.cancel()
