"""Reading a stream's log, page by page."""

from __future__ import annotations

import pytest

from engine.store import Loaded, Page, Store
from tests.engine.store.parts import commit, events


async def test_a_page_says_how_far_it_goes_and_how_far_there_is_to_go(store: Store) -> None:
    await store.commit(commit(count=10))
    page = await store.read("note/1", after=2, limit=3)
    assert page == Page(events=events(3, 3), through=5, newest_seq=10)
    page = await store.read("note/1", after=page.through)
    assert page == Page(events=events(6, 5), through=10, newest_seq=10)
    page = await store.read("note/1", after=10)
    assert page == Page(events=(), through=10, newest_seq=10)


async def test_pages_join_without_a_seam_across_many_commits(store: Store) -> None:
    for seq in range(0, 60, 4):
        await store.commit(commit(seq=seq, count=4))
        await store.commit(commit("note/other", seq=seq, count=4))
    seen: list[int] = []
    after = 0
    while (page := await store.read("note/1", after=after, limit=7)).events:
        seen += [event.seq for event in page.events]
        after = page.through
    assert seen == [*range(1, 61)]


async def test_a_page_is_bounded_in_bytes_but_always_gets_on(store: Store) -> None:
    await store.commit(commit(events=(*events(1, 3, size=100), *events(4, size=900))))
    assert len((await store.read("note/1", max_bytes=250)).events) == 2
    page = await store.read("note/1", after=3, max_bytes=1)
    assert page == Page(events=events(4, size=900), through=4, newest_seq=4)


async def test_bodies_come_back_byte_for_byte(store: Store) -> None:
    body = bytes(range(256)) * 5
    await store.commit(commit(events=[type(events(1)[0])(seq=1, type="ü", at_ms=3, body=body)]))
    (event,) = (await store.read("note/1")).events
    assert (event.type, event.at_ms, event.body) == ("ü", 3, body)


@pytest.mark.parametrize("stream", ["note/none", "", "/", "\0", "\ud800", "x" * 10_000, "note/'"])
async def test_an_unknown_stream_is_empty(store: Store, stream: str) -> None:
    await store.commit(commit())
    assert await store.read(stream) == Page(events=(), through=0, newest_seq=0)
    assert await store.load(stream) == Loaded()
    assert await store.newest(stream) == 0
    assert await store.resolve(stream) is None


async def test_reading_behind_the_newest_gives_the_newest(store: Store) -> None:
    await store.commit(commit(count=2))
    assert await store.read("note/1", after=99) == Page(events=(), through=2, newest_seq=2)


@pytest.mark.parametrize(("limit", "max_bytes"), [(0, 10), (1001, 10), (-1, 10), (5, 0)])
async def test_a_page_without_bounds_is_not_read(store: Store, limit: int, max_bytes: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        await store.read("note/1", limit=limit, max_bytes=max_bytes)
