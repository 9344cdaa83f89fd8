"""Durable actors by name: they come, they leave, nothing that was sent is lost between."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio
import trio.testing

from engine import Clock, SeededClock
from engine.activation import ActivatedActor, Activations, open_activations
from engine.durable import Log
from engine.store import CatalogueRow, Claim, Event, open_memory


class Add(msgspec.Struct, frozen=True):
    much: int


class Added(msgspec.Struct, frozen=True):
    seq: int
    much: int


class Total(msgspec.Struct, frozen=True):
    seq: int
    total: int


class Sums:
    """The decider of a counter."""

    def decide(self, state: Total | None, command: Add, clock: Clock) -> Sequence[Added]:
        return [Added((state.seq if state else 0) + 1, command.much)]

    def evolve(self, state: Total | None, event: Added) -> Total:
        return Total(event.seq, (state.total if state else 0) + event.much)

    def encode(self, event: Added) -> Event:
        return Event(seq=event.seq, type="added", at_ms=0, body=msgspec.json.encode(event))

    def decode(self, event: Event) -> Added:
        return msgspec.json.decode(event.body, type=Added)

    def row(self, state: Total) -> CatalogueRow:
        return CatalogueRow(owner="", status="open", created_at_ms=0, updated_at_ms=0)

    def claims(self, before: Total | None, after: Total) -> Sequence[Claim]:
        return ()

    def releases(self, before: Total | None, after: Total) -> Sequence[str]:
        return ()

    def snapshot(self, state: Total) -> bytes:
        return msgspec.json.encode(state)

    def restore(self, body: bytes) -> Total | None:
        return msgspec.json.decode(body, type=Total)


class Counter(ActivatedActor[Total, Add, Added]):
    idle_timeout_s = 10.0
    held = False

    def obey(self, message: Any) -> Any:
        match message:
            case Add():
                return self.submit(message, lambda state: state.total)
            case "hold":
                self.held = True
            case _:
                return super().obey(message)
        return None

    @property
    def busy(self) -> bool:
        return super().busy or self.held


class World(msgspec.Struct):
    counters: Activations
    built: list[str]
    log: Log


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    clock, built = SeededClock(), []
    async with open_memory(clock=clock) as store:
        log = Log(
            store=store,
            epoch=await store.begin_epoch(),
            publish=lambda stream, events: None,
            end=lambda stream, reason: None,
        )

        def build(id_: str) -> Counter:
            built.append(id_)
            return Counter(f"counter/{id_}", Sums(), log=log, clock=clock)

        async with open_activations("counter", build, clock=clock) as counters:
            yield World(counters, built, log)


async def test_activated_by_name_with_the_state_it_left_with(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as it:
        assert await it.counters.ask("a", Add(1)) == 1
        assert await it.counters.ask("a", Add(1)) == 2
        assert it.built == ["a"]
        await trio.sleep(11)
        assert await it.counters.ask("a", Add(1)) == 3
        assert it.built == ["a", "a"]


async def test_busy_actors_stay_however_long_nothing_comes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as it:
        await it.counters.ask("a", Add(1))
        await it.counters.ask("a", "hold")
        await trio.sleep(1000)
        await it.counters.ask("a", Add(1))
        assert it.built == ["a"]


async def test_one_that_does_not_exist_is_let_go_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as it:
        await it.counters.wake("nobody")
        await trio.sleep(2)
        await it.counters.wake("nobody")
        assert it.built == ["nobody", "nobody"]
        assert await it.log.store.newest("counter/nobody") == 0


async def test_what_comes_at_any_moment_around_leaving_is_counted_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with world() as it:
        await it.counters.ask("a", Add(1))

        async def add_at(moment: float) -> None:
            await trio.sleep(moment)
            await it.counters.ask("a", Add(1))

        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(add_at, 10.0 + (number % 7) * 10.0)
        assert await it.counters.ask("a", Add(0)) == 201
