"""One Chromium as an actor: what it tells the pool, and what it leaves behind, which is nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

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
    OpenContexts,
)
from actors.browser.page import PageError
from engine import ActorRef, SeededClock, Supervisor, open_supervisor
from tests.actors.browser.bench import Ear
from tests.actors.browser.fakes import OPTIONS, FakeBrowser, FakeChromium, Machine, Profile

ADDRESS = "chromium/1"


class Stand:
    """One Chromium actor on its machine; the test hears what the pool would."""

    def __init__(self, machine: Machine, heard: list[Any], contexts: OpenContexts) -> None:
        self.machine = machine
        self.heard = heard
        self.contexts = contexts
        self.chromium: ActorRef
        self.supervisor: Supervisor

    @property
    def process(self) -> FakeChromium:
        (process,) = self.machine.running.values()
        return process

    async def open(self) -> str:
        self.heard.clear()
        self.chromium.signal(OpenContext())
        await trio.sleep(1.0)
        (opened,) = self.heard
        assert isinstance(opened, ContextOpened)
        self.heard.clear()
        return opened.context_id


@asynccontextmanager
async def stand(
    machine: Machine | None = None, *, connect: Any = None, crashes: int = 0
) -> AsyncIterator[Stand]:
    machine = machine or Machine()
    its = Stand(machine, [], {})
    async with open_supervisor("stand", clock=SeededClock(1)) as supervisor:
        pool = supervisor.spawn(lambda: Ear(its.heard), "pool/browser")
        its.supervisor = supervisor
        its.chromium = supervisor.spawn(
            lambda: ChromiumActor(
                OPTIONS,
                connect=connect or machine.connect,
                contexts=its.contexts,
                pool=pool,
                launcher=machine.launch,
            ),
            ADDRESS,
        )
        await trio.sleep(1.0)
        yield its
    assert machine.running == {}
    assert its.contexts == {}
    assert machine.violations == []
    assert supervisor.statistics().crashes == crashes


def up(*context_ids: str) -> ChromiumUp:
    return ChromiumUp(address=ADDRESS, context_ids=context_ids)


DOWN = ChromiumDown(address=ADDRESS)


async def test_the_pool_hears_when_a_chromium_is_connected(autojump_clock):
    async with stand() as it:
        assert it.heard == [up()]


async def test_contexts_are_opened_and_closed_and_in_the_table_meanwhile(autojump_clock):
    async with stand() as it:
        context_id = await it.open()
        assert it.contexts[context_id].id == context_id
        assert set(it.process.profiles) == {context_id}
        it.chromium.signal(CloseContext(context_id=context_id))
        await trio.sleep(1.0)
        assert it.contexts == {}
        assert it.process.profiles == {}


async def test_a_context_that_cannot_be_opened_is_told(autojump_clock):
    async with stand() as it:
        it.heard.clear()
        it.machine.barren = True
        it.chromium.signal(OpenContext())
        await trio.sleep(1.0)
        assert it.heard == [
            ContextFailed(address=ADDRESS, cause="Failed to create browser context")
        ]


async def test_a_dropped_socket_is_reattached_with_its_contexts(autojump_clock):
    async with stand() as it:
        context_id = await it.open()
        before = it.contexts[context_id]
        it.process.drop()
        await trio.sleep(1.0)
        assert it.heard == [DOWN, up(context_id)]
        assert it.contexts[context_id] is not before
        await it.contexts[context_id].page.html()
        assert it.machine.launches == 1


async def test_a_context_that_is_closed_while_the_socket_is_down_is_closed_after_it(autojump_clock):
    async with stand() as it:
        context_id, kept = await it.open(), await it.open()
        it.process.drop()
        await trio.sleep(0.05)
        it.chromium.signal(CloseContext(context_id=context_id))
        await trio.sleep(1.0)
        assert it.heard == [DOWN, up(kept)]
        assert set(it.process.profiles) == set(it.contexts) == {kept}


async def test_a_context_that_is_closed_while_it_is_adopted_is_not_kept(
    autojump_clock, monkeypatch
):
    async with stand() as it:
        context_id = await it.open()
        adopt = FakeBrowser.adopt_context

        async def adopt_slowly(self: FakeBrowser, context_id: str) -> Any:
            await trio.sleep(1.0)
            return await adopt(self, context_id)

        monkeypatch.setattr(FakeBrowser, "adopt_context", adopt_slowly)
        it.process.drop()
        await trio.sleep(0.5)
        it.chromium.signal(CloseContext(context_id=context_id))
        await trio.sleep(2.0)
        assert it.heard == [DOWN, up()]
        assert it.contexts == {}
        assert it.process.profiles == {}


async def test_a_context_that_was_half_opened_when_the_socket_dropped_is_closed(autojump_clock):
    async with stand() as it:
        it.heard.clear()
        it.chromium.signal(OpenContext())
        await trio.sleep(0.05)
        it.process.profiles["orphan"] = Profile(id="orphan")
        it.process.drop()
        await trio.sleep(1.0)
        assert [type(message) for message in it.heard] in (
            [ContextFailed, ChromiumDown, ChromiumUp],
            [ChromiumDown, ContextFailed, ChromiumUp],
        )
        assert it.process.profiles == {}


async def test_a_context_without_a_page_is_forgotten_and_closed(autojump_clock):
    async with stand() as it:
        broken, whole = await it.open(), await it.open()
        it.process.profiles[broken].broken = True
        it.process.drop()
        await trio.sleep(1.0)
        assert it.heard == [DOWN, up(whole)]
        assert set(it.process.profiles) == set(it.contexts) == {whole}


async def test_a_socket_that_drops_again_while_contexts_are_adopted_loses_none(
    autojump_clock, monkeypatch
):
    async with stand() as it:
        ids = {await it.open() for _ in range(3)}
        adopted = []
        adopt = FakeBrowser.adopt_context

        async def adopt_and_drop(self: FakeBrowser, context_id: str) -> Any:
            adopted.append(context_id)
            if len(adopted) == 2:
                self.chromium.drop()
            return await adopt(self, context_id)

        monkeypatch.setattr(FakeBrowser, "adopt_context", adopt_and_drop)
        it.process.drop()
        await trio.sleep(2.0)
        assert len(adopted) == 5
        assert set(it.contexts) == set(it.process.profiles) == ids
        assert it.heard == [DOWN, up(*it.contexts)]


async def test_a_chromium_that_is_not_reached_again_is_killed(autojump_clock):
    async with stand() as it:
        await it.open()
        it.machine.deaf = True
        it.process.drop()
        await trio.sleep(5.0)
        assert it.machine.running == {}
        assert it.heard == [DOWN, ChromiumGone(address=ADDRESS, cause="stopped")]
        assert it.contexts == {}
        assert it.chromium.stopped


async def test_a_socket_that_drops_as_soon_as_it_stands_does_not_spin(autojump_clock):
    machine = Machine()
    connections = 0

    @asynccontextmanager
    async def connect(endpoint: str) -> AsyncIterator[FakeBrowser]:
        nonlocal connections
        connections += 1
        async with machine.connect(endpoint) as browser:
            machine.running[endpoint].drop()
            yield browser

    async with stand(machine, connect=connect):
        await trio.sleep(10.0)
    assert connections < 200


async def test_a_frozen_chromium_is_killed(autojump_clock):
    async with stand() as it:
        it.process.frozen = True
        await trio.sleep(60.0)
        assert it.machine.running == {}
        assert isinstance(it.heard[-1], ChromiumGone)


async def test_a_chromium_that_answers_late_once_is_not_killed(autojump_clock):
    async with stand() as it:
        it.process.frozen = True
        await trio.sleep(16.0)
        it.process.frozen = False
        await trio.sleep(100.0)
        assert len(it.machine.running) == 1


async def test_a_chromium_that_dies_is_told_once_and_takes_its_contexts_with_it(autojump_clock):
    async with stand() as it:
        await it.open()
        it.process.kill()
        await trio.sleep(1.0)
        assert it.heard == [DOWN, ChromiumGone(address=ADDRESS, cause="stopped")]
        assert it.contexts == {}
        assert it.chromium.stopped


async def test_a_chromium_that_does_not_start_is_told_with_its_cause(autojump_clock):
    machine = Machine()
    machine.broken = True
    async with stand(machine) as it:
        (gone,) = it.heard
        assert isinstance(gone, ChromiumGone)
        assert "no display" in gone.cause
        assert it.chromium.stopped


async def test_a_chromium_that_does_not_close_a_context_is_killed(autojump_clock, monkeypatch):
    async with stand() as it:
        context_id = await it.open()

        async def refuse(self: FakeBrowser, context_id: str) -> None:
            raise PageError("no answer")

        monkeypatch.setattr(FakeBrowser, "close_context", refuse)
        it.chromium.signal(CloseContext(context_id=context_id))
        await trio.sleep(1.0)
        assert it.machine.running == {}
        assert isinstance(it.heard[-1], ChromiumGone)


async def test_a_driver_that_breaks_crashes_the_actor_and_leaves_nothing(
    autojump_clock, monkeypatch
):
    async with stand(crashes=1) as it:
        await it.open()

        async def break_(self: FakeBrowser) -> tuple[str, ...]:
            raise RuntimeError("a bug")

        monkeypatch.setattr(FakeBrowser, "context_ids", break_)
        it.process.drop()
        await trio.sleep(1.0)
        assert it.machine.running == {}
        assert it.contexts == {}
        assert it.chromium.stopped


async def test_stopping_ends_the_process_also_while_it_starts(autojump_clock):
    for seconds in (0.0, 0.2, 0.6, 2.0):
        machine = Machine()
        heard: list[Any] = []
        contexts: OpenContexts = {}
        async with open_supervisor("stand", clock=SeededClock(1)) as supervisor:
            pool = supervisor.spawn(lambda heard=heard: Ear(heard), "pool/browser")
            chromium = supervisor.spawn(
                lambda pool=pool, machine=machine, contexts=contexts: ChromiumActor(
                    OPTIONS,
                    connect=machine.connect,
                    contexts=contexts,
                    pool=pool,
                    launcher=machine.launch,
                ),
                ADDRESS,
            )
            chromium.signal(OpenContext())
            await trio.sleep(seconds)
            await supervisor.stop(chromium)
            assert machine.running == {}
            assert contexts == {}
