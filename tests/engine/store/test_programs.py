"""Random programs on every store, held against the model after every step.

Programs write (rightly, lagging, ahead, with an old epoch, several at once), prune, erase, let time
pass, restart and crash. A crash is a restart from a copy of the files as they are on disk at that
moment, without anything being closed.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import CommitRefused
from engine.store import Claim, Commit, Event, ListQuery, Snapshot, Store
from tests.engine.store.model import Model
from tests.engine.store.parts import (
    Backend,
    MemoryBackend,
    PostgresBackend,
    SqliteBackend,
    row,
)

STREAMS = ("note/a", "note/b", "hosted/c")
ALIASES = ("k", "l", "m")
TYPES = ("note", "delta")


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """A commit whose sequence and epoch are off by so much from what would be right."""

    stream: str
    seq_off: int
    epoch_off: int
    types: Sequence[str]
    snapshot: bool
    row: tuple[str, str, int, int | None, str] | None
    claims: Sequence[tuple[str, int | None]]
    releases: Sequence[str]


class Prune(msgspec.Struct, frozen=True):
    stream: str
    after: int
    through: int


class Erase(msgspec.Struct, frozen=True):
    stream: str
    epoch_off: int


class Pass(msgspec.Struct, frozen=True):
    ms: int


class Together(msgspec.Struct, frozen=True):
    writes: Sequence[Write]


class Simple(msgspec.Struct, frozen=True):
    what: str


_mostly_right = st.sampled_from([0, 0, 0, 0, 0, 0, -1, 1])
_writes = st.builds(
    Write,
    stream=st.sampled_from(STREAMS),
    seq_off=_mostly_right,
    epoch_off=st.sampled_from([0, 0, 0, 0, -1]),
    types=st.lists(st.sampled_from(TYPES), max_size=4),
    snapshot=st.booleans(),
    row=st.none()
    | st.tuples(
        st.sampled_from(["ann", "bob"]),
        st.sampled_from(["active", "closed"]),
        st.integers(0, 3),
        st.none() | st.integers(0, 30),
        st.sampled_from(["B1", "B2"]),
    ),
    claims=st.lists(
        st.tuples(st.sampled_from(ALIASES), st.none() | st.integers(1, 40)),
        max_size=2,
    ),
    releases=st.lists(st.sampled_from(ALIASES), max_size=2),
)
_steps = st.one_of(
    _writes,
    st.builds(Together, st.lists(_writes, min_size=2, max_size=8)),
    st.builds(Prune, st.sampled_from(STREAMS), st.integers(0, 20), st.integers(0, 40)),
    st.builds(Erase, st.sampled_from(STREAMS), st.sampled_from([0, 0, -1])),
    st.builds(Pass, st.integers(1, 20)),
    st.builds(Simple, st.sampled_from(["epoch", "forget", "restart", "crash"])),
)


class Run:
    """One program on one store, and the model beside it."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.model = Model()
        self.marks = 0

    async def play(self, steps: Sequence[Any]) -> None:
        remaining = [Simple("epoch"), *steps]
        while remaining:
            async with AsyncExitStack() as stack:
                store = await stack.enter_async_context(self.backend.open())
                await self.compare(store)
                while remaining:
                    step = remaining.pop(0)
                    if step == Simple("crash"):
                        self.copy_as_it_is()
                        break
                    if step == Simple("restart"):
                        break
                    await self.step(store, step)
                    await self.compare(store)
        async with self.backend.open() as store:
            await self.compare(store)
            assert (await store.check()).problems == ()

    async def step(self, store: Store, step: Any) -> None:
        model = self.model
        match step:
            case Write():
                await self.write(store, [step])
            case Together():
                await self.write(store, step.writes)
            case Prune():
                delta = frozenset({"delta"})
                expected = model.prune(step.stream, delta, step.after, step.through)
                assert expected == await store.prune(
                    step.stream, types=delta, after=step.after, through=step.through
                )
            case Erase():
                epoch = max(0, model.epoch + step.epoch_off)
                outcome = await _outcome(store.erase(step.stream, epoch=epoch))
                assert outcome == model.erase(step.stream, epoch)
            case Pass():
                model.now_ms += step.ms
                self.backend.clock.now_ms = model.now_ms  # type: ignore[attr-defined]
            case Simple("epoch"):
                model.epoch += 1
                assert await store.begin_epoch() == model.epoch
            case Simple("forget"):
                assert await store.forget_expired() == model.forget_expired()

    async def write(self, store: Store, writes: Sequence[Write]) -> None:
        """Write all at once; the model does so in the order in which they stood in line."""

        async def one(write: Write) -> None:
            commit = self.commit_of(write)
            expected = self.model.commit(commit)
            done = await _outcome(store.commit(commit))
            assert getattr(done, "seq", done) == expected

        async with trio.open_nursery() as nursery:
            for write in writes:
                nursery.start_soon(one, write)

    def commit_of(self, write: Write) -> Commit:
        self.marks += 1
        mark = str(self.marks).encode()
        seq = max(0, self.model.newest(write.stream) + write.seq_off)
        events = tuple(
            Event(seq=number, type=kind, at_ms=number, body=mark)
            for number, kind in enumerate(write.types, start=seq + 1)
        )
        snapshot = Snapshot(seq=seq + len(events), body=mark) if write.snapshot else None
        claims = [
            Claim(alias=name, payload=mark, expires_at_ms=expiry) for name, expiry in write.claims
        ]
        return Commit(
            stream=write.stream,
            epoch=max(0, self.model.epoch + write.epoch_off),
            expected_seq=seq,
            events=events,
            snapshot=snapshot,
            row=None if write.row is None else _row(write.row, mark),
            claims=claims,
            releases=write.releases,
        )

    def copy_as_it_is(self) -> None:
        """Go on with the files as a crash would leave them: the log is not written back."""
        if isinstance(self.backend, SqliteBackend):
            copy = Path(tempfile.mkdtemp(dir=self.backend.path.parent))
            for suffix in ("", "-wal"):
                shutil.copy(f"{self.backend.path}{suffix}", f"{copy / 'store.db'}{suffix}")
            clock, self.backend = self.backend.clock, SqliteBackend(copy)
            self.backend.clock = clock

    async def compare(self, store: Store) -> None:
        for stream in STREAMS:
            assert await store.load(stream) == self.model.load(stream)
            assert await self.all_events(store, stream) == self.model.events.get(stream, [])
        for alias in ALIASES:
            assert await store.resolve(alias) == self.model.resolve(alias)
        for filters in _FILTERS:
            assert await _walk(store, filters) == self.model.listed(*filters)
        assert [*await store.due(15)] == self.model.due(15)

    async def all_events(self, store: Store, stream: str) -> list[Event]:
        found: list[Event] = []
        after = 0
        while True:
            page = await store.read(stream, after=after, limit=1 + self.marks % 5)
            found += page.events
            after = page.through
            assert page.newest_seq == self.model.newest(stream)
            if after == page.newest_seq:
                return found


