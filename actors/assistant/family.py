"""The family of conversations, put together: registry, conversations, and what wakes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import structlog
import trio

from actors.assistant.decider import KIND
from actors.assistant.registry import ConversationRegistry, ToConversation
from actors.assistant.responders.responder import Responder
from actors.assistant.session import ConversationActor, Wake
from actors.assistant.settings import AssistantSettings
from engine import ActorPolicy, ActorRef, Clock, MooringError, Restart, open_supervisor
from engine.durable import Log
from engine.store import Due, milliseconds

_LOG: Final = structlog.get_logger("mooring.assistant")
_REGISTRY: Final = ActorPolicy(restart=Restart.PERMANENT, inbox_capacity=8192)
_WAKE_TIMEOUT_S: Final = 30.0
_SHUTDOWN_S: Final = 5.0


class Conversations(msgspec.Struct, frozen=True, kw_only=True):
    """The family's door: `registry` takes `ToConversation`; lists and pages are read from `log`."""

    registry: ActorRef
    log: Log

    async def ask(self, session_id: str, message: Any, *, timeout_s: float = 30.0) -> Any:
        """Ask a conversation, in memory or not; raises as `ActorRef.ask` does."""
        to = ToConversation(session_id=session_id, message=message)
        return await self.registry.ask(to, timeout_s=timeout_s)


@asynccontextmanager
async def open_conversations(
    settings: AssistantSettings,
    *,
    responder: Responder,
    log: Log,
    clock: Clock,
    drain_s: float = 2.0,
) -> AsyncIterator[Conversations]:
    """Open the family for the length of a block.

    What an earlier server left unfinished goes on: queued replies are written, replies that were
    cut off are marked or begun anew. At the end running replies get `drain_s`; what is not finished
    then is found by the next start.
    """
    async with (
        open_supervisor("assistant", clock=clock, shutdown_timeout_s=_SHUTDOWN_S) as outer,
        open_supervisor(
            "conversations",
            parent=outer,
            grace_s=drain_s,
            shutdown_timeout_s=drain_s + _SHUTDOWN_S,
        ) as inner,
        trio.open_nursery() as nursery,
    ):

        def build(session_id: str, registry: ActorRef) -> ConversationActor:
            return ConversationActor(
                session_id,
                responder=responder,
                settings=settings,
                registry=registry,
                log=log,
                clock=clock,
            )

        registry = outer.spawn(
            lambda: ConversationRegistry(build, sessions=inner),
            "registry/conversation",
            policy=_REGISTRY,
        )
        conversations = Conversations(registry=registry, log=log)
        nursery.start_soon(_wake_unfinished, conversations, clock)
        yield conversations
        nursery.cancel_scope.cancel()


async def _wake_unfinished(conversations: Conversations, clock: Clock) -> None:
    """Bring back every conversation that an earlier start left with an unfinished reply."""
    before_ms = milliseconds(clock.now())
    last: Due | None = None
    while True:
        page = await conversations.log.store.due(before_ms, after=last)
        for due in page:
            kind, _, session_id = due.stream.partition("/")
            if kind == KIND:
                await _wake(conversations, session_id)
        if not page:
            return
        last = page[-1]


async def _wake(conversations: Conversations, session_id: str) -> None:
    try:
        await conversations.ask(session_id, Wake(), timeout_s=_WAKE_TIMEOUT_S)
    except MooringError as error:
        _LOG.warning("not woken", conversation=session_id, cause=str(error))
