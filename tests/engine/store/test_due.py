"""Waking what is due."""

from __future__ import annotations

from engine.store import Due, Store
from tests.engine.store.parts import Backend, commit, put, row


async def test_what_is_due_comes_earliest_first(store: Store) -> None:
    for name, due in (("a", 30), ("b", 10), ("c", None), ("d", 20), ("e", 10)):
        await put(store, f"note/{name}", due_at_ms=due)
    await put(store, "hosted/f", due_at_ms=15)
    assert await store.due(20) == (
        Due(due_at_ms=10, stream="note/b"),
        Due(due_at_ms=10, stream="note/e"),
        Due(due_at_ms=15, stream="hosted/f"),
        Due(due_at_ms=20, stream="note/d"),
    )
    assert await store.due(9) == ()


async def test_one_that_never_gets_done_does_not_hide_those_behind_it(store: Store) -> None:
    for number in range(7):
        await put(store, f"note/{number}", due_at_ms=number // 3)
    seen: list[str] = []
    last: Due | None = None
    while page := await store.due(100, limit=2, after=last):
        seen += [due.stream for due in page]
        last = page[-1]
    assert seen == [f"note/{number}" for number in range(7)]


async def test_a_later_commit_moves_or_clears_what_is_due(store: Store) -> None:
    await put(store, "note/1", due_at_ms=5)
    await store.commit(commit(seq=1, row=row(due_at_ms=50)))
    assert await store.due(10) == ()
    await store.commit(commit(seq=2, row=row()))
    assert await store.due(100) == ()


async def test_the_next_time_anything_is_due_is_one_look(store: Store) -> None:
    await put(store, "note/1", due_at_ms=500)
    await put(store, "note/2", due_at_ms=400)
    assert await store.due(2**53, limit=1) == (Due(due_at_ms=400, stream="note/2"),)


async def test_what_was_due_while_nothing_ran_is_due_after_the_restart(backend: Backend) -> None:
    async with backend.open() as store:
        await store.begin_epoch()
        await put(store, "note/1", due_at_ms=5)
    async with backend.open() as store:
        assert await store.due(10) == (Due(due_at_ms=5, stream="note/1"),)
