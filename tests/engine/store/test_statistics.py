"""What a store says of itself."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from engine.errors import CommitConflict, StoreUnavailable
from engine.store import Faults, Store, Tally, open_memory
from tests.engine.store.parts import commit, put


async def test_a_tally_counts_rows_by_kind_and_status(store: Store) -> None:
    assert await store.tally() == ()
    await put(store, "note/1")
    await put(store, "note/2", status="closed")
    await put(store, "note/3")
    await put(store, "hosted/1", status="closed")
    await store.commit(commit("note/without-row"))
    assert await store.tally() == (
        Tally(kind="hosted", status="closed", count=1),
        Tally(kind="note", status="active", count=2),
        Tally(kind="note", status="closed", count=1),
    )
    await store.erase("note/3", epoch=1)
    assert Tally(kind="note", status="active", count=1) in await store.tally()


async def test_batches_are_counted_by_size_and_by_time(store: Store) -> None:
    before = store.statistics()
    async with trio.open_nursery() as nursery:
        for number in range(9):
            nursery.start_soon(put, store, f"note/{number}")
    after = store.statistics()
    batches = after.batches - before.batches
    assert after.batch_sizes.count - before.batch_sizes.count == batches
    assert after.batch_sizes.total - before.batch_sizes.total == 9
    assert after.batch_seconds.count - before.batch_seconds.count == batches
    assert after.batch_seconds.total > 0 or after.batch_seconds.counts[0] > 0


async def test_a_refused_commit_is_no_failure_of_the_store(store: Store) -> None:
    await put(store, "note/1")
    with pytest.raises(CommitConflict):
        await put(store, "note/1")
    assert store.statistics().failing is None
    assert store.statistics().refusing is None


async def test_a_failing_store_says_why_until_a_batch_succeeds(autojump_clock: MockClock) -> None:
    async with open_memory(faults=Faults(seed=3, failure_rate=0.5)) as store:
        seen: set[str | None] = set()
        for number in range(40):
            await trio.sleep(1)
            reason = None
            try:
                await put(store, f"note/{number}")
            except StoreUnavailable as error:
                reason = error.reason
            found = store.statistics()
            assert found.failing == reason
            assert reason is None or found.failed_at == trio.current_time()
            seen.add(reason)
        assert seen == {None, "a fault was injected"}


async def test_a_closed_store_says_that_it_takes_nothing(autojump_clock: MockClock) -> None:
    async with open_memory() as store:
        pass
    assert store.statistics().refusing == "it is closed"
