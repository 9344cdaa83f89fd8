"""How a hosted session says no.

Laws of this file: every error carries its fields and composes its message from them; no message
repeats what somebody has typed.
"""

from __future__ import annotations

from actors.partner.errors import NotFound, PartnerError
from actors.partner.hosted.states import State


class SessionNotFound(NotFound):
    """There is no such session for this caller."""

    def __init__(self) -> None:
        super().__init__("Session")


class IllegalTransition(PartnerError):
    """The session's state forbids what was asked; `wanted` is the act, in a word."""

    def __init__(self, state: State, wanted: str) -> None:
        super().__init__(f"A session that is {state.replace('_', ' ')} cannot be {wanted}")
        self.state = state
        self.wanted = wanted


class BoundElsewhere(PartnerError):
    """Another browser has begun this session, and only that one goes on with it."""

    def __init__(self) -> None:
        super().__init__("This session was begun in another browser")


class HandOverUnusable(PartnerError):
    """The link to another device was used, or its time is up."""

    def __init__(self, *, used: bool) -> None:
        super().__init__("The link was used already" if used else "The link's time is up")
        self.used = used


class LimitOfVisit(PartnerError):
    """The visitor has done this as often as it may be done; `what` names it."""

    def __init__(self, what: str, *, limit: int) -> None:
        super().__init__(f"{what} is possible {limit} times")
        self.what = what
        self.limit = limit


class AnswerInvalid(PartnerError):
    """The answer is none to this step; `problem` tells the visitor what to do."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
