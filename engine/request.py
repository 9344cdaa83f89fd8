"""A waiting caller: an ask until it has ended, or a tell until there is room for it.

Laws of this file:
- A `Request` is completed exactly once. Whoever takes `task` out of it owns the completion, and in
  one synchronous step takes it, leaves the deadline's bucket and reschedules the task.
- A caller that leaves (timeout, cancellation) takes its request back before any other task runs: a
  message that was not begun is never begun.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import TYPE_CHECKING, Any, Final

import outcome
from trio.lowlevel import Abort, Task, enable_ki_protection, reschedule

from engine.deadlines import Bucket
from engine.errors import AskTimeout, InboxFull, MooringError

if TYPE_CHECKING:
    from engine.inbox import Inbox


class _Woken(outcome.Outcome[None]):
    """Nothing, for a task that only has to go on.

    Trio makes a new object for that each time, which is a sixth of what an ask costs.
    """

    __slots__ = ()

    def unwrap(self) -> None:
        return None

    def send(self, gen: Generator[Any, None, object]) -> Any:
        return gen.send(None)

    async def asend(self, agen: AsyncGenerator[Any, None]) -> Any:
        return await agen.asend(None)


WOKEN: Final = _Woken()


class Request:
    """One waiting caller: an ask, until it has ended."""

    __slots__ = ("bucket", "inbox", "message", "place", "task", "value")

    def __init__(self, message: Any, inbox: Inbox, task: Task, bucket: Bucket) -> None:
        self.message = message
        self.inbox = inbox
        self.task: Task | None = task  # None once completed, or once the caller has left
        self.bucket = bucket
        bucket[self] = None
        # Where the request lies when it must be found by its leaving: among the senders that wait
        # for room, or among those held, there with what its leaving sends.
        self.place: dict[Request, Any] | None = None

    value: Any  # the answer, once there is one

    @enable_ki_protection
    def answer(self, value: Any) -> bool:
        """End the caller's wait with `value`; False when it has already ended."""
        task = self._take_task()
        if task is None:
            return False
        self.value = value
        reschedule(task, WOKEN)
        return True

    @enable_ki_protection
    def fail(self, error: Exception) -> bool:
        """End the caller's wait with `error`; False when it has already ended."""
        task = self._take_task()
        if task is None:
            return False
        reschedule(task, outcome.Error(error))
        return True

    def expire(self) -> None:
        """The caller's deadline has passed."""
        task = self._leave()
        if task is not None:
            reschedule(task, outcome.Error(self._overdue()))

    def abort(self, _raise_cancel: Any) -> Abort:
        """The caller is cancelled; runs before any other task does."""
        self._leave()
        return Abort.SUCCEEDED

    def _overdue(self) -> MooringError:
        return AskTimeout(self.inbox.address, self.message)

    def _leave(self) -> Task | None:
        gone = None if self.place is None else self.place.get(self)
        task = self._take_task()
        if gone is not None:
            self.inbox.signal_gone(gone)
        return task

    def _take_task(self) -> Task | None:
        task = self.task
        if task is not None:
            self.task = None
            self.bucket.pop(self, None)
            if self.place is not None:
                self.place.pop(self, None)
        return task


class WaitingTell(Request):
    """A tell that waits for room."""

    __slots__ = ()

    def _overdue(self) -> MooringError:
        return InboxFull(self.inbox.address, self.message)


class AskerGone:
    """Carries the message that the leaving of a held ask sends to the actor that has it.

    `holder` is who deferred it, and the message is only for that one; None for an ask that was
    forwarded and has not been begun.
    """

    __slots__ = ("holder", "message", "number")

    def __init__(self, message: Any, number: int, holder: object = None) -> None:
        self.message = message
        self.number = number
        self.holder = holder
