"""The inbox: a bounded lane of messages, a control lane before it, and those who wait for room.

Laws of this file:
- The lane never holds more than `capacity` messages. A slot that comes free goes to the sender that
  has waited longest, in the same step, so that nobody who comes later gets past it.
- The consumer parks only after it has seen both lanes empty, and every append wakes it; each append
  and its wake are protected against KeyboardInterrupt together.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Final

from trio.lowlevel import Abort, Task, enable_ki_protection, reschedule

from engine.errors import ActorStopped, DeliveryError, InboxFull
from engine.request import WOKEN, AskerGone, Request

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
            reschedule(task, WOKEN)

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
