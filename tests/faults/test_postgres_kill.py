"""`kill -9` of PostgreSQL while one open store is written to: nothing acknowledged is lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

from engine.errors import CommitUnknown, StoreUnavailable
from engine.store import Claim, Store
from tests.engine.store.parts import PostgresBackend, commit, events, row
from tests.faults.private_postgres import PrivatePostgres, private_postgres
from tests.faults.rounds import ROUNDS, chance, tell

_WRITERS = 16


@pytest.fixture(scope="module")
def durable_postgres() -> Iterator[PrivatePostgres]:
    """A server that flushes to the disk, and may be killed."""
    with private_postgres(durable=True) as server:
        yield server


class Load:
    """Writers that each know what was acknowledged to them."""

    def __init__(self, store: Store, epoch: int) -> None:
        self.store = store
        self.epoch = epoch
        self.acknowledged: dict[str, int] = {}
        self.unknown = self.unavailable = 0
        self.changed = trio.Event()

    async def write(self, stream: str) -> None:
        seq = 0
        while True:
            mark = str(seq + 2).encode()
            whole = commit(
                stream,
                seq=seq,
                count=2,
                epoch=self.epoch,
                row=row(summary=mark),
                claims=[Claim(alias=f"{stream} {seq + 2}")],
            )
            try:
                seq = (await self.store.commit(whole, timeout_s=0.5)).seq
            except StoreUnavailable:
                self.unavailable += 1
                continue
            except CommitUnknown:
                self.unknown += 1
                seq = await self._look(stream)
            self.acknowledged[stream] = seq
            self.changed.set()
            self.changed = trio.Event()

    async def _look(self, stream: str) -> int:
        while True:
            try:
                return (await self.store.load(stream)).seq
            except StoreUnavailable:
                continue

    async def wait_more(self, commits: int) -> None:
        """Wait until so many more commits have been acknowledged."""
        with trio.fail_after(60):
            for _ in range(commits):
                await self.changed.wait()


async def test_what_was_acknowledged_survives_the_database_being_killed_under_load(
    durable_postgres: PrivatePostgres,
) -> None:
    moments = chance("postgres")
    backend = PostgresBackend(durable_postgres)
    async with backend.open() as store:
        load = Load(store, await store.begin_epoch())
        async with trio.open_nursery() as nursery:
            for number in range(_WRITERS):
                nursery.start_soon(load.write, f"note/{number}")
            for _ in range(ROUNDS):
                await load.wait_more(moments.randrange(20, 120))
                await trio.to_thread.run_sync(durable_postgres.kill)
                before = dict(load.acknowledged)
                await trio.to_thread.run_sync(durable_postgres.start)
                await load.wait_more(20)  # it has recovered by itself
                for stream, seq in before.items():
                    assert await store.newest(stream) >= seq
            nursery.cancel_scope.cancel()
        await _hold_against(store, load)
    tell(
        f"{ROUNDS} kills of PostgreSQL: {sum(load.acknowledged.values())} events acknowledged, "
        f"none lost; {load.unavailable} refused in time, {load.unknown} looked up by their writers"
    )


async def _hold_against(store: Store, load: Load) -> None:
    """Each stream is whole, holds all that was acknowledged, and at most what was on its way."""
    assert (await store.check()).problems == ()
    for stream, seq in load.acknowledged.items():
        loaded = await store.load(stream)
        assert seq <= loaded.seq <= seq + 2
        assert loaded.row is not None
        assert loaded.row.summary == str(loaded.seq).encode()
        assert await store.resolve(f"{stream} {loaded.seq}") is not None
        seen, after = [], 0
        while after < loaded.seq:
            page = await store.read(stream, after=after, limit=1_000)
            seen += page.events
            after = page.through
        assert tuple(seen) == events(1, loaded.seq)
