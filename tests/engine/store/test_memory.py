"""The store in memory: virtual time, and faults that repeat."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from engine.clock import SeededClock
from engine.errors import StoreUnavailable
from engine.store import Claim, Faults, MemoryDisk, open_memory
from tests.engine.store.parts import commit


async def _run(faults: Faults) -> tuple[list[str], float]:
    """What became of some commits, and when all was over."""
    outcomes: list[str] = []
    async with open_memory(faults=faults) as store:
        seq = 0
        for _ in range(50):
            try:
                seq = (await store.commit(commit(seq=seq))).seq
                outcomes.append("done")
            except StoreUnavailable as error:
                outcomes.append(error.reason)
        assert (await store.read("note/1")).newest_seq == seq == outcomes.count("done")
    return outcomes, trio.current_time()


async def test_faults_repeat_with_their_seed(autojump_clock: MockClock) -> None:
    faults = Faults(seed=4, latency_s=0.5, failure_rate=0.3)
    began = trio.current_time()
    first, ended = await _run(faults)
    again, ended_again = await _run(faults)
    assert first == again
    assert ended - began == pytest.approx(ended_again - ended)
    assert 5 < first.count("a fault was injected") < 25
    other, _ = await _run(Faults(seed=5, latency_s=0.5, failure_rate=0.3))
    assert other != first


async def test_nothing_of_a_commit_that_failed_is_there(autojump_clock: MockClock) -> None:
    async with open_memory(faults=Faults(failure_rate=1)) as store:
        with pytest.raises(StoreUnavailable):
            await store.commit(commit(claims=[Claim(alias="a")]))
        assert await store.newest("note/1") == 0
        assert await store.resolve("a") is None


async def test_aliases_expire_in_virtual_time(autojump_clock: MockClock) -> None:
    async with open_memory(clock=SeededClock()) as store:
        begun_ms = 1_767_225_600_000  # the first of January 2026, where a SeededClock begins
        claim = Claim(alias="a", expires_at_ms=begun_ms + 86_400_000)
        await store.commit(commit(claims=[claim]))
        await trio.sleep(86_399)
        assert await store.resolve("a") is not None
        await trio.sleep(1)
        assert await store.resolve("a") is None


async def test_two_stores_share_nothing_unless_they_share_a_disk(autojump_clock: MockClock) -> None:
    disk = MemoryDisk()
    async with open_memory(disk) as one, open_memory() as other:
        await one.commit(commit())
        assert await other.newest("note/1") == 0
    async with open_memory(disk) as again:
        assert await again.newest("note/1") == 1


async def test_a_slow_store_delays_reads_too(autojump_clock: MockClock) -> None:
    async with open_memory(faults=Faults(seed=1, latency_s=10)) as store:
        began = trio.current_time()
        await store.read("note/1")
        assert 0 < trio.current_time() - began < 10
