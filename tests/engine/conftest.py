"""What holds for every test of the engine: afterwards nothing is left."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from engine import Supervisor, open_supervisor
from tests.engine.tasks import living_tasks


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No actor, no deadline and no thread outlives the test that made it."""
    supervisors: list[Supervisor] = []
    threads = set(threading.enumerate())
    make = Supervisor.__init__

    def remember(self: Supervisor, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        supervisors.append(self)

    monkeypatch.setattr(Supervisor, "__init__", remember)
    yield
    for supervisor in supervisors:
        assert supervisor.statistics().actors == 0, supervisor.name
        assert len(supervisor.deadlines) == 0, supervisor.name
    # Trio keeps a worker thread for a while; its name says that nothing runs in it.
    left = {thread.name for thread in set(threading.enumerate()) - threads}
    assert all("Trio thread" in name for name in left), left


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    """A root supervisor; when it has closed, no task of it is left."""
    before = living_tasks()
    async with open_supervisor("test") as opened:
        yield opened
    assert not living_tasks() - before
