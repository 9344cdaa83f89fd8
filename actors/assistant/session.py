"""The conversation as an actor: takes commands, lets replies be written, leaves when it idles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import structlog
import trio
from msgspec.structs import replace

from actors.assistant.commands import (
    AddText,
    CancelReply,
    Close,
    Command,
    CompleteReply,
    Create,
    FailReply,
    PostMessage,
    Recover,
    StartReply,
    Update,
)
from actors.assistant.conversation import Conversation, RunningReply
from actors.assistant.decider import ConversationDecider, stream_of
from actors.assistant.decision import find_posted
from actors.assistant.errors import ConversationNotFound
from actors.assistant.events import (
    PRUNABLE_TYPES,
    ConversationEvent,
    ReplyStarted,
    SessionCreated,
)
from actors.assistant.keys import KeyRecord, alias_of
from actors.assistant.prompt import Prompt, build_prompt
from actors.assistant.records import Message
from actors.assistant.responders.responder import Finish, Responder, ResponderError
from actors.assistant.settings import AssistantSettings
from actors.assistant.writing import write_reply
from engine import DEFERRED, Clock, DomainError, JobEnded, Reply
from engine.activation import ActivatedActor
from engine.clock import timestamp
from engine.durable import Log, NotRecorded
from engine.meter import Meter

_LOG: Final = structlog.get_logger("mooring.assistant")
_ADD_TIMEOUT_S: Final = 60.0
_RETRY_S: Final = 1.0
_DELTAS_KEPT_S: Final = 600.0
REPLY: Final = "reply"
"""What a reply is called where its durations are shown."""


class Delete(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Close the conversation and erase its log; answered with None once both are done."""


