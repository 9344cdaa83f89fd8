"""Every store there is: add the next one to `BACKENDS`, and the whole suite runs against it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from engine.store import Store
from tests.engine.store.parts import Backend, MemoryBackend, SqliteBackend

BACKENDS: dict[str, Callable[[Path], Backend]] = {
    "memory": lambda _: MemoryBackend(),
    "sqlite": SqliteBackend,
}


@pytest.fixture(params=[*BACKENDS])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """A place for a store that has none yet."""
    return BACKENDS[request.param](tmp_path)


@pytest.fixture
async def store(backend: Backend) -> AsyncIterator[Store]:
    """An empty store; at the end of the test it is found to be sound."""
    async with backend.open() as opened:
        await opened.begin_epoch()
        yield opened
        assert (await opened.check()).problems == ()
