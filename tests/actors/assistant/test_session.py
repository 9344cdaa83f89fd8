"""The conversation as an actor, with the store in memory and in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio

from actors.assistant import AssistantSettings
from actors.assistant.commands import CancelReply, Close, Create, PostMessage
from actors.assistant.errors import ConversationNotFound, NotActive
from actors.assistant.events import decode_event
from actors.assistant.family import Conversations, open_conversations
from actors.assistant.pages import CreatedAfter
from actors.assistant.prompt import Prompt
from actors.assistant.records import Message
from actors.assistant.responders.responder import Emit, Finish, ResponderError
from actors.assistant.session import Delete
from engine import SeededClock
from engine.durable import AliasHeld, Log
from engine.store import Event, MemoryDisk, open_memory
from engine.waker import open_waker


class Slow:
    """Writes one word a second."""

    def __init__(self, words: str = "one two three") -> None:
        self.words = words.split()
        self.prompts: list[Prompt] = []

    async def respond(self, prompt: Prompt, emit: Emit) -> Finish:
        self.prompts.append(prompt)
        for word in self.words:
            await trio.sleep(1)
            await emit(word + " ")
        return Finish(finish_reason="stop")


class Failing:
    async def respond(self, prompt: Prompt, emit: Emit) -> Finish:
        await emit("part")
        raise ResponderError("the model is out of order")


class World:
    def __init__(self, conversations: Conversations, published: list[Event]) -> None:
        self.conversations = conversations
        self.published = published
        self.ended: list[tuple[str, str]] = []

    async def create(self, session_id: str = "s1", user_id: str = "u1") -> None:
        command = Create(session_id=session_id, business_id="b1", user_id=user_id)
        await self.conversations.ask(session_id, command)

    async def post(self, number: int = 1, key: str | None = None) -> Message:
        command = PostMessage(
            message_id=f"m{number}", reply_id=f"r{number}", content="hello", key=key
        )
        message = await self.conversations.ask("s1", command)
        assert isinstance(message, Message)
        return message

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.published]

    async def messages(self) -> Sequence[Message]:
        reader = CreatedAfter(after=0, limit=100)
        while not reader.done:
            page = await self.conversations.log.store.read("conversation/s1", after=reader.position)
            events = map(decode_event, (event.body for event in page.events))
            reader.feed(events, through=page.through, newest=page.newest_seq)
        return reader.page().messages


@asynccontextmanager
async def world(
    responder: Slow | Failing | None = None,
    *,
    disk: MemoryDisk | None = None,
    settings: AssistantSettings | None = None,
) -> AsyncIterator[World]:
    clock = SeededClock()
    published: list[Event] = []
    ended: list[tuple[str, str]] = []
    async with open_memory(disk, clock=clock) as store:
        log = Log(
            store=store,
            epoch=await store.begin_epoch(),
            publish=lambda _, events: published.extend(events),
            end=lambda stream, reason: ended.append((stream, reason)),
        )
        async with (
            open_waker(store, clock) as waker,
            open_conversations(
                settings or AssistantSettings(),
                responder=responder or Slow(),
                log=log,
                waker=waker,
                clock=clock,
                drain_s=0.5,
            ) as conversations,
        ):
            it = World(conversations, published)
            it.ended = ended
            yield it


async def test_a_posted_message_is_answered_after_it_is_published_and_its_reply_follows(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as it:
        await it.create()
        message = await it.post()
        assert it.published[message.seq - 1].seq == message.seq
        await trio.sleep(10)
        assert it.types[:3] == ["session.created", "message.created", "reply.started"]
        assert it.types[-1] == "reply.completed"
        reply = (await it.messages())[-1]
        assert (reply.content, reply.status) == ("one two three ", "complete")


async def test_one_conversation_of_a_user_is_active_at_a_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as it:
        await it.create("s1")
        with pytest.raises(AliasHeld) as held:
            await it.create("s2")
        assert held.value.holder == "conversation/s1"
        await it.create("s3", user_id="u2")
        await it.conversations.ask("s1", Close())
        await it.create("s2")


async def test_a_retry_under_its_key_gets_the_same_message_and_no_second_reply(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as it:
        await it.create()
        first = await it.post(1, key="k")
        again = await it.post(2, key="k")
        assert again == first
        await trio.sleep(10)
        assert it.types.count("reply.started") == 1


async def test_a_cancelled_reply_keeps_its_text_and_the_next_one_begins(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as it:
        await it.create()
        await it.post(1)
        await it.post(2)
        await trio.sleep(1.5)
        await it.conversations.ask("s1", CancelReply())
        await trio.sleep(10)
        replies = [message for message in await it.messages() if message.role == "assistant"]
        assert [(it.content, it.status) for it in replies] == [
            ("one ", "cancelled"),
            ("one two three ", "complete"),
        ]


async def test_a_failed_reply_says_why_and_keeps_its_part(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world(Failing()) as it:
        await it.create()
        await it.post()
        await trio.sleep(1)
        reply = (await it.messages())[-1]
        assert (reply.content, reply.status) == ("part", "failed")
        assert reply.error == "the model is out of order"


async def test_an_idle_conversation_leaves_memory_and_comes_back_on_the_next_message(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world(settings=AssistantSettings(idle_timeout_s=5)) as it:
        await it.create()
        await it.post(1)
        await trio.sleep(60)
        assert (await it.post(2)).seq > 0
        await trio.sleep(60)
        assert it.types.count("reply.completed") == 2


async def test_a_reply_that_the_servers_end_cut_off_is_interrupted_and_queued_ones_go_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    disk = MemoryDisk()
    async with world(Slow("slow " * 100), disk=disk) as it:
        await it.create()
        await it.post(1)
        await it.post(2)
        await trio.sleep(2.5)
    async with world(disk=disk) as it:
        await trio.sleep(20)
        replies = [message for message in await it.messages() if message.role == "assistant"]
        assert [(it.content, it.status) for it in replies] == [
            ("slow slow ", "interrupted"),
            ("one two three ", "complete"),
        ]


async def test_a_cut_off_reply_is_begun_anew_where_that_is_set(
    autojump_clock: trio.testing.MockClock,
) -> None:
    disk = MemoryDisk()
    async with world(Slow("slow " * 100), disk=disk) as it:
        await it.create()
        await it.post(1)
        await trio.sleep(2.5)
    async with world(disk=disk, settings=AssistantSettings(resume_replies=True)) as it:
        await trio.sleep(20)
        reply = (await it.messages())[-1]
        assert (reply.content, reply.status) == ("one two three ", "complete")


async def test_a_deleted_conversation_is_gone_and_its_stream_has_ended(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as it:
        await it.create()
        await it.post()
        await it.conversations.ask("s1", Delete())
        assert it.types[-1] == "session.closed"
        assert it.ended == [("conversation/s1", "deleted")]
        with pytest.raises(ConversationNotFound):
            await it.post(2)
        assert (await it.conversations.log.store.load("conversation/s1")).seq == 0


async def test_a_closed_conversation_takes_no_messages(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as it:
        await it.create()
        await it.conversations.ask("s1", Close())
        with pytest.raises(NotActive):
            await it.post()
