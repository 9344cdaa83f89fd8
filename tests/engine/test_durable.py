"""Actors whose state is their log, over the store in memory and in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from engine import ActorCrashed, ActorRef, Clock, DomainError, SeededClock, open_supervisor
from engine.durable import AliasHeld, DurableActor, Log, NotRecorded
from engine.errors import StoreUnavailable
from engine.store import (
    CatalogueRow,
    Claim,
    Commit,
    CommitDone,
    Event,
    MemoryDisk,
    MemoryStore,
    open_memory,
)


class TooMuch(DomainError):
    """The tally refuses to grow so fast."""


class TallyDecider:
    """Adds up numbers: a command is a number, its event too, the state is their sum."""

    def decide(self, state: int | None, command: int, clock: Clock) -> Sequence[int]:
        if command > 100:
            raise TooMuch
        return [command] if command else []

    def evolve(self, state: int | None, event: int) -> int:
        return (state or 0) + event

    def encode(self, event: int) -> Event:
        return Event(seq=0, type="added", at_ms=0, body=str(event).encode())

    def decode(self, event: Event) -> int:
        return int(event.body)

    def row(self, state: int) -> CatalogueRow:
        return CatalogueRow(owner="o", status="s", created_at_ms=0, updated_at_ms=0)

    def claims(self, before: int | None, after: int) -> Sequence[Claim]:
        return [Claim(alias=f"tally-{after}")] if after >= 90 else []

    def releases(self, before: int | None, after: int) -> Sequence[str]:
        return []

    def snapshot(self, state: int) -> bytes:
        return str(state).encode()

    def restore(self, body: bytes) -> int | None:
        return int(body)


class Numbered(TallyDecider):
    """Gives each event its sequence, as a decider must."""

    def __init__(self, actor: Tally) -> None:
        self._actor = actor

    def encode(self, event: int) -> Event:
        body = str(event).encode()
        return Event(seq=self._actor.seq + 1, type="added", at_ms=0, body=body)


class Tally(DurableActor[int, int, int]):
    def __init__(self, stream: str, log: Log, clock: Clock, diary: list[Any]) -> None:
        super().__init__(stream, Numbered(self), log=log, clock=clock, snapshot_every=3)
        self.diary = diary

    def handle(self, message: Any) -> Any:
        match message:
            case int():
                return self.submit(message, lambda state: state)
            case ("own", int(number)):
                self.submit_own(number)
                return None
            case "state":
                self.diary.append("asked")
                return self.state
            case _:
                return super().handle(message)

    def changed(self, events: Sequence[int]) -> None:
        self.diary.append(("changed", self.state))


class Away:
    """Lets a store refuse a number of commits as one does that cannot be reached."""

    def __init__(self) -> None:
        self.failures = 0

    def wrap(self, commit: Callable[..., Awaitable[CommitDone]]) -> Callable[..., Any]:
        async def commit_or_refuse(*args: Any, **options: Any) -> CommitDone:
            if self.failures:
                self.failures -= 1
                raise StoreUnavailable("test")
            return await commit(*args, **options)

        return commit_or_refuse


class World:
    def __init__(self, store: MemoryStore, epoch: int) -> None:
        self.store = store
        self.diary: list[Any] = []
        self.log = Log(store=store, epoch=epoch, publish=self.publish, end=lambda *_: None)

    def publish(self, stream: str, events: Sequence[Event]) -> None:
        self.diary.append(("published", stream, [event.body for event in events]))


@asynccontextmanager
async def world(
    disk: MemoryDisk | None = None, away: Away | None = None, stream: str = "tally/1"
) -> AsyncIterator[tuple[ActorRef, World]]:
    clock = SeededClock()
    async with open_memory(disk, clock=clock) as store:
        if away is not None:
            store.commit = away.wrap(store.commit)  # type: ignore[method-assign]
        it = World(store, await store.begin_epoch())
        async with open_supervisor("test", clock=clock) as supervisor:
            ref = supervisor.spawn(lambda: Tally(stream, it.log, clock, it.diary), stream)
            yield ref, it


async def test_commit_then_publish_then_answer(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as (ref, it):
        assert await ref.ask(5, timeout_s=5) == 5
        assert it.diary == [("published", "tally/1", [b"5"]), ("changed", 5)]
        page = await it.store.read("tally/1")
        assert [event.body for event in page.events] == [b"5"]


async def test_one_command_at_a_time_and_messages_wait_behind_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as (ref, it):
        answers: list[int] = []

        async def ask(message: Any) -> None:
            answers.append(await ref.ask(message, timeout_s=5))

        async with trio.open_nursery() as nursery:
            for message in (1, 2, 4, "state"):
                nursery.start_soon(ask, message)
                await trio.testing.wait_all_tasks_blocked()
        assert answers == [1, 3, 7, 7]
        assert it.diary[-1] == "asked"


async def test_a_refused_command_changes_nothing(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as (ref, it):
        with pytest.raises(TooMuch):
            await ref.ask(101, timeout_s=5)
        assert await it.store.newest("tally/1") == 0


async def test_a_store_that_is_away_changes_nothing_and_the_actors_own_commands_are_tried_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    away = Away()
    async with world(away=away) as (ref, _):
        assert await ref.ask(1, timeout_s=5) == 1
        away.failures = 2
        with pytest.raises(NotRecorded):
            await ref.ask(2, timeout_s=5)
        assert await ref.ask("state", timeout_s=5) == 1
        ref.tell_nowait(("own", 4))
        await trio.sleep(5)
        assert await ref.ask("state", timeout_s=5) == 5


async def test_state_is_replayed_by_snapshot_or_without(
    autojump_clock: trio.testing.MockClock,
) -> None:
    disk = MemoryDisk()
    total = 0
    for numbers in ([1], [2, 3, 4, 5], [6]):
        async with world(disk) as (ref, _):
            for number in numbers:
                total += number
                assert await ref.ask(number, timeout_s=5) == total


async def test_a_conflict_is_a_crash_and_its_caller_is_told(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with world() as (ref, it):
        await ref.ask(1, timeout_s=5)
        stranger = Event(seq=2, type="added", at_ms=0, body=b"7")
        await it.store.commit(
            Commit(stream="tally/1", epoch=it.log.epoch, expected_seq=1, events=[stranger])
        )
        with pytest.raises(ActorCrashed):
            await ref.ask(2, timeout_s=5)


async def test_an_alias_that_another_stream_holds_is_refused_by_name(
    autojump_clock: trio.testing.MockClock,
) -> None:
    disk = MemoryDisk()
    async with world(disk) as (ref, _):
        await ref.ask(90, timeout_s=5)
    async with world(disk, stream="tally/2") as (ref, it):
        with pytest.raises(AliasHeld) as held:
            await ref.ask(90, timeout_s=5)
        assert held.value.holder == "tally/1"
        assert await it.store.newest("tally/2") == 0
