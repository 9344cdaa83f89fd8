"""Every store there is: add the next one to `BACKENDS`, and the whole suite runs against it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from engine.store import SqliteStore, Store, open_sqlite
from tests.engine.store.parts import Backend, MemoryBackend, PostgresBackend, SqliteBackend

BACKENDS: dict[str, Callable[[pytest.FixtureRequest], Backend]] = {
    "memory": lambda _: MemoryBackend(),
    "sqlite": lambda request: SqliteBackend(request.getfixturevalue("tmp_path")),
    "postgres": lambda request: PostgresBackend(request.getfixturevalue("postgres")),
}


@pytest.fixture(params=[*BACKENDS])
def backend(request: pytest.FixtureRequest) -> Backend:
    """A place for a store that has none yet."""
    return BACKENDS[request.param](request)


@pytest.fixture
async def store(backend: Backend) -> AsyncIterator[Store]:
    """An empty store; at the end of the test it is found to be sound."""
    async with backend.open() as opened:
        await opened.begin_epoch()
        yield opened
        assert (await opened.check()).problems == ()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a SQLite store of its own may be made."""
    return tmp_path / "store.db"


@pytest.fixture
async def sqlite(path: Path) -> AsyncIterator[SqliteStore]:
    """An empty store in the file at `path`."""
    async with open_sqlite(path) as opened:
        await opened.begin_epoch()
        yield opened