_FILTERS: Sequence[tuple[str, str | None, str | None, dict[str, str]]] = [
    ("note", None, None, {}),
    ("note", "ann", None, {}),
    ("note", None, "active", {"business": "B1"}),
    ("hosted", "bob", "closed", {"business": "B2"}),
]


def _row(parts: tuple[str, str, int, int | None, str], mark: bytes) -> Any:
    owner, status, created, due, business = parts
    return row(owner, status, created, due_at_ms=due, summary=mark, tags={"business": business})


async def _walk(store: Store, filters: Any) -> Sequence[str]:
    kind, owner, status, tags = filters
    query = ListQuery(kind=kind, owner=owner, status=status, tags=tags, limit=1)
    found: list[str] = []
    while True:
        listing = await store.list_rows(query)
        found += [entry.stream for entry in listing.entries]
        if listing.next_cursor is None:
            return found
        query = msgspec.structs.replace(query, cursor=listing.next_cursor)


async def _outcome(awaitable: Any) -> Any:
    try:
        return await awaitable
    except CommitRefused as error:
        return type(error)


_SMALL = {
    "engine.store._sqlite_tail.TAIL_ENTRIES": 5,
    "engine.store._sqlite_tail.TAIL_BATCHES": 1,
    "engine.store._sqlite_heads.REMEMBERED": 1,
    "engine.store._sqlite_erase.STEP": 3,
    "engine.store._postgres_erase.STEP": 3,
}


@pytest.fixture(scope="module", params=["memory", "sqlite", "postgres"])
def make(request: pytest.FixtureRequest) -> Callable[[Path], Backend]:
    """What makes a new place for a store, out of a folder."""
    match request.param:
        case "memory":
            return lambda _: MemoryBackend()
        case "sqlite":
            return SqliteBackend
        case _:
            server = request.getfixturevalue("postgres")
            return lambda _: PostgresBackend(server)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(_steps, max_size=25), small=st.booleans())
def test_a_store_does_what_the_model_does(
    make: Callable[[Path], Backend], steps: Sequence[Any], small: bool
) -> None:
    """With small bounds, a short program reaches what otherwise takes thousands of events."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for name, value in _SMALL.items() if small else ():
            stack.enter_context(mock.patch(name, value))
        trio.run(Run(make(Path(folder))).play, steps)
