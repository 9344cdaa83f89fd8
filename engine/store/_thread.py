"""One thread of our own, for the connection that writes.

`trio.to_thread.run_sync` lets every other ready task run before its work begins. Here work begins
at once, so that the next batch is on its way to the disk while the loop still wakes those who
waited for the last one.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Generator
from queue import SimpleQueue
from typing import Any, Final, Generic, TypeVar, cast

import trio

_T = TypeVar("_T")


class _Job(Generic[_T]):
    """Work on its way through the thread; at most one task awaits it.

    A cancelled wait is given up, and the work goes on.
    """

    __slots__ = ("_done", "_error", "_result", "_task", "_work", "then")

    def __init__(self, work: Callable[[], _T], then: Callable[[], None] | None) -> None:
        self._work = work
        self.then = then
        self._result: _T | None = None
        self._error: BaseException | None = None
        self._done = False
        self._task: trio.lowlevel.Task | None = None

    def __await__(self) -> Generator[Any, Any, _T]:
        return self._wait().__await__()

    def do(self) -> None:
        """Called once, in the thread."""
        try:
            self._result = self._work()
        except BaseException as error:
            self._error = error

    def deliver(self) -> None:
        """Called once, on the loop, after the work."""
        self._done = True
        if self._task is not None:
            trio.lowlevel.reschedule(self._task)

    @trio.lowlevel.enable_ki_protection
    async def _wait(self) -> _T:
        if not self._done:
            self._task = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._give_up)
        if self._error is not None:
            raise self._error
        return cast(_T, self._result)

    def _give_up(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED


class WorkerThread:
    """Does work in order, one thing at a time. Made inside `trio.run`; close it."""

    def __init__(self, name: str) -> None:
        self._jobs: Final[SimpleQueue[_Job[Any] | None]] = SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()
        # A daemon: a disk that never answers must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def begin(
        self, work: Callable[[], _T], *, then: Callable[[], None] | None = None
    ) -> Awaitable[_T]:
        """Put work in line at once; its result may be awaited, once.

        Args:
            then: done after the result is on its way, before the next work; must not raise.
        """
        job = _Job(work, then)
        self._jobs.put(job)
        return job

    async def close(self, timeout_s: float) -> None:
        """End the thread when its line is empty; after the deadline it is left to its stall."""
        last = self.begin(lambda: None)
        self._jobs.put(None)
        with trio.move_on_after(timeout_s, shield=True):
            await last
            self._thread.join()  # at once: it has nothing left to do but to end

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.do()
            try:
                self._token.run_sync_soon(job.deliver)
            except trio.RunFinishedError:
                return
            if job.then is not None:
                job.then()
