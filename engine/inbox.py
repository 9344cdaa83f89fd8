"""The inbox: a bounded lane of messages, a control lane before it, and those who wait for room.

Laws of this file:
- The lane never holds more than `capacity` messages. A slot that comes free goes to the sender that
  has waited longest, in the same step, so that nobody who comes later gets past it.
- A `Request` is completed exactly once. Whoever takes `task` out of it owns the completion, and in
  one synchronous step takes it, leaves the deadline's bucket and reschedules the task.
- An asker that leaves (timeout, cancellation) takes its request back before any other task runs: a
  message that was not begun is never begun.
- The consumer parks only after it has seen both lanes empty, and every append wakes it; each append
  and its wake are protected against KeyboardInterrupt together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import outcome
from trio.lowlevel import Abort, Task, enable_ki_protection, reschedule

from engine.deadlines import Bucket
from engine.errors import ActorStopped, AskTimeout, DeliveryError, InboxFull


class Request:
    """One waiting caller: an ask until it is answered, or a tell until there is room for it."""

    __slots__ = ("bucket", "inbox", "is_tell", "message", "place", "task")

    def __init__(self, message: Any, inbox: Inbox, task: Task, *, is_tell: bool = False) -> None:
        self.message = message
        self.inbox = inbox
        self.task: Task | None = task  # None once completed, or once the caller has left
        self.is_tell = is_tell
        self.bucket: Bucket | None = None
        # Where the request lies when it must be found by its leaving: among the senders that wait
        # for room, or among the deferred, there with the message that its leaving sends.
        self.place: dict[Request, Any] | None = None

    @enable_ki_protection
    def complete(self, result: outcome.Outcome[Any]) -> bool:
        """End the caller's wait; False when it has already ended."""
        task = self.task
        if task is None:
            return False
        self.task = None
        if self.bucket is not None:
            self.bucket.pop(self, None)
        if self.place is not None:
            self.place.pop(self, None)
        reschedule(task, result)
        return True

    def expire(self) -> None:
        """The caller's deadline has passed."""
        error: Exception
        if self.is_tell:
            error = InboxFull(self.inbox.address, self.message)
        else:
            error = AskTimeout(self.inbox.address, self.message)
        task = self.task
        if task is not None:
            self.task = None
            self._leave()
            reschedule(task, outcome.Error(error))

    def abort(self, _raise_cancel: Any) -> Abort:
        """The caller is cancelled; runs before any other task does."""
        self.task = None
        self._leave()
        return Abort.SUCCEEDED

    def _leave(self) -> None:
        if self.bucket is not None:
            self.bucket.pop(self, None)
        if self.place is not None:
            gone = self.place.pop(self, None)
            if gone is not None:
                self.inbox.signal(gone)


class AskerGone:
    """Carries the message that a deferred ask's leaving sends to the actor that deferred it."""

    __slots__ = ("message",)

    def __init__(self, message: Any) -> None:
        self.message = message


class Inbox:
    """What an actor is sent, in order; only its actor's task takes from it."""

    __slots__ = (
        "address",
        "bound",
        "capacity",
        "control",
        "forwarded",
        "lane",
        "senders",
        "sleeper",
    )

    def __init__(self, address: str, capacity: int) -> None:
        self.address = address
        self.capacity = capacity
        self.bound = capacity  # 0 once closed, so that one comparison answers both questions
        self.lane: deque[Any] | None = None  # an empty deque takes 600 bytes: only while in use
        self.control: deque[Any] | None = None
        self.senders: dict[Request, Any] | None = None
        self.forwarded: dict[Request, Any] | None = None  # not yet handled, whose leaving matters
        self.sleeper: Task | None = None

    @property
    def closed(self) -> bool:
        return self.bound == 0

    def refusal(self, message: Any) -> DeliveryError:
        """Why a message cannot be taken now."""
        if self.closed:
            return ActorStopped(self.address, message)
        return InboxFull(self.address, message)

    @enable_ki_protection
    def signal(self, message: Any) -> None:
        """Put a message before all ordinary ones; after the actor's end it is dropped."""
        if self.control is None:
            self.control = deque()
        self.control.append(message)
        self.wake()

    @enable_ki_protection
    def wake(self) -> None:
        task = self.sleeper
        if task is not None:
            self.sleeper = None
            reschedule(task)

    def wait_in_line(self, request: Request) -> None:
        """Let a request wait for room, behind those that wait already."""
        if self.senders is None:
            self.senders = {}
        request.place = self.senders
        self.senders[request] = None

    def hold(self, request: Request, gone: AskerGone) -> dict[Request, Any]:
        """Let a forwarded request's leaving send `gone`; returns where it lies."""
        if self.forwarded is None:
            self.forwarded = {}
        self.forwarded[request] = gone
        return self.forwarded

    @enable_ki_protection
    def admit(self) -> None:
        """Give the slot that has just come free to the sender that has waited longest."""
        senders, lane = self.senders, self.lane
        if not senders or lane is None:
            return
        request = next(iter(senders))
        if request.is_tell:
            lane.append(request.message)
            request.complete(outcome.Value(None))
        else:
            del senders[request]
            request.place = None
            lane.append(request)

    def open_lane(self) -> deque[Any]:
        self.lane = deque()
        return self.lane

    def park(self, task: Task) -> Callable[[Any], Abort]:
        """Let the next append wake `task`; returns the abort function to park it with."""
        self.sleeper = task
        if not self.lane:
            self.lane = None
        return self._unpark

    def _unpark(self, _raise_cancel: Any) -> Abort:
        self.sleeper = None
        return Abort.SUCCEEDED

    def close(self) -> None:
        """Take nothing more; those who wait for room or for an answer get `ActorStopped`."""
        self.bound = 0
        left = (*(self.lane or ()), *(self.control or ()), *(self.senders or ()))
        self.lane = None
        for request in left:
            if type(request) is not Request:
                continue
            stopped = ActorStopped(self.address, request.message)
            request.complete(outcome.Error(stopped))
