"""Restarts: what was acknowledged is there, and epochs only grow."""

from __future__ import annotations

import pytest
import trio

from engine.errors import StoreUnavailable
from engine.store import Claim, Snapshot, Store
from tests.engine.store.parts import Backend, commit, dump, row


async def test_everything_is_there_after_a_restart(backend: Backend) -> None:
    async with backend.open() as store:
        await store.begin_epoch()
        for seq in range(5):
            await store.commit(commit(seq=seq, row=row(tags={"t": str(seq)})))
        await store.commit(commit("note/2", snapshot=Snapshot(seq=1, body=b"s")))
        await store.commit(commit("note/3", claims=[Claim(alias="a", payload=b"p")]))
        before = await dump(store)
    async with backend.open() as store:
        assert await dump(store) == before
        await store.commit(commit(seq=5))


async def test_every_start_is_a_newer_epoch(backend: Backend) -> None:
    epochs = []
    for _ in range(3):
        async with backend.open() as store:
            epochs += [await store.begin_epoch(), await store.begin_epoch()]
    assert epochs == [1, 2, 3, 4, 5, 6]


async def test_what_stands_in_line_when_the_block_ends_is_committed(backend: Backend) -> None:
    done: list[int] = []

    async def write(store: Store, number: int) -> None:
        done.append((await store.commit(commit(f"note/{number}"))).seq)

    async with trio.open_nursery() as nursery, backend.open() as store:
        await store.begin_epoch()
        for number in range(40):
            nursery.start_soon(write, store, number)
        # Two passes: by then all forty have had their turn, whatever the order within a pass.
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
    assert done == [1] * 40
    async with backend.open() as store:
        assert (await store.check()).events == 40


async def test_a_closed_store_says_so(backend: Backend) -> None:
    async with backend.open() as store:
        await store.begin_epoch()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.commit(commit())


async def test_an_error_of_the_block_comes_out_as_it_is(backend: Backend) -> None:
    with pytest.raises(ZeroDivisionError, match="mine"):
        async with backend.open():
            raise ZeroDivisionError("mine")


async def test_a_cancelled_block_closes_the_store_and_loses_nothing(backend: Backend) -> None:
    with trio.CancelScope() as scope:
        async with backend.open() as store:
            await store.begin_epoch()
            await store.commit(commit())
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    async with backend.open() as store:
        assert await store.newest("note/1") == 1
