"""Taking away: erased streams and pruned events."""

from __future__ import annotations

import pytest

from engine.errors import CommitConflict, StaleEpoch
from engine.store import Claim, Due, ListQuery, Loaded, Snapshot, Store
from tests.engine.store.parts import Backend, commit, dump, events, row


async def _full(store: Store, stream: str) -> None:
    await store.commit(
        commit(
            stream,
            count=3,
            row=row(due_at_ms=5, tags={"t": "1"}),
            snapshot=Snapshot(seq=3, body=b"state"),
            claims=[Claim(alias=f"alias of {stream}")],
        )
    )


async def test_an_erased_stream_is_gone_from_everywhere(store: Store) -> None:
    empty = await dump(store)
    await _full(store, "note/1")
    await store.erase("note/1", epoch=1)
    assert await store.load("note/1") == Loaded()
    assert (await store.read("note/1")).newest_seq == 0
    assert await store.resolve("alias of note/1") is None
    assert await store.due(100) == ()
    for query in (ListQuery(kind="note"), ListQuery(kind="note", tags={"t": "1"})):
        assert (await store.list_rows(query)).entries == ()
    assert await dump(store) == empty


async def test_erasing_one_stream_leaves_the_others(store: Store) -> None:
    for name in ("note/1", "note/2", "note/3"):
        await _full(store, name)
    await store.erase("note/2", epoch=1)
    for name in ("note/1", "note/3"):
        assert (await store.read(name)).events == events(1, 3)
        assert await store.resolve(f"alias of {name}") is not None
    assert await store.due(100) == tuple(
        Due(due_at_ms=5, stream=name) for name in ("note/1", "note/3")
    )


async def test_who_still_believes_in_an_erased_stream_gets_a_conflict(store: Store) -> None:
    await _full(store, "note/1")
    await store.erase("note/1", epoch=1)
    with pytest.raises(CommitConflict):
        await store.commit(commit("note/1", seq=3))


async def test_a_stream_may_begin_anew_after_it_was_erased(store: Store) -> None:
    await _full(store, "note/1")
    await store.erase("note/1", epoch=1)
    await store.commit(commit("note/1", claims=[Claim(alias="alias of note/1")]))
    assert (await store.read("note/1")).events == events(1)
    assert (await store.load("note/1")).snapshot is None


async def test_an_older_epoch_erases_nothing(store: Store) -> None:
    await store.begin_epoch()
    await store.commit(commit(epoch=2))
    with pytest.raises(StaleEpoch):
        await store.erase("note/1", epoch=1)
    assert await store.newest("note/1") == 1


@pytest.mark.parametrize("stream", ["note/none", "\ud800", ""])
async def test_erasing_what_is_not_there_is_fine(store: Store, stream: str) -> None:
    await store.erase(stream, epoch=1)
    assert await store.prune(stream, types=frozenset({"a"}), after=0, through=10) == 0


async def test_a_long_stream_is_erased_in_steps_that_leave_nothing(store: Store) -> None:
    for seq in range(0, 6_000, 1_000):
        await store.commit(commit(seq=seq, count=1_000))
    await store.commit(commit("note/2", count=2))
    await store.erase("note/1", epoch=1)
    report = await store.check()
    assert (report.streams, report.events) == (1, 2)
    assert (await store.read("note/2")).events == events(1, 2)


async def test_pruning_takes_the_types_and_the_stretch_that_it_is_told(store: Store) -> None:
    for seq in range(0, 12, 3):
        mixed = (*events(seq + 1, 2, kind="delta"), *events(seq + 3, kind="done"))
        await store.commit(commit(seq=seq, events=mixed))
    deltas = frozenset({"delta", "other"})
    assert await store.prune("note/1", types=deltas, after=3, through=9) == 4
    page = await store.read("note/1")
    assert [event.seq for event in page.events] == [1, 2, 3, 6, 9, 10, 11, 12]
    assert await store.prune("note/1", types=deltas, after=3, through=9) == 0


async def test_a_reader_gets_over_what_was_pruned(store: Store) -> None:
    await store.commit(commit(events=(*events(1, 50, kind="delta"), *events(51))))
    assert await store.prune("note/1", types=frozenset({"delta"}), after=0, through=51) == 50
    page = await store.read("note/1", after=10)
    assert (page.events, page.through) == (events(51), 51)


async def test_the_newest_event_is_never_pruned_so_the_stream_keeps_its_place(
    backend: Backend,
) -> None:
    async with backend.open() as store:
        await store.begin_epoch()
        await store.commit(commit(events=events(1, 5, kind="delta")))
        assert await store.prune("note/1", types=frozenset({"delta"}), after=0, through=99) == 4
    async with backend.open() as store:
        assert await store.newest("note/1") == 5
        await store.commit(commit(seq=5))
        assert await store.prune("note/1", types=frozenset({"delta"}), after=0, through=99) == 1
        assert (await store.read("note/1")).events == events(6)


async def test_a_long_stretch_is_pruned_in_steps(store: Store) -> None:
    for seq in range(0, 3_000, 500):
        mixed = (*events(seq + 1, 499, kind="delta"), *events(seq + 500, kind="done"))
        await store.commit(commit(seq=seq, events=mixed))
    assert (
        await store.prune("note/1", types=frozenset({"delta"}), after=0, through=10**6) == 6 * 499
    )
    page = await store.read("note/1")
    assert [event.seq for event in page.events] == [500, 1000, 1500, 2000, 2500, 3000]
