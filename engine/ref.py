"""The ref: the only handle on an actor that anybody else holds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import TYPE_CHECKING, Any, Final

import msgspec
from trio.lowlevel import (
    checkpoint,
    current_task,
    enable_ki_protection,
    reschedule,
    wait_task_rescheduled,
)

from engine.inbox import Inbox
from engine.request import WOKEN, Request, WaitingTell

if TYPE_CHECKING:
    from engine.deadlines import Deadlines

_TELLS_PER_CHECKPOINT: Final = 32

Pace = Iterator[bool]


def new_pace() -> Pace:
    """Return what says, of each tell of a runtime in turn, whether it must let other tasks run.

    A checkpoint in every call would make `tell` as slow as a memory channel's `send`; one in 32
    keeps any other task from waiting longer than 32 tells (about 30 µs). All refs of a runtime
    share one, so that a loop over a thousand actors makes way as often as one over a single actor.
    """
    return cycle((*(False,) * (_TELLS_PER_CHECKPOINT - 1), True))


class InboxStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """How full an inbox is: messages not yet begun, senders that wait for room."""

    depth: int
    capacity: int
    waiting_senders: int
    closed: bool


class ActorRef:
    """The address of an actor, and the ways to send to it.

    A ref stays good through restarts. Messages from one task to one actor arrive in the order in
    which they were sent; signals arrive before all ordinary messages.
    """

    __slots__ = ("_deadlines", "_inbox", "_pace")

    def __init__(self, inbox: Inbox, deadlines: Deadlines, pace: Pace) -> None:
        self._inbox = inbox
        self._deadlines = deadlines
        self._pace = pace

    @property
    def address(self) -> str:
        """`kind/id`."""
        return self._inbox.address

    @property
    def stopped(self) -> bool:
        """True once the actor takes no messages any more."""
        return self._inbox.closed

    @enable_ki_protection
    def tell_nowait(self, message: Any) -> None:
        """Put `message` into the inbox now.

        Raises:
            InboxFull: there is no room, or others already wait for it; carries the message.
            ActorStopped: carries the message.
        """
        inbox = self._inbox
        lane = inbox.lane
        if lane is None:
            lane = inbox.open_lane()
        if len(lane) >= inbox.bound:
            raise inbox.refusal(message)
        lane.append(message)
        task = inbox.sleeper
        if task is not None:
            inbox.sleeper = None
            reschedule(task, WOKEN)

    async def tell(self, message: Any, *, timeout_s: float = 5.0) -> None:
        """Put `message` into the inbox, waiting for room at most `timeout_s`.

        A tell that is cancelled while it waits was not sent. When there is room, only every 32nd
        tell of the runtime is a checkpoint.

        Raises:
            InboxFull: no room within `timeout_s`; carries the message.
            ActorStopped: carries the message.
        """
        inbox = self._inbox
        if next(self._pace):
            await checkpoint()
        lane = inbox.lane
        if lane is None or len(lane) < inbox.bound:
            self.tell_nowait(message)
            return
        await self._wait_for_room(message, timeout_s)

    # Between the send and the park this task can be rescheduled and must not be anywhere else.
    @enable_ki_protection
    async def ask(self, message: Any, *, timeout_s: float) -> Any:
        """Send `message` and wait for the answer; both within `timeout_s`.

        Ends exactly once. A caller that is cancelled or times out never harms the actor; its
        message, if not yet begun, is skipped. Always a checkpoint.

        Raises:
            DomainError: the actor's own answer.
            AskTimeout: neither answer nor end within `timeout_s`.
            ActorStopped: the actor has stopped, or stops before it answers.
            ActorCrashed: the actor crashed over this message.
            OverflowError, ValueError: `timeout_s` is not finite; nothing was sent.
        """
        inbox = self._inbox
        bucket = self._deadlines.after(timeout_s)
        request = Request(message, inbox, current_task(), bucket)
        if not self._send(request):
            del bucket[request]
            await checkpoint()
            raise inbox.refusal(message)
        # Trio looks for a cancellation as it parks: then the request leaves before anybody saw it.
        await wait_task_rescheduled(request.abort)
        return request.value

    def signal(self, message: Any) -> None:
        """Put `message` before all ordinary ones; never full, dropped after the actor's end.

        Only for senders that are bounded by what the actor itself handed out: the release of a
        lease, the end of a job, a report on what it started.
        """
        self._inbox.signal(message)

    def statistics(self) -> InboxStatistics:
        inbox = self._inbox
        return InboxStatistics(
            depth=len(inbox.lane or ()),
            capacity=inbox.capacity,
            waiting_senders=len(inbox.senders or ()),
            closed=inbox.closed,
        )

    def _send(self, request: Request) -> bool:
        inbox = self._inbox
        lane = inbox.lane
        if lane is None:
            lane = inbox.open_lane()
        if len(lane) < inbox.bound:
            lane.append(request)
            task = inbox.sleeper
            if task is not None:
                inbox.sleeper = None
                reschedule(task, WOKEN)
            return True
        if inbox.closed:
            return False
        inbox.wait_in_line(request)
        return True

    @enable_ki_protection
    def _take_over(self, request: Request, message: Any, on_gone: Any) -> bool:
        """Make a waiting ask of another actor one of this actor's; see `Reply.forward`."""
        inbox = self._inbox
        if request.place is not None:
            del request.place[request]
            request.place = None
        request.inbox = inbox
        request.message = message
        if inbox.closed:
            return request.fail(inbox.refusal(message))
        if on_gone is not None:
            inbox.hold(request, on_gone)
        inbox.signal(request)
        return True

    @enable_ki_protection
    async def _wait_for_room(self, message: Any, timeout_s: float) -> None:
        inbox = self._inbox
        if inbox.closed:
            await checkpoint()
            raise inbox.refusal(message)
        bucket = self._deadlines.after(timeout_s)
        tell = WaitingTell(message, inbox, current_task(), bucket)
        inbox.wait_in_line(tell)
        await wait_task_rescheduled(tell.abort)

    def __repr__(self) -> str:
        return f"<ActorRef {self.address}>"
