"""What a commit does, and when it is refused."""

from __future__ import annotations

import msgspec
import pytest
import trio

from engine.errors import AliasTaken, CommitConflict, CommitInvalid, CommitRefused, StaleEpoch
from engine.store import Claim, CommitDone, Event, Loaded, Snapshot, Store
from tests.engine.store.parts import commit, events, row


async def test_a_commit_writes_all_of_its_parts(store: Store) -> None:
    snapshot = Snapshot(seq=1, body=b"state")
    whole = row(summary=b"{}", due_at_ms=7, tags={"business": "B1", "flow": "id"})
    claim = Claim(alias="key/1", payload=b"first", expires_at_ms=900)

    done = await store.commit(commit(count=2, snapshot=snapshot, row=whole, claims=[claim]))

    assert done == CommitDone(seq=2)
    assert await store.load("note/1") == Loaded(seq=2, epoch=1, snapshot=snapshot, row=whole)
    assert (await store.read("note/1")).events == events(1, 2)
    alias = await store.resolve("key/1")
    assert alias is not None
    assert (alias.stream, alias.payload, alias.expires_at_ms) == ("note/1", b"first", 900)


async def test_commits_of_one_stream_build_on_each_other(store: Store) -> None:
    await store.commit(commit(count=3))
    assert await store.commit(commit(seq=3, count=2)) == CommitDone(seq=5)
    assert [event.seq for event in (await store.read("note/1")).events] == [1, 2, 3, 4, 5]


async def test_a_commit_without_events_changes_the_rest(store: Store) -> None:
    await store.commit(commit(row=row(status="active")))
    assert await store.commit(commit(seq=1, count=0, row=row(status="closed"))) == CommitDone(seq=1)
    loaded = await store.load("note/1")
    assert loaded.seq == 1
    assert loaded.row == row(status="closed")


async def test_what_a_commit_does_not_name_stays(store: Store) -> None:
    snapshot = Snapshot(seq=1, body=b"state")
    await store.commit(commit(row=row(), snapshot=snapshot, claims=[Claim(alias="a")]))
    await store.commit(commit(seq=1))
    assert await store.load("note/1") == Loaded(seq=2, epoch=1, snapshot=snapshot, row=row())
    assert await store.resolve("a") is not None


@pytest.mark.parametrize("expected", [0, 1, 3])
async def test_a_writer_that_knows_another_sequence_gets_a_conflict(
    store: Store, expected: int
) -> None:
    await store.commit(commit(count=2))
    with pytest.raises(CommitConflict) as caught:
        await store.commit(commit(seq=expected))
    assert (caught.value.expected_seq, caught.value.newest_seq) == (expected, 2)


async def test_a_newer_epoch_takes_a_stream_over_and_the_older_one_is_told_so(store: Store) -> None:
    await store.begin_epoch()
    await store.commit(commit(epoch=1))
    await store.commit(commit(seq=1, epoch=2))
    with pytest.raises(StaleEpoch) as caught:
        await store.commit(commit(seq=2, epoch=1))
    assert (caught.value.epoch, caught.value.newest_epoch) == (1, 2)
    assert (await store.load("note/1")).epoch == 2


async def test_an_older_epoch_is_told_so_even_if_it_also_lags_behind(store: Store) -> None:
    await store.begin_epoch()
    await store.commit(commit(epoch=2, count=5))
    with pytest.raises(StaleEpoch):
        await store.commit(commit(epoch=1))


async def test_an_alias_belongs_to_one_stream_at_a_time(store: Store) -> None:
    await store.commit(commit("note/1", claims=[Claim(alias="active/ann")]))
    with pytest.raises(AliasTaken) as caught:
        await store.commit(commit("note/2", claims=[Claim(alias="active/ann")]))
    assert (caught.value.alias, caught.value.holder) == ("active/ann", "note/1")
    assert "active/ann" not in str(caught.value)  # an alias may be a credential's digest


async def test_a_released_alias_can_be_claimed_by_another(store: Store) -> None:
    await store.commit(commit("note/1", claims=[Claim(alias="active/ann")]))
    await store.commit(commit("note/1", seq=1, releases=["active/ann"]))
    assert await store.resolve("active/ann") is None
    await store.commit(commit("note/2", claims=[Claim(alias="active/ann")]))
    alias = await store.resolve("active/ann")
    assert alias is not None
    assert alias.stream == "note/2"


async def test_nobody_releases_the_alias_of_another(store: Store) -> None:
    await store.commit(commit("note/1", claims=[Claim(alias="a")]))
    await store.commit(commit("note/2", releases=["a", "never claimed"]))
    with pytest.raises(AliasTaken):
        await store.commit(commit("note/2", seq=1, releases=["a"], claims=[Claim(alias="a")]))
    alias = await store.resolve("a")
    assert alias is not None
    assert alias.stream == "note/1"


