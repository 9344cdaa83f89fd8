"""Standing in line: gathering, cancellation, deadlines, bounds, and storage that stalls.

The line is the same for every store. Here its storage is a puppet, in virtual time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.errors import CommitUnknown, StoreDamaged, StoreUnavailable
from engine.store import Commit, CommitDone, CommitLimits
from engine.store._group_commit import GroupCommit, Outcome, running
from tests.engine.store.parts import commit


class Storage:
    """Storage that answers when it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.answer = trio.Event()
        self.answer.set()
        self.error: BaseException | None = None

    async def apply(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        self.batches.append([one.stream for one in commits])
        await self.answer.wait()
        if self.error is not None:
            raise self.error
        return [CommitDone(seq=one.newest_seq) for one in commits]


class ReturningStorage(Storage):
    """Storage that goes away and comes back."""

    def __init__(self) -> None:
        super().__init__()
        self.here = trio.Event()
        self.trouble: str | None = None

        self.looks = 0

    async def wait_ready(self) -> None:
        self.looks += 1
        await self.here.wait()


@asynccontextmanager
async def _line(storage: Storage, limits: CommitLimits | None = None) -> AsyncIterator[GroupCommit]:
    recovery = storage if isinstance(storage, ReturningStorage) else None
    group = GroupCommit(storage.apply, limits or CommitLimits(), recovery)
    async with running(group, close_timeout_s=10):
        yield group


def _names(first: int, count: int) -> list[str]:
    return [f"note/{number}" for number in range(first, first + count)]


async def _write(group: GroupCommit, names: list[str], nursery: trio.Nursery) -> None:
    """Put commits in line, in this order."""
    for name in names:
        nursery.start_soon(group.commit, commit(name), 10)
        await wait_all_tasks_blocked()


async def test_everybody_whom_a_batch_woke_is_in_the_next_one(autojump_clock: MockClock) -> None:
    storage = Storage()

    async def write(group: GroupCommit, name: str) -> None:
        for seq in range(5):
            await group.commit(commit(name, seq=seq), 10)

    async with _line(storage) as group, trio.open_nursery() as nursery:
        for name in _names(0, 16):
            nursery.start_soon(write, group, name)
    assert [len(batch) for batch in storage.batches] == [16] * 5


async def test_commits_begin_in_the_order_in_which_they_came(autojump_clock: MockClock) -> None:
    storage = Storage()
    async with _line(storage, CommitLimits(batch=3)) as group, trio.open_nursery() as nursery:
        storage.answer = trio.Event()
        await _write(group, _names(0, 10), nursery)
        storage.answer.set()
    assert [*chain.from_iterable(storage.batches)] == _names(0, 10)
    assert max(map(len, storage.batches)) == 3


async def test_a_batch_is_bounded_in_bytes(autojump_clock: MockClock) -> None:
    storage = Storage()
    limits = CommitLimits(batch_bytes=1_000)  # a commit of one small event counts as 360
    async with _line(storage, limits) as group, trio.open_nursery() as nursery:
        storage.answer = trio.Event()
        await _write(group, _names(0, 5), nursery)
        storage.answer.set()
    assert [len(batch) for batch in storage.batches] == [1, 2, 2]


async def test_a_commit_cancelled_in_line_never_happens(autojump_clock: MockClock) -> None:
    storage = Storage()
    async with _line(storage) as group, trio.open_nursery() as nursery:
        storage.answer = trio.Event()
        await _write(group, ["note/first"], nursery)
        with trio.CancelScope() as scope:
            nursery.start_soon(_cancel_when_blocked, scope)
            await group.commit(commit("note/cancelled"), 10)
        assert scope.cancelled_caught
        assert group.statistics(reads=0).waiting == 0
        assert group.statistics(reads=0).waiting_bytes == 0
        storage.answer.set()
    assert storage.batches == [["note/first"]]


async def test_a_commit_cancelled_before_it_stood_in_line_never_happens(
    autojump_clock: MockClock,
) -> None:
    storage = Storage()
    async with _line(storage) as group:
        with trio.CancelScope() as scope:
            scope.cancel()
            await group.commit(commit(), 10)
        assert scope.cancelled_caught
    assert storage.batches == []


async def test_a_commit_that_has_begun_is_not_cancelled_but_answered(
    autojump_clock: MockClock,
) -> None:
    storage = Storage()
    done: list[CommitDone] = []
    async with _line(storage) as group, trio.open_nursery() as nursery:
        storage.answer = trio.Event()
        with trio.CancelScope() as scope:
            nursery.start_soon(_cancel_when_blocked, scope)
            nursery.start_soon(_set_later, storage.answer)
            done.append(await group.commit(commit(), 10))
            # The cancellation comes now, at the first checkpoint after the outcome.
            await trio.lowlevel.checkpoint()
            raise AssertionError("the cancellation was lost")
        assert scope.cancelled_caught
    assert done == [CommitDone(seq=1)]


async def _cancel_when_blocked(scope: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    scope.cancel()


async def _set_later(event: trio.Event) -> None:
    await trio.sleep(5)
    event.set()


async def test_a_commit_that_cannot_begin_in_time_is_refused_at_its_deadline(
    autojump_clock: MockClock,
) -> None:
    storage = Storage()
    async with _line(storage) as group, trio.open_nursery() as nursery:
        storage.answer = trio.Event()
        await _write(group, ["note/first"], nursery)
        began = trio.current_time()
        nursery.start_soon(_expect_unavailable, group, 7.0, began)
        nursery.start_soon(_expect_unavailable, group, 2.0, began)
        nursery.start_soon(_expect_unavailable, group, 4.0, began)
        await trio.sleep(8)
        storage.answer.set()
    assert storage.batches == [["note/first"]]


async def _expect_unavailable(group: GroupCommit, timeout_s: float, began: float) -> None:
    with pytest.raises(StoreUnavailable, match="in time"):
        await group.commit(commit(f"note/{timeout_s:.0f}"), timeout_s)
    assert trio.current_time() - began == pytest.approx(timeout_s)


@pytest.mark.parametrize("limits", [CommitLimits(waiting=3), CommitLimits(waiting_bytes=1_100)])
async def test_a_full_line_refuses_at_once(autojump_clock: MockClock, limits: CommitLimits) -> None:
    storage = Storage()
    async with _line(storage, limits) as group, trio.open_nursery() as nursery:
        storage.answer = trio.Event()
        await _write(group, _names(0, 4), nursery)  # one has begun, three stand in line
        with pytest.raises(StoreUnavailable, match="too many"):
            await group.commit(commit("note/more"), 10)
        storage.answer.set()
    assert [*chain.from_iterable(storage.batches)] == _names(0, 4)


async def test_storage_that_stalls_leaves_nobody_waiting_and_takes_nothing_more(
    autojump_clock: MockClock,
) -> None:
    storage = Storage()
    storage.answer = trio.Event()
    errors: list[type[Exception]] = []

    async def write(group: GroupCommit, name: str) -> None:
        try:
            await group.commit(commit(name), 100)
        except (CommitUnknown, StoreUnavailable) as error:
            errors.append(type(error))

    async with _line(storage, CommitLimits(stall_s=30)) as group:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, group, "note/begun")
            await wait_all_tasks_blocked()
            nursery.start_soon(write, group, "note/waiting")
        assert trio.current_time() == pytest.approx(30)
        assert errors == [CommitUnknown, StoreUnavailable]
        with pytest.raises(StoreUnavailable, match="restart"):
            await group.commit(commit("note/later"), 10)


async def test_a_store_that_crashes_leaves_nobody_waiting(
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage = Storage()
    storage.error = ZeroDivisionError("a bug")
    async with _line(storage) as group:
        with pytest.raises(CommitUnknown, match="ZeroDivisionError"):
            await group.commit(commit(), 10)
        with pytest.raises(StoreUnavailable):
            await group.commit(commit(), 10)
    assert "crashed" in caplog.text


async def test_storage_that_is_damaged_says_so(autojump_clock: MockClock) -> None:
    damaged = StoreDamaged("mooring.db", detail="the image is malformed")

    class Damaged(Storage):
        async def apply(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
            return [damaged for _ in commits]

    async with _line(Damaged()) as group:
        with pytest.raises(StoreDamaged):
            await group.commit(commit(), 10)
        assert group.statistics(reads=0).failing == "the image is malformed"


async def test_while_the_storage_is_away_commits_wait_in_line_until_their_deadlines(
    autojump_clock: MockClock,
) -> None:
    storage = ReturningStorage()
    storage.trouble = "it is gone from 10.0.0.7"
    refused: list[str] = []

    async def write(group: GroupCommit, name: str, timeout_s: float) -> None:
        try:
            await group.commit(commit(name), timeout_s)
        except StoreUnavailable as error:
            refused.append(error.reason)

    async with _line(storage) as group, trio.open_nursery() as nursery:
        nursery.start_soon(write, group, "note/early", 2)
        nursery.start_soon(write, group, "note/patient", 20)
        with trio.CancelScope() as scope:
            nursery.start_soon(_cancel_when_blocked, scope)
            await group.commit(commit("note/cancelled"), 20)
        await trio.sleep(10)
        assert storage.batches == []
        assert group.statistics(reads=0).failing == "the database is away"
        storage.trouble = None
        found = group.statistics(reads=0)
        assert (found.failing, found.failed_at) == ("a commit could not begin in time", 2)
        storage.here.set()
    assert refused == ["a commit could not begin in time: it is gone from 10.0.0.7"]
    assert storage.batches == [["note/patient"]]


async def test_storage_that_comes_back_is_written_to_after_an_outcome_that_stayed_unknown(
    autojump_clock: MockClock,
) -> None:
    storage = ReturningStorage()
    storage.here.set()
    storage.answer = trio.Event()
    async with _line(storage, CommitLimits(stall_s=5)) as group:
        with pytest.raises(CommitUnknown):
            await group.commit(commit("note/lost"), 10)
        storage.answer.set()
        await group.commit(commit("note/next"), 10)
    assert storage.batches == [["note/lost"], ["note/next"]]


async def test_storage_that_may_go_away_is_looked_after_while_nobody_writes(
    autojump_clock: MockClock,
) -> None:
    storage = ReturningStorage()
    storage.here.set()
    async with _line(storage) as group:
        await trio.sleep(59)
        assert storage.looks == 11
        await group.commit(commit("note/after"), 1)
        storage.here = trio.Event()
        await trio.sleep(60)
        assert storage.looks == 13  # of which the last one waits for it to come back
        closing = trio.current_time()
    assert trio.current_time() == closing


async def test_closing_while_the_storage_is_away_refuses_what_waits(
    autojump_clock: MockClock,
) -> None:
    storage = ReturningStorage()
    refused: list[str] = []

    async def write(group: GroupCommit) -> None:
        try:
            await group.commit(commit(), 1_000)
        except StoreUnavailable as error:
            refused.append(error.reason)

    async with trio.open_nursery() as nursery, _line(storage) as group:
        nursery.start_soon(write, group)
        await wait_all_tasks_blocked()
    assert trio.current_time() == pytest.approx(10)
    assert refused == ["it is closed"]


async def test_closing_finishes_the_line(autojump_clock: MockClock) -> None:
    storage = Storage()
    refused: list[str] = []

    async def write(group: GroupCommit, name: str) -> None:
        try:
            await group.commit(commit(name), 1_000)
        except StoreUnavailable as error:
            refused.append(error.reason)

    async with trio.open_nursery() as nursery:
        async with _line(storage, CommitLimits(batch=1)) as group:
            storage.answer = trio.Event()
            for name in _names(0, 3):
                nursery.start_soon(write, group, name)
            await wait_all_tasks_blocked()
            nursery.start_soon(_set_later, storage.answer)
        assert trio.current_time() == pytest.approx(5)
    assert len(storage.batches) == 3
    assert refused == []


async def test_closing_refuses_what_its_deadline_cuts_off(autojump_clock: MockClock) -> None:
    storage = Storage()
    storage.answer = trio.Event()
    refused: list[str] = []

    async def write(group: GroupCommit, name: str) -> None:
        try:
            await group.commit(commit(name), 1_000)
        except StoreUnavailable as error:
            refused.append(error.reason)

    limits = CommitLimits(batch=1, stall_s=60)
    async with trio.open_nursery() as nursery, _line(storage, limits) as group:
        for name in _names(0, 3):
            nursery.start_soon(write, group, name)
        await wait_all_tasks_blocked()
        nursery.start_soon(_sleep_and_set, storage.answer)
    assert len(storage.batches) == 1  # the one that had begun was waited for
    assert refused == ["it is closed"] * 2


async def _sleep_and_set(event: trio.Event) -> None:
    await trio.sleep(20)
    event.set()


async def test_an_idle_line_sleeps_for_ever_without_a_tick(autojump_clock: MockClock) -> None:
    storage = Storage()
    async with _line(storage) as group:
        await group.commit(commit(), 10)
        await trio.sleep(80_000)
        await group.commit(commit(seq=1), 10)
    assert trio.current_time() == pytest.approx(80_000)


async def test_statistics_count_what_became_of_each_commit(autojump_clock: MockClock) -> None:
    storage = Storage()
    async with _line(storage) as group:
        await group.commit(commit(count=3), 10)
        await group.commit(commit(seq=3), 10)
        statistics = group.statistics(reads=5)
    assert (statistics.commits, statistics.events, statistics.batches) == (2, 4, 2)
    assert (statistics.refused, statistics.failed, statistics.waiting) == (0, 0, 0)
    assert (statistics.largest_batch, statistics.reads) == (1, 5)
