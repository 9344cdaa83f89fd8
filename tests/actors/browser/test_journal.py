"""The journal of browser sessions, over the store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio

from actors.browser.journal import BrowserJournal
from actors.browser.journal_messages import EVENT_TYPES, Note
from actors.browser.place import stream_of
from engine import ActorRef, SeededClock, open_supervisor
from engine.durable import Log
from engine.store import Event, MemoryDisk, MemoryStore, open_memory

DOCUMENT = Path(__file__).parents[3] / "docs" / "streams.md"


@asynccontextmanager
async def journal(
    disk: MemoryDisk | None = None,
) -> AsyncIterator[tuple[ActorRef, MemoryStore, list[Event]]]:
    clock = SeededClock()
    published: list[Event] = []
    async with open_memory(disk, clock=clock) as store:
        log = Log(
            store=store,
            epoch=await store.begin_epoch(),
            publish=lambda _, events: published.extend(events),
            end=lambda *_: None,
        )
        async with open_supervisor("test", clock=clock) as supervisor:
            yield (
                supervisor.spawn(lambda: BrowserJournal(log, clock), "journal/1"),
                store,
                published,
            )


def note(ref: ActorRef, event: str, session_id: str = "s", **data: object) -> None:
    ref.signal(Note(session_id=session_id, event=event, data=data))


async def test_events_are_numbered_in_order_for_each_session_and_published_once_durable(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with journal() as (ref, store, published):
        for session_id in ("a", "b"):
            note(ref, "session.created", session_id, username="u")
            note(ref, "login.started", session_id)
        await trio.sleep(1)
        note(ref, "login.succeeded", "a")
        await trio.sleep(1)
        page = await store.read(stream_of("a"))
        assert [event.type for event in page.events] == [
            "session.created",
            "login.started",
            "login.succeeded",
        ]
        frame = msgspec.json.decode(page.events[0].body)
        assert (frame["seq"], frame["data"]) == (1, {"username": "u"})
        assert len(published) == 5


async def test_nothing_is_noted_after_a_session_has_closed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with journal() as (ref, store, _):
        note(ref, "session.created")
        note(ref, "session.closed", reason="closed")
        await trio.sleep(1)
        note(ref, "operation.finished")
        await trio.sleep(1)
        assert await store.newest(stream_of("s")) == 2


async def test_what_has_happened_is_written_before_the_journal_ends(
    autojump_clock: trio.testing.MockClock,
) -> None:
    disk = MemoryDisk()
    async with journal(disk) as (ref, _, _):
        note(ref, "session.created")
        await trio.sleep(1)
        note(ref, "session.closed", reason="closed")
    async with open_memory(disk) as store:
        assert await store.newest(stream_of("s")) == 2


def test_every_event_type_is_documented() -> None:
    text = DOCUMENT.read_text()
    assert {event for event in EVENT_TYPES if f"`{event}`" not in text} == set()
