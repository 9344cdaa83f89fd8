"""What a session does next: one thing at a time, the most urgent first.

Laws of this file: it awaits nothing and knows no page. A page is used by one step at a time;
recovering comes before operations, operations in order of arrival before a refresh, and saving
last; nothing is begun while the login, or the restoring, that opens the session runs.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from typing import Literal

import msgspec

from actors.browser.messages import RunOperation
from engine import Reply


class Operate(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """An operation under a lease; answered with `OperationDone`."""

    call: RunOperation
    token: int
    is_new: bool


class Step(Enum):
    """One use of the page; the value names its job."""

    LOG_IN = "login"
    RESTORE = "restore"
    RECOVER = "recover"
    OPERATE = "operation"
    REFRESH = "refresh"
    SAVE = "save"


class Call:
    """An operation that somebody waits for."""

    __slots__ = ("message", "reply")

    def __init__(self, message: Operate, reply: Reply) -> None:
        self.message = message
        self.reply = reply


class Agenda:
    """The steps that are due, and the one that is running.

    Args:
        opening: the step that the session begins with.
    """

    def __init__(self, opening: Literal[Step.LOG_IN, Step.RESTORE] = Step.LOG_IN) -> None:
        self.opening = opening
        self.opened = False  # that has succeeded
        self.running: Step | None = None
        self.call: Call | None = None  # the one that is running
        self.recovery_due = False
        self.refresh_due = False
        self.save_due = False
        self.calls: deque[Call] = deque()

    def next_step(self) -> Step | None:
        """Return what to begin now, and count it as begun."""
        if self.running is None:
            self.running = self._most_urgent()
            return self.running
        return None

    def done(self) -> Call | None:
        """The running step has ended; returns the call that it was for."""
        self.running = None
        call, self.call = self.call, None
        return call

    def withdraw(self, token: int) -> Call | None:
        """Take a call that has not begun out of the queue."""
        for call in self.calls:
            if call.message.token == token:
                self.calls.remove(call)
                return call
        return None

    def _most_urgent(self) -> Step | None:
        if not self.opened:
            return self.opening
        if self.recovery_due:
            self.recovery_due = False
            return Step.RECOVER
        if self.calls:
            self.call = self.calls.popleft()
            return Step.OPERATE
        if self.refresh_due:
            self.refresh_due = False
            return Step.REFRESH
        if self.save_due:
            self.save_due = False
            return Step.SAVE
        return None
