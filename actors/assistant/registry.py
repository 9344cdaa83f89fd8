"""The registry of conversations: brings them to memory, and lets them leave it.

A conversation that idles leaves; what comes for it meanwhile is kept and given to its next
activation. How many are in memory is bounded by how many are in use.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from actors.assistant.commands import Command
from actors.assistant.decider import stream_of
from actors.assistant.session import ConversationActor, Delete, Idle, Leave, Staying, Wake
from engine import DEFERRED, Actor, ActorEnded, ActorPolicy, ActorRef, Reply, Restart, Supervisor

_POLICY: Final = ActorPolicy(restart=Restart.TEMPORARY, inbox_capacity=256)


class ToConversation(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ask a conversation, in memory or not; it answers `message` itself."""

    session_id: str
    message: Command | Delete | Wake


Build = Callable[[str, ActorRef], ConversationActor]


class ConversationRegistry(Actor):
    """Knows which conversations are in memory.

    Args:
        build: makes the actor of a conversation, given its id and this registry.
        sessions: the supervisor that they live in.
    """

    def __init__(self, build: Build, *, sessions: Supervisor) -> None:
        self._build = build
        self._sessions = sessions
        self._refs: dict[str, ActorRef] = {}
        self._kept: dict[str, deque[tuple[Reply, Any]]] = {}  # of those that are leaving

    def handle(self, message: Any) -> Any:
        match message:
            case ToConversation(session_id=session_id, message=inner):
                self._pass_on(session_id, self.defer(), inner)
                return DEFERRED
            case Idle(session_id=session_id):
                self._let_leave(session_id)
            case Staying(session_id=session_id):
                self._give_kept(session_id)
            case ActorEnded(address=address):
                session_id = address.partition("/")[2]
                self._refs.pop(session_id, None)
                self._give_kept(session_id)
            case _:
                raise TypeError(f"{self.ref.address} does not know {message!r}")
        return None

    def _pass_on(self, session_id: str, reply: Reply, message: Any) -> None:
        if session_id in self._kept:
            self._kept[session_id].append((reply, message))
            return
        ref = self._refs.get(session_id)
        if ref is None:
            ref = self._activate(session_id)
        reply.forward(ref, message)

    def _activate(self, session_id: str) -> ActorRef:
        registry = self.ref
        ref = self._sessions.spawn(
            lambda: self._build(session_id, registry),
            stream_of(session_id),
            policy=_POLICY,
            watcher=registry,
        )
        self._refs[session_id] = ref
        return ref

    def _let_leave(self, session_id: str) -> None:
        ref = self._refs.get(session_id)
        if ref is not None and session_id not in self._kept:
            self._kept[session_id] = deque()
            ref.signal(Leave())

    def _give_kept(self, session_id: str) -> None:
        for reply, message in self._kept.pop(session_id, ()):
            self._pass_on(session_id, reply, message)