class ConversationActor(ActivatedActor[Conversation, Command, ConversationEvent]):
    """One conversation.

    Args:
        session_id: its id.
        responder: who writes its replies.
        settings: of all conversations.
        meter: what replies take is observed there, as `REPLY`.
    """

    def __init__(
        self,
        session_id: str,
        *,
        responder: Responder,
        settings: AssistantSettings,
        log: Log,
        clock: Clock,
        meter: Meter | None = None,
    ) -> None:
        super().__init__(stream_of(session_id), ConversationDecider(), log=log, clock=clock)
        self.session_id = session_id
        self._responder = responder
        self._settings = settings
        self.idle_timeout_s = settings.idle_timeout_s
        self._meter = meter or Meter()
        self._recalls = 0
        self._deletions: list[Reply] = []

    # -- hooks ---------------------------------------------------------------------------------

    async def on_start(self) -> None:
        await super().on_start()
        if self.state is not None and self.state.running is not None:
            self.submit_own(Recover(resume=self._settings.resume_replies))
        self._go_on_replying()

    def obey(self, message: Any) -> Any:
        match message:
            case PostMessage():
                return self._post(message)
            case Create() | Update() | Close():
                return self.submit(message, lambda state: state.session)
            case CancelReply() | AddText():
                return self.submit(message)
            case Delete():
                return self._delete()
            case _:
                return super().obey(message)

    def handle_job_end(self, end: JobEnded) -> None:
        what, _, rest = end.name.partition(":")
        match what:
            case "reply":
                self._reply_ended(end, *rest.split(":"))
            case "recall":
                self._recalled(end)
            case "erase":
                self._erased(end)
            case "prune":
                if end.error is not None:
                    _LOG.warning("deltas_not_pruned", actor=self.stream, cause=str(end.error))
                self.let_go()
            case _:
                super().handle_job_end(end)

    def changed(self, events: Sequence[ConversationEvent]) -> None:
        assert self.state is not None  # noqa: S101 - a commit has made one
        running = self.state.running
        if isinstance(events[0], SessionCreated):
            self.restart_idle_timer()
        for event in events:
            if isinstance(event, ReplyStarted) and running is not None:
                self._begin_reply(running)
        if running is None and self._writing_job is not None:
            self.cancel_job(self._writing_job)
            self._writing_job = None
        self._go_on_replying()
        if not self.state.active and self._deletions:
            self._erase()

    # -- posting -------------------------------------------------------------------------------

    def _post(self, command: PostMessage) -> Any:
        state, key = self.state, command.key
        if state is None or key is None:
            return self.submit(command, lambda after: _message(after, command.message_id))
        if state.keys.must_ask(key, timestamp(self.clock.now())):
            self._recalls += 1
            name = f"recall:{self._recalls}"
            self.start_job(name, self._recall, command, self.defer())
            return DEFERRED
        return self._post_or_repeat(command)

    def _post_or_repeat(self, command: PostMessage, reply: Reply | None = None) -> Any:
        return self.submit(command, lambda after: self._posted(after, command), reply=reply)

    def _posted(self, state: Conversation, command: PostMessage) -> Message | KeyRecord:
        """Return the message under the key; its record when the message is in the log only."""
        found = find_posted(state, command, self.clock.now())
        wanted = command.message_id if found is None else found.message_id
        message = _message(state, wanted)
        if message is None:
            assert found is not None  # noqa: S101 - a message just posted is among the recent
            return found
        return message

    async def _recall(self, command: PostMessage, reply: Reply) -> tuple[PostMessage, Reply]:
        assert command.key is not None  # noqa: S101 - only then is it recalled
        alias = await self._log.store.resolve(alias_of(self.session_id, command.key))
        recalled = None
        if alias is not None:
            recalled = msgspec.msgpack.decode(alias.payload, type=KeyRecord)
        return replace(command, recalled=recalled), reply

    def _recalled(self, end: JobEnded) -> None:
        if end.error is not None:
            raise end.error
        if not end.cancelled:
            command, reply = end.value
            self._post_or_repeat(command, reply)

    # -- replies -------------------------------------------------------------------------------

    _writing_job: str | None = None

    def _go_on_replying(self) -> None:
        if self.state is not None and self.state.next_reply is not None and not self.stopping:
            self.submit_own(StartReply(reply_id=self.state.next_reply.reply_id))

    def _begin_reply(self, running: RunningReply) -> None:
        state = self.state
        assert state is not None  # noqa: S101 - it has a reply
        message = running.message
        assert message.reply_to is not None  # noqa: S101 - every reply answers a message
        prompt = build_prompt(
            state.recent,
            reply_to=message.reply_to,
            session_type=state.session.session_type,
            settings=self._settings,
        )
        name = f"reply:{message.message_id}:{running.attempt}"
        self._writing_job = name
        self.start_job(name, self._write_reply, prompt, message.message_id, running.attempt)

    async def _write_reply(self, prompt: Prompt, reply_id: str, attempt: int) -> Finish:
        async def add(text: str) -> None:
            await self._add(AddText(reply_id=reply_id, attempt=attempt, text=text))

        with self._meter.measuring(REPLY):
            return await write_reply(self._responder, prompt, add)

    async def _add(self, addition: AddText) -> None:
        while True:
            try:
                await self.ref.ask(addition, timeout_s=_ADD_TIMEOUT_S)
            except NotRecorded:
                await trio.sleep(_RETRY_S)
            else:
                return

    def _reply_ended(self, end: JobEnded, reply_id: str, attempt: str) -> None:
        if self._writing_job == end.name:
            self._writing_job = None
        if end.cancelled or self.stopping:
            # Cancelled replies have ended already; a stop leaves this one to the next start.
            return
        number = int(attempt)
        if end.error is None:
            finish: Finish = end.value
            self.submit_own(
                CompleteReply(
                    reply_id=reply_id,
                    attempt=number,
                    finish_reason=finish.finish_reason,
                    usage=finish.usage,
                )
            )
            return
        error = str(end.error)
        if not isinstance(end.error, ResponderError | DomainError):
            _LOG.error("reply_failed", actor=self.stream, exc_info=end.error)
            error = "The reply failed inside the server"
        self.submit_own(FailReply(reply_id=reply_id, attempt=number, error=error))

    # -- leaving -------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        return super().busy or bool(self.state is not None and self.state.unfinished)

    def idled(self) -> None:
        if self.state is not None and self._settings.idle_timeout_s >= _DELTAS_KEPT_S:
            self.start_job("prune", self._prune)
        else:
            self.let_go()

    async def _prune(self) -> None:
        await self._log.store.prune(self.stream, types=PRUNABLE_TYPES, after=0, through=self.seq)

    def _delete(self) -> Any:
        if self.state is None:
            raise ConversationNotFound
        self._deletions.append(self.defer())
        if len(self._deletions) > 1:
            return DEFERRED  # it is being deleted; one end answers all
        if self.state.active:
            self.submit_own(Close(reason="deleted"))
        else:
            self._erase()
        return DEFERRED

    def _erase(self) -> None:
        self.start_job("erase", self.erase)

    def _erased(self, end: JobEnded) -> None:
        if end.error is not None:
            raise end.error
        self._log.end(self.stream, "deleted")
        if not end.cancelled:
            for reply in self._deletions:
                reply.answer(None)
            self._deletions.clear()
        self.let_go()


def _message(state: Conversation, message_id: str) -> Message | None:
    return next((it for it in state.recent if it.message_id == message_id), None)