async def test_releasing_comes_before_claiming(store: Store) -> None:
    await store.commit(commit(claims=[Claim(alias="a", payload=b"old")]))
    await store.commit(commit(seq=1, releases=["a"], claims=[Claim(alias="a", payload=b"new")]))
    alias = await store.resolve("a")
    assert alias is not None
    assert alias.payload == b"new"


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (commit(seq=7, row=row(), claims=[Claim(alias="b")]), CommitConflict),
        (commit(seq=1, epoch=0, row=row(), claims=[Claim(alias="b")]), StaleEpoch),
        (commit(seq=1, row=row(), claims=[Claim(alias="b"), Claim(alias="a")]), AliasTaken),
    ],
)
async def test_nothing_of_a_refused_commit_is_written(
    store: Store, refused: object, error: type[CommitRefused]
) -> None:
    await store.commit(commit("note/0", claims=[Claim(alias="a")]))
    await store.commit(commit("note/1"))
    before = await store.load("note/1")
    with pytest.raises(error):
        await store.commit(refused)  # type: ignore[arg-type] # of parametrize's making
    assert await store.load("note/1") == before
    assert await store.resolve("b") is None
    assert len((await store.read("note/1")).events) == 1


async def test_of_racing_commits_one_wins_each_sequence(store: Store) -> None:
    outcomes: list[CommitDone | CommitConflict] = []

    async def race(number: int) -> None:
        body = b"%d" % number
        event = Event(seq=1, type="note", at_ms=0, body=body)
        try:
            outcomes.append(await store.commit(commit(events=[event])))
        except CommitConflict as conflict:
            outcomes.append(conflict)

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(race, number)
    assert outcomes.count(CommitDone(seq=1)) == 1
    assert len(outcomes) == 50
    assert len((await store.read("note/1")).events) == 1


async def test_of_racing_claims_one_wins(store: Store) -> None:
    won: list[str] = []
    lost: list[str] = []

    async def race(stream: str) -> None:
        try:
            await store.commit(commit(stream, claims=[Claim(alias="active/ann")]))
            won.append(stream)
        except AliasTaken as taken:
            lost.append(taken.holder)

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(race, f"note/{number}")
    assert len(won) == 1
    assert lost == won * 49


async def test_a_refused_commit_harms_no_other_of_its_batch(store: Store) -> None:
    """Hundred commits that begin together, every second one refused for some reason."""
    await store.commit(commit("note/held", claims=[Claim(alias="a")]))
    refused: list[CommitRefused] = []

    async def write(number: int) -> None:
        wrong = [{"claims": [Claim(alias="a")]}, {"seq": 5, "events": events(6)}][number // 2 % 2]
        try:
            await store.commit(commit(f"note/{number}", **(wrong if number % 2 else {})))
        except CommitRefused as error:
            refused.append(error)

    async with trio.open_nursery() as nursery:
        for number in range(100):
            nursery.start_soon(write, number)
    assert len(refused) == 50
    for number in range(100):
        assert await store.newest(f"note/{number}") == (number + 1) % 2


async def test_commits_may_be_in_flight_one_behind_another(store: Store) -> None:
    async with trio.open_nursery() as nursery:
        for seq in range(30):
            nursery.start_soon(store.commit, commit(seq=seq))
            await trio.lowlevel.checkpoint()
    assert (await store.read("note/1")).events == events(1, 30)


MALFORMED = {
    "no kind": {"stream": "1"},
    "no id": {"stream": "note/"},
    "a space": {"stream": "note/a b"},
    "too long": {"stream": "note/" + "x" * 300},
    "a surrogate": {"stream": "note/\ud800"},
    "negative": {"expected_seq": -1},
    "huge": {"expected_seq": 2**60, "events": ()},
    "epoch": {"epoch": -1},
    "gap": {"events": events(2)},
    "twice": {"events": (*events(1), *events(1))},
    "many": {"events": events(1, 1001)},
    "heavy": {"events": events(1, size=9 * 1024 * 1024)},
    "no type": {"events": events(1, kind="")},
    "type": {"events": events(1, kind="\ud800")},
    "time": {"events": [Event(seq=1, type="note", at_ms=-1, body=b"")]},
    "snapshot": {"snapshot": Snapshot(seq=2, body=b"")},
    "owner": {"row": row(owner="nul\0")},
    "long owner": {"row": row(owner="x" * 600)},
    "status": {"row": row(status="")},
    "created": {"row": row(created=-1)},
    "due": {"row": row(due_at_ms=2**60)},
    "tag": {"row": row(tags={"a": "\udfff"})},
    "tag name": {"row": row(tags={'"': "x"})},
    "tags": {"row": row(tags={str(number): "" for number in range(100)})},
    "alias": {"claims": [Claim(alias="")]},
    "aliases": {"claims": [Claim(alias=str(number)) for number in range(100)]},
    "release": {"releases": ["\0"]},
    "expiry": {"claims": [Claim(alias="a", expires_at_ms=-5)]},
}


@pytest.mark.parametrize("parts", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_commit_is_refused_with_a_reason(
    store: Store, parts: dict[str, object]
) -> None:
    malformed = msgspec.structs.replace(commit(), **parts)
    with pytest.raises(CommitInvalid) as caught:
        await store.commit(malformed)
    assert caught.value.reason
    assert await store.newest("note/1") == 0


async def test_a_commit_that_no_type_checker_saw_harms_no_other_of_its_batch(store: Store) -> None:
    wrong = msgspec.structs.replace(commit("note/wrong"), row=row(summary=object()))
    with pytest.raises((CommitInvalid, TypeError)):
        await store.commit(wrong)
    await store.commit(commit("note/right"))
