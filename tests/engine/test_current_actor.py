"""Who is at work, found in the tree of tasks."""

from __future__ import annotations

from typing import Any

import trio

from engine import Actor, JobEnded, Supervisor
from engine.cell import current_actor


class Witness(Actor):
    """Says who it believes to be, in its hooks, its handler and its job."""

    def __init__(self, seen: list[str | None]) -> None:
        self.seen = seen

    async def on_start(self) -> None:
        self.seen.append(current_actor())

    def handle(self, message: Any) -> Any:
        self.seen.append(current_actor())
        self.start_job("job", self.work)

    async def work(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.look)  # also deeper than its own task

    async def look(self) -> None:
        self.seen.append(current_actor())

    def handle_job_end(self, end: JobEnded) -> None:
        self.seen.append(current_actor())


async def test_an_actor_knows_itself_in_hooks_handlers_and_jobs(supervisor: Supervisor) -> None:
    seen: list[str | None] = []
    ref = supervisor.spawn(lambda: Witness(seen), "witness/1")
    await ref.ask("go", timeout_s=1)
    await trio.testing.wait_all_tasks_blocked()
    assert seen == ["witness/1"] * 4


async def test_outside_of_every_actor_there_is_none() -> None:
    assert current_actor() is None
    assert await trio.to_thread.run_sync(current_actor) is None


def test_outside_of_trio_there_is_none() -> None:
    assert current_actor() is None
