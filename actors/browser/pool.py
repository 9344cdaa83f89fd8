"""The pool: gives contexts to sessions, keeps a warm one ready, and replaces what dies.

One actor owns the table of Chromium processes and contexts. It never waits: launching, opening and
closing are jobs of the Chromium actors, and arrive here as signals.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
import trio

from actors.browser.chromium_actor import (
    ChromiumActor,
    ChromiumDown,
    ChromiumGone,
    ChromiumUp,
    CloseContext,
    ContextFailed,
    ContextOpened,
    OpenContext,
)
from actors.browser.errors import BrowserUnavailable
from actors.browser.launching import Launching
from actors.browser.placement import Placement, PlacementSettings, Process
from actors.browser.pool_messages import (
    AskPoolStatistics,
    ContextLost,
    PoolStatistics,
    RegainContext,
    ReturnContext,
    TakeContext,
)
from engine import DEFERRED, Actor, ActorEnded, ActorRef, Reply, StopReason, Supervisor

_ADDRESS_BITS: Final = 48


class _Gone(msgspec.Struct, frozen=True):
    number: int


class _Retry(msgspec.Struct, frozen=True):
    pass


class _Taker(NamedTuple):
    reply: Reply
    owner: ActorRef


Launch = Callable[[ActorRef], ChromiumActor]


class BrowserPool(Actor):
    """Owns every Chromium.

    Args:
        settings: how contexts are placed.
        launch: makes the actor of one more Chromium, given the pool's ref.
        supervisor: where those actors live.
    """

    def __init__(
        self, settings: PlacementSettings, *, launch: Launch, supervisor: Supervisor
    ) -> None:
        self._placement = Placement(settings)
        self._launch = launch
        self._supervisor = supervisor
        self._processes: dict[str, Process] = {}
        self._refs: dict[str, ActorRef] = {}
        self._homes: dict[str, str] = {}  # context -> process
        self._owners: dict[str, ActorRef] = {}  # of contexts that are taken
        self._spare: str | None = None
        self._takers: dict[int, _Taker] = {}
        self._regainers: dict[str, deque[Reply]] = {}
        self._taken = 0
        self._launching = Launching()

    async def on_start(self) -> None:
        self._supply()

    async def on_stop(self, reason: StopReason) -> None:
        # Without their pool nobody could use them, and nobody would end them.
        for ref in self._refs.values():
            self._supervisor.stop_soon(ref)

    def handle(self, message: Any) -> Any:
        match message:
            case TakeContext():
                return self._take(message)
            case RegainContext():
                return self._regain(message.context_id)
            case ReturnContext():
                self._dispose(message.context_id)
            case AskPoolStatistics():
                return self._statistics()
            case _Gone():
                self._takers.pop(message.number, None)
            case _Retry():
                self._launching.retry()
            case ActorEnded():
                # Its `ChromiumGone` came before, unless it crashed.
                self._process_gone(message.address, "crashed")
            case _:
                self._hear(message)
        self._supply()
        return None

    def _hear(self, message: Any) -> None:
        match message:
            case ChromiumUp():
                self._process_up(message)
            case ChromiumDown():
                self._process_down(message.address)
            case ChromiumGone():
                self._process_gone(message.address, message.cause)
            case ContextOpened():
                self._context_opened(message)
            case ContextFailed():
                self._context_failed(message)
            case _:
                raise TypeError(f"{self.ref.address} does not know {message!r}")

    # -- sessions ------------------------------------------------------------------------------

    def _take(self, message: TakeContext) -> Any:
        if self._spare is not None:
            context_id, self._spare = self._spare, None
            self._owners[context_id] = message.owner
            self._supply()
            return context_id
        self._taken += 1
        reply = self.defer(on_gone=_Gone(self._taken))
        self._takers[self._taken] = _Taker(reply, message.owner)
        self._supply()
        return DEFERRED

    def _regain(self, context_id: str) -> Any:
        process = self._processes.get(self._homes.get(context_id, ""))
        if process is None:
            return False
        if process.up:
            return True
        self._regainers.setdefault(context_id, deque()).append(self.defer())
        return DEFERRED

    def _dispose(self, context_id: str) -> None:
        self._owners.pop(context_id, None)
        address = self._drop(context_id)
        if address is not None:
            self._refs[address].signal(CloseContext(context_id=context_id))

    # -- processes -----------------------------------------------------------------------------

    def _process_up(self, message: ChromiumUp) -> None:
        process = self._processes.get(message.address)
        if process is None:
            return
        process.up = True
        for context_id in tuple(process.contexts):
            there = context_id in message.context_ids
            if not there:
                self._drop(context_id)
                self._owners.pop(context_id, None)
            self._answer_regainers(context_id, there=there)

    def _process_down(self, address: str) -> None:
        process = self._processes.get(address)
        if process is None:
            return
        process.up = False
        for context_id in tuple(process.contexts):
            if context_id == self._spare:
                self._dispose(context_id)
            elif context_id in self._owners:
                self._owners[context_id].signal(ContextLost(context_id=context_id))

    def _process_gone(self, address: str, cause: str) -> None:
        process = self._processes.get(address)
        if process is None:
            return
        self._process_down(address)
        for context_id in tuple(process.contexts):
            self._drop(context_id)
            self._owners.pop(context_id, None)
            self._answer_regainers(context_id, there=False)
        del self._processes[address], self._refs[address]
        if not process.proven and not process.failing:
            self._hold_back(cause)

    def _hold_back(self, cause: str) -> None:
        """A new Chromium was of no use: launch the next one only after a while."""
        delay_s = self._launching.failed(cause)
        if delay_s is not None:
            self.set_timer("retry", delay_s, _Retry())

    # -- contexts ------------------------------------------------------------------------------

    def _context_opened(self, message: ContextOpened) -> None:
        process = self._processes.get(message.address)
        if process is None:
            return
        process.opening -= 1
        process.proven = True
        self._launching.worked()
        context_id = message.context_id
        process.contexts[context_id] = None
        self._homes[context_id] = message.address
        while self._takers:
            taker = self._takers.pop(next(iter(self._takers)))
            if taker.reply.answer(context_id):
                self._owners[context_id] = taker.owner
                return
        if self._spare is None:
            self._spare = context_id
        else:
            self._dispose(context_id)

    def _context_failed(self, message: ContextFailed) -> None:
        process = self._processes.get(message.address)
        if process is None:
            return
        process.opening -= 1
        if not process.proven and not process.failing:
            self._hold_back(message.cause)
        process.failing = True

    def _drop(self, context_id: str) -> str | None:
        """Take a context out of the tables; returns the process that had it."""
        if context_id == self._spare:
            self._spare = None
        address = self._homes.pop(context_id, None)
        if address is not None:
            self._processes[address].contexts.pop(context_id, None)
        return address

    def _answer_regainers(self, context_id: str, *, there: bool) -> None:
        for reply in self._regainers.pop(context_id, ()):
            reply.answer(there)

    # -- supply --------------------------------------------------------------------------------

    def _supply(self) -> None:
        """Ask for the contexts that are wanted, and for the processes that they need."""
        now = trio.current_time()
        processes = self._processes.values()
        waiting = len(self._takers) - sum(process.opening for process in processes)
        spare = self._spare is None and self._placement.wants_spare(
            processes, used=len(self._owners) + len(self._takers), waiting=waiting, now=now
        )
        wanted = waiting + spare
        while wanted > 0:
            process = self._placement.choose(processes, now)
            if process is None:
                break
            process.opening += 1
            process.served += 1
            self._refs[process.address].signal(OpenContext())
            wanted -= 1
        homeless = wanted - self._placement.room(processes, now)
        if self._launching.hopeless:
            self._refuse_newest(homeless - spare)
        elif not self._launching.held_back:
            for _ in range(self._placement.launches(homeless)):
                self._launch_one(now)
        for process in self._placement.superfluous(
            processes, spare=self._spare is not None, now=now
        ):
            self._retire(process)

    def _refuse_newest(self, takers: int) -> None:
        for _ in range(takers):
            _, taker = self._takers.popitem()
            taker.reply.refuse(BrowserUnavailable(self._launching.cause))

    def _launch_one(self, now: float) -> None:
        # Never the address of another one: a restarted pool still hears of its predecessor's.
        address = f"chromium/{self._supervisor.clock.random_bits(_ADDRESS_BITS):012x}"
        self._processes[address] = Process(address=address, born_at=now)
        pool = self.ref
        self._refs[address] = self._supervisor.spawn(
            lambda: self._launch(pool), address, watcher=pool
        )

    def _retire(self, process: Process) -> None:
        self._supervisor.stop_soon(self._refs.pop(process.address))
        del self._processes[process.address]

    def _statistics(self) -> PoolStatistics:
        no_spare = self._spare is None
        return PoolStatistics(
            processes=len(self._processes),
            contexts=len(self._owners),
            spare=not no_spare,
            waiting=len(self._takers),
            failing=self._launching.cause if self._launching.failing and no_spare else "",
        )
