"""Durable actors by name: brought to memory by the first message, let go when they idle.

Whoever asks one does not know whether it is in memory. What comes for one that is leaving is kept
and given to its next activation. How many are in memory is bounded by how many are in use.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from engine.actor import DEFERRED, Actor
from engine.cell import ActorEnded
from engine.clock import Clock
from engine.durable import DurableActor
from engine.errors import anew
from engine.policy import ActorPolicy, Restart
from engine.ref import ActorRef
from engine.reply import Reply
from engine.supervisor import Supervisor, SupervisorStatistics, open_supervisor

S = TypeVar("S")
C_contra = TypeVar("C_contra", contravariant=True)
E = TypeVar("E")

_ACTIVATED: Final = ActorPolicy(restart=Restart.TEMPORARY, inbox_capacity=256)
_REGISTRY: Final = ActorPolicy(restart=Restart.PERMANENT, inbox_capacity=8192)
_SHUTDOWN_S: Final = 5.0
# One that does not exist stays for who may be about to make it.
_NOTHING_IDLE_S: Final = 1.0


class To(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask the actor of an id, in memory or not; it answers `message` itself."""

    id: str
    message: Any


class Wake(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Come back to memory and go on with what is due or unfinished; answered with None."""


class Idle(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signalled to the registry: this actor has nothing to do and may leave memory."""

    id: str


class Leave(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signalled by the registry, which from now on keeps what comes for it: leave, or stay."""


class Staying(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Signalled to the registry: something came before `Leave`, so this actor stays."""

    id: str


class _IdleTimer(msgspec.Struct, frozen=True):
    pass


class ActivatedActor(DurableActor[S, C_contra, E]):
    """A durable actor that leaves memory when it has been idle, and is activated again.

    A subclass implements `obey` for its messages and says in `busy` what keeps it here.

    Attributes:
        idle_timeout_s: how long it stays in memory after its last message.
        registry: who brings it back; given before it starts.
    """

    idle_timeout_s: float = 60.0
    registry: ActorRef

    @property
    def id(self) -> str:
        """The part of the stream's name behind its kind."""
        return self.stream.partition("/")[2]

    # -- for subclasses ------------------------------------------------------------------------

    def obey(self, message: Any) -> Any:
        """Handle a message of the actor's own; as `Actor.handle`."""
        raise TypeError(f"{self.ref.address} does not know {message!r}")

    def woken(self) -> None:
        """Called when a `Wake` has come: something was due."""

    @property
    def busy(self) -> bool:
        """True while it must not leave memory."""
        return not self.quiet

    def idled(self) -> None:
        """Called when nothing has come for `idle_timeout_s`; ends in `let_go`."""
        self.let_go()

    def let_go(self) -> None:
        """Tell the registry that this actor may leave."""
        self.registry.signal(Idle(id=self.id))

    # -- the actor -----------------------------------------------------------------------------

    async def on_start(self) -> None:
        await super().on_start()
        self.restart_idle_timer()
        if self.refusing is not None:
            self.let_go()  # stays for what is in its inbox already; the next one may be luckier

    def handle(self, message: Any) -> Any:
        match message:
            case Leave():
                self._leave()
            case _IdleTimer():
                self._idle()
            case Wake() if self.refusing is not None:
                pass  # its owner wakes it, or whoever is woken once the store is back
            case _ if self.refusing is not None:
                raise anew(self.refusing)
            case Wake():
                self.restart_idle_timer()
                self.woken()
            case _ if self.is_own(message):
                return super().handle(message)
            case _:
                self.restart_idle_timer()
                return self.obey(message)
        return None

    def restart_idle_timer(self) -> None:
        """Begin to count idleness anew."""
        idle_s = self.idle_timeout_s
        if self.state is None:
            idle_s = min(idle_s, _NOTHING_IDLE_S)
        self.set_timer("engine.idle", idle_s, _IdleTimer())

    def _leave(self) -> None:
        if self.busy:
            self.registry.signal(Staying(id=self.id))
            self.restart_idle_timer()
        else:
            self.stop()

    def _idle(self) -> None:
        if self.busy:
            self.restart_idle_timer()
        else:
            self.idled()


Build: TypeAlias = Callable[[str], ActivatedActor[Any, Any, Any]]


class ActivationRegistry(Actor):
    """Knows which actors of one kind are in memory.

    Args:
        kind: what their streams and addresses begin with.
        build: makes the actor of an id.
        within: the supervisor that they live in.
    """

    def __init__(self, kind: str, build: Build, *, within: Supervisor) -> None:
        self._kind = kind
        self._build = build
        self._within = within
        self._refs: dict[str, ActorRef] = {}
        self._kept: dict[str, deque[tuple[Reply, Any]]] = {}  # of those that are leaving

    def handle(self, message: Any) -> Any:
        match message:
            case To(id=id_, message=inner):
                self._pass_on(id_, self.defer(), inner)
                return DEFERRED
            case Idle(id=id_):
                self._let_leave(id_)
            case Staying(id=id_):
                self._give_kept(id_)
            case ActorEnded(address=address):
                id_ = address.partition("/")[2]
                self._refs.pop(id_, None)
                self._give_kept(id_)
            case _:
                raise TypeError(f"{self.ref.address} does not know {message!r}")
        return None

    def _pass_on(self, id_: str, reply: Reply, message: Any) -> None:
        if id_ in self._kept:
            self._kept[id_].append((reply, message))
            return
        ref = self._refs.get(id_)
        if ref is None:
            ref = self._activate(id_)
        reply.forward(ref, message)

    def _activate(self, id_: str) -> ActorRef:
        ref = self._within.spawn(
            lambda: self._make(id_), f"{self._kind}/{id_}", policy=_ACTIVATED, watcher=self.ref
        )
        self._refs[id_] = ref
        return ref

    def _make(self, id_: str) -> Actor:
        actor = self._build(id_)
        actor.registry = self.ref
        return actor

    def _let_leave(self, id_: str) -> None:
        ref = self._refs.get(id_)
        if ref is not None and id_ not in self._kept:
            self._kept[id_] = deque()
            ref.signal(Leave())

    def _give_kept(self, id_: str) -> None:
        for reply, message in self._kept.pop(id_, ()):
            self._pass_on(id_, reply, message)


class ActivationStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Who of one kind is in memory."""

    kind: str
    in_memory: int
    supervisors: tuple[SupervisorStatistics, ...]


class Activations(msgspec.Struct, frozen=True, kw_only=True):
    """The door to all actors of one kind."""

    kind: str
    registry: ActorRef
    supervisors: tuple[Supervisor, Supervisor]  # of the registry, and of what it activates

    def statistics(self) -> ActivationStatistics:
        """Return what there is now."""
        registry, within = (each.statistics() for each in self.supervisors)
        return ActivationStatistics(
            kind=self.kind, in_memory=within.actors, supervisors=(registry, within)
        )

    async def ask(self, id_: str, message: Any, *, timeout_s: float = 30.0) -> Any:
        """Ask the actor of an id, in memory or not; raises as `ActorRef.ask` does."""
        return await self.registry.ask(To(id=id_, message=message), timeout_s=timeout_s)

    async def wake(self, id_: str) -> None:
        """Let the actor go on with what is due; raises as `ActorRef.ask` does."""
        await self.ask(id_, Wake())


@asynccontextmanager
async def open_activations(
    kind: str, build: Build, *, clock: Clock, drain_s: float = 2.0
) -> AsyncIterator[Activations]:
    """Open the actors of one kind for the length of a block.

    Args:
        build: makes the actor of an id.
        drain_s: what their jobs get at the end; what is not finished then is found by the next
            activation.
    """
    async with (
        open_supervisor(f"{kind} registry", clock=clock, shutdown_timeout_s=_SHUTDOWN_S) as outer,
        open_supervisor(
            kind, parent=outer, grace_s=drain_s, shutdown_timeout_s=drain_s + _SHUTDOWN_S
        ) as inner,
    ):
        registry = outer.spawn(
            lambda: ActivationRegistry(kind, build, within=inner),
            f"registry/{kind}",
            policy=_REGISTRY,
        )
        yield Activations(kind=kind, registry=registry, supervisors=(outer, inner))
