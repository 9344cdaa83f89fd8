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

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Final

import outcome
from trio.lowlevel import Abort, Task, enable_ki_protection, reschedule

from engine.deadlines import Bucket
from engine.errors import ActorStopped, AskTimeout, DeliveryError, InboxFull, MooringError


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
        reschedule(task)
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


_NOWHERE: Final[deque[Any]] = deque(maxlen=0)  # what is appended to it is dropped


class Inbox:
    """What an actor is sent, in order; only its actor's task takes from it."""

    __slots__ = (
        "address",
        "bound",
        "capacity",
        "control",
        "forwarded",
        "holds",
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
        # Ordered by arrival. Not a dict: finding the first of one that is emptied from its front
        # takes longer the more have gone before.
        self.senders: OrderedDict[Request, Any] | None = None
        self.forwarded: dict[Request, Any] | None = None  # not yet begun, whose leaving matters
        self.holds = 0  # how many leavings were numbered
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

    def signal_gone(self, gone: AskerGone) -> None:
        """Signal that an asker has left.

        Askers that one cancellation takes away leave in no particular order (Trio keeps a scope's
        tasks in a set); their actor hears of them in the order in which they were held.
        """
        self.signal(gone)
        control = self.control
        assert control is not None  # noqa: S101 - signal has just made it
        at = len(control) - 1
        while at > 0 and type(control[at - 1]) is AskerGone:
            if control[at - 1].number < gone.number:
                break
            control[at - 1], control[at] = control[at], control[at - 1]
            at -= 1

    @enable_ki_protection
    def wake(self) -> None:
        task = self.sleeper
        if task is not None:
            self.sleeper = None
            reschedule(task)

    def wait_in_line(self, request: Request) -> None:
        """Let a request wait for room, behind those that wait already."""
        if self.senders is None:
            self.senders = OrderedDict()
        request.place = self.senders
        self.senders[request] = None

    def number_leaving(self) -> int:
        """Return the number of the next held ask, by which leavings are put in order."""
        self.holds += 1
        return self.holds

    def hold(self, request: Request, on_gone: Any) -> None:
        """Let the leaving of a forwarded request, until it is begun, send `on_gone`."""
        if self.forwarded is None:
            self.forwarded = {}
        self.forwarded[request] = AskerGone(on_gone, self.number_leaving())
        request.place = self.forwarded

    @enable_ki_protection
    def admit(self) -> None:
        """Give the slot that has just come free to the sender that has waited longest."""
        senders, lane = self.senders, self.lane
        if not senders or lane is None:
            return
        request, _ = senders.popitem(last=False)
        request.place = None
        if type(request) is Request:
            lane.append(request)
        else:
            lane.append(request.message)
            request.answer(None)

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
        for entry in left:
            if isinstance(entry, Request):
                entry.fail(ActorStopped(self.address, entry.message))

    def end(self) -> None:
        """Close, and drop what is signalled from now on: the actor has ended."""
        self.close()
        self.control = _NOWHERE
