"""Moving a store: from each kind into each, and what is found when the two differ."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable
from pathlib import Path

import pytest
import trio

from engine.errors import CopyDiffers, ImportRefused
from engine.store import Claim, CopyProgress, Snapshot, Store, Transferred, copy_store
from tests.engine.store.parts import (
    Backend,
    MemoryBackend,
    PostgresBackend,
    SqliteBackend,
    commit,
    dump,
    row,
)

KINDS = ("memory", "sqlite", "postgres")


@pytest.fixture
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Backend]:
    """What makes a place for a store of some kind."""

    def one(kind: str) -> Backend:
        if kind == "postgres":
            return PostgresBackend(request.getfixturevalue("postgres"))
        return MemoryBackend() if kind == "memory" else SqliteBackend(tmp_path)

    return one


async def fill(store: Store) -> None:
    epoch = await store.begin_epoch()
    async with trio.open_nursery() as nursery:
        for number in range(1_203):
            tags = {"z": "ü", "a": str(number), "B": "\U0001f600"}
            names = f"z{number}", f"A{number}"
            one = commit(
                f"note/{number}",
                epoch=epoch,
                count=number % 4,
                row=row(tags=tags, created=number, summary=b"\x00\xff") if number % 3 else None,
                claims=[Claim(alias=name, expires_at_ms=9) for name in names],
                snapshot=Snapshot(seq=0, body=b"s") if number % 5 else None,
            )
            nursery.start_soon(store.commit, one)


@pytest.mark.parametrize(("source", "target"), [(a, b) for a in KINDS for b in KINDS if a != b])
async def test_a_copy_holds_the_same_as_its_source_whatever_both_are_kept_in(
    make: Callable[[str], Backend], source: str, target: str
) -> None:
    reports: list[CopyProgress] = []
    async with make(source).open() as one, make(target).open() as other:
        await fill(one)
        done = await copy_store(one, other, report=reports.append)
        assert done == Transferred(streams=1_203, events=1_803, aliases=2_406)
        assert sorted(await dump(other)) == sorted(await dump(one))
        assert (await other.check()).problems == ()
        assert await other.begin_epoch() == 2
        await other.commit(commit("note/0", epoch=2))
    assert [(one.verifying, one.streams) for one in reports] == [
        (False, 1_000),
        (False, 1_203),
        (True, 1_000),
        (True, 1_203),
    ]
    assert reports[-1].events == 1_803


@pytest.mark.parametrize("target", KINDS)
async def test_a_target_that_is_not_empty_is_left_as_it_is(
    make: Callable[[str], Backend], target: str
) -> None:
    async with MemoryBackend().open() as one, make(target).open() as other:
        await fill(one)
        await other.commit(commit("note/mine", epoch=0))
        before = await dump(other)
        with pytest.raises(ImportRefused, match="not empty"):
            await copy_store(one, other, report=lambda _: None)
        assert await dump(other) == before


async def test_a_copy_that_differs_is_found_out_and_named() -> None:
    class Forgetful:
        """A store that loses one stream and alters another as they come in."""

        def __init__(self, store: Store) -> None:
            self._store = store

        def __getattr__(self, name: str) -> object:
            return getattr(self._store, name)

        async def import_lines(self, lines: AsyncIterable[bytes]) -> Transferred:
            done = await self._store.import_lines(lines)
            await self._store.erase("note/7", epoch=9)
            await self._store.commit(commit("note/9", seq=1, epoch=9))
            return done

    async with MemoryBackend().open() as one, MemoryBackend().open() as other:
        await fill(one)
        forgetful: Store = Forgetful(other)  # type: ignore[assignment] # all else is the store's
        with pytest.raises(CopyDiffers, match="2 sessions differ") as caught:
            await copy_store(one, forgetful, report=lambda _: None)
    assert caught.value.streams == ("note/7", "note/9")
