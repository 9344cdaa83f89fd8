"""Lists out of the catalogue: filters, order, cursors."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import msgspec
import pytest

from engine.errors import CursorInvalid
from engine.store import Listing, ListQuery, Store
from tests.engine.store.parts import Backend, commit, put, row


async def _streams(store: Store, **query: object) -> Sequence[str]:
    listing = await store.list_rows(ListQuery(**{"kind": "note", **query}))  # type: ignore[arg-type]
    return [entry.stream for entry in listing.entries]


async def _walk(store: Store, query: ListQuery) -> Sequence[str]:
    """All pages of a list."""
    found: list[str] = []
    while True:
        listing = await store.list_rows(query)
        assert len(listing.entries) <= query.limit
        found += [entry.stream for entry in listing.entries]
        if listing.next_cursor is None:
            return found
        assert len(listing.entries) == query.limit
        query = msgspec.structs.replace(query, cursor=listing.next_cursor)


async def test_a_list_holds_all_of_a_kind_newest_first(store: Store) -> None:
    await put(store, "note/a", created=1)
    await put(store, "note/b", created=3)
    await put(store, "note/c", created=2)
    await put(store, "hosted/d", created=4)
    assert await _streams(store) == ["note/b", "note/c", "note/a"]
    assert await _streams(store, newest_first=False) == ["note/a", "note/c", "note/b"]
    assert await _streams(store, kind="nothing") == []


async def test_a_list_gives_the_rows_as_they_are_now(store: Store) -> None:
    tags = {"business": "B1", "flow.x-1": 'ü"\\'}
    await put(store, "note/a", created=1)
    newer = row(created=1, updated_at_ms=9, due_at_ms=5, summary=b"\x00{}", tags=tags)
    await store.commit(commit("note/a", seq=1, row=newer))
    (entry,) = (await store.list_rows(ListQuery(kind="note"))).entries
    assert entry.row == newer


async def test_a_stream_without_a_row_is_in_no_list(store: Store) -> None:
    await store.commit(commit("note/a"))
    assert await _streams(store) == []
    assert await _streams(store, owner="") == []


async def test_filters_narrow_a_list_in_any_combination(store: Store) -> None:
    """Every row that a filter does not name is one that it must leave out."""
    rows = {
        f"note/{owner}{status}{business}{flow}": row(
            owner, status, created, tags={"business": business, "flow": flow}
        )
        for created, (owner, status, business, flow) in enumerate(
            (o, s, b, f) for o in "xy" for s in "12" for b in "BC" for f in "mn"
        )
    }
    for stream, one in rows.items():
        await store.commit(commit(stream, row=one))
    for owner in (None, "x", "z"):
        for status in (None, "2"):
            for tags in ({}, {"flow": "m"}, {"flow": "m", "business": "C"}, {"other": "m"}):
                expected = [
                    stream
                    for stream, one in reversed(rows.items())
                    if owner in (None, one.owner)
                    and status in (None, one.status)
                    and tags.items() <= dict(one.tags).items()
                ]
                query = ListQuery(kind="note", owner=owner, status=status, tags=tags, limit=3)
                assert await _walk(store, query) == expected


async def test_a_row_moves_between_lists_as_it_changes(store: Store) -> None:
    await put(store, "note/a", owner="ann", status="active", tags={"business": "B1", "x": "1"})
    changed = row("bob", "closed", tags={"business": "B2"})
    await store.commit(commit("note/a", seq=1, row=changed))
    for gone in ({"owner": "ann"}, {"status": "active"}, {"tags": {"x": "1"}}):
        assert await _streams(store, **gone) == []
    assert await _streams(store, tags={"business": "B1"}) == []
    for there in ({"owner": "bob"}, {"status": "closed"}, {"tags": {"business": "B2"}}):
        assert await _streams(store, **there) == ["note/a"]
    assert await _streams(store, status="closed", tags={"business": "B2"}) == ["note/a"]


async def test_rows_of_the_same_millisecond_are_neither_lost_nor_doubled(store: Store) -> None:
    names = [f"note/{number:02}" for number in range(25)]
    for name in names:
        await put(store, name, created=5, tags={"t": "1"})
    for filters in ({}, {"owner": "ann"}, {"status": "active"}, {"tags": {"t": "1"}}):
        query = ListQuery(kind="note", limit=4, **filters)  # type: ignore[arg-type]
        assert await _walk(store, query) == names[::-1]
        oldest = msgspec.structs.replace(query, newest_first=False)
        assert await _walk(store, oldest) == names


async def test_what_is_created_or_erased_between_two_pages_shifts_nothing(store: Store) -> None:
    for number in range(6):
        await put(store, f"note/{number}", created=number)
    query = ListQuery(kind="note", limit=2)
    first = await store.list_rows(query)
    await put(store, "note/new", created=99)
    await store.erase("note/4", epoch=1)  # the last one of the first page
    query = msgspec.structs.replace(query, cursor=first.next_cursor)
    assert await _walk(store, query) == ["note/3", "note/2", "note/1", "note/0"]


async def test_the_last_page_has_no_cursor_even_when_it_is_full(store: Store) -> None:
    for number in range(4):
        await put(store, f"note/{number}", created=number)
    assert (await store.list_rows(ListQuery(kind="note", limit=4))).next_cursor is None


async def test_a_cursor_goes_on_with_another_limit_and_after_a_restart(backend: Backend) -> None:
    async with backend.open() as store:
        await store.begin_epoch()
        for number in range(6):
            await put(store, f"note/{number}", created=number)
        cursor = (await store.list_rows(ListQuery(kind="note", limit=2))).next_cursor
    async with backend.open() as store:
        assert await _streams(store, cursor=cursor, limit=100) == [
            f"note/{number}" for number in (3, 2, 1, 0)
        ]


async def _cursor(store: Store) -> str:
    for number in range(3):
        await put(store, f"note/{number}", created=number)
    cursor = (await store.list_rows(ListQuery(kind="note", limit=1))).next_cursor
    assert cursor is not None
    return cursor


@pytest.mark.parametrize(
    "made_up",
    ["", "x", "AAAA", "===", "not base64!", "ü", "\ud800", "A" * 10_000, "MQ", "\n", "a b"],
)
async def test_a_made_up_cursor_is_refused(store: Store, made_up: str) -> None:
    await _cursor(store)
    with pytest.raises(CursorInvalid):
        await _streams(store, cursor=made_up)


async def test_an_altered_cursor_is_refused(store: Store) -> None:
    cursor = await _cursor(store)
    for place in range(len(cursor)):
        for letter in "AQz9-_ =":
            if (altered := cursor[:place] + letter + cursor[place + 1 :]) != cursor:
                with pytest.raises(CursorInvalid):
                    await _streams(store, cursor=altered)
    for altered in (cursor + "A", cursor[:-1], cursor + "=", cursor + "\n"):
        with pytest.raises(CursorInvalid):
            await _streams(store, cursor=altered)


@pytest.mark.parametrize(
    "other",
    [
        {"kind": "hosted"},
        {"owner": "ann"},
        {"status": "active"},
        {"tags": {"a": "b"}},
        {"newest_first": False},
    ],
)
async def test_a_cursor_of_another_list_is_refused(store: Store, other: dict[str, object]) -> None:
    cursor = await _cursor(store)
    with pytest.raises(CursorInvalid):
        await _streams(store, cursor=cursor, **other)


async def test_a_cursor_tells_nothing_that_its_page_did_not(store: Store) -> None:
    """A tenant must not read from it how many sessions others have."""
    cursor = await _cursor(store)
    sealed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    assert msgspec.msgpack.decode(sealed[16:]) == [2, "note/2"]


@pytest.mark.parametrize(
    "filters",
    [{"kind": "\ud800"}, {"owner": "\ud800"}, {"status": "x" * 9999}, {"tags": {"a": "\0"}}],
)
async def test_what_no_row_can_hold_matches_nothing(
    store: Store, filters: dict[str, object]
) -> None:
    await put(store, "note/1")
    listing = await store.list_rows(ListQuery(**{"kind": "note", **filters}))  # type: ignore[arg-type]
    assert listing == Listing(entries=(), next_cursor=None)


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_list_without_bounds_is_not_read(store: Store, limit: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        await store.list_rows(ListQuery(kind="note", limit=limit))
