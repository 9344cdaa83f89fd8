"""What the end of a step means for its session.

Laws of this file: it awaits nothing, keeps nothing, and knows neither page nor registry.
"""

from __future__ import annotations

from enum import Enum
from typing import Literal, TypeAlias, assert_never

from actors.browser.agenda import Step
from actors.browser.errors import (
    AuthenticationFailed,
    BrowserCrashed,
    BrowserUnavailable,
    LoginLost,
    LoginTimedOut,
    OperationTimedOut,
    PortalUnreachable,
)
from actors.browser.page import BrowserGone


class Verdict(Enum):
    """What follows from a step."""

    GO_ON = "go on"
    FRESH = "fresh"  # the login has been seen to work
    RECOVER = "recover"  # the page is lost, or in nobody knows what state
    REFRESH = "refresh"
    TRY_LATER = "try later"  # something is down that may come back
    LOGIN_LOST = "login lost"
    CRASHED = "crashed"


LaterStep: TypeAlias = Literal[Step.OPERATE, Step.REFRESH, Step.RECOVER, Step.SAVE]


def verdict(step: LaterStep, error: Exception | None) -> Verdict:
    """Judge how a step after the first login has ended."""
    match step:
        case Step.OPERATE:
            return _of_operation(error)
        case Step.REFRESH:
            return _of_refresh(error)
        case Step.RECOVER:
            return _of_recovery(error)
        case Step.SAVE:
            return Verdict.GO_ON  # what cannot be saved now is saved with what comes next
        case _:
            assert_never(step)


def can_wait(error: Exception) -> bool:
    """Tell whether a session whose restoring failed so may be restored at another time.

    Its state is given up only for what another try would not mend, and could lock the account.
    """
    return not isinstance(error, AuthenticationFailed | LoginLost)


def _of_operation(error: Exception | None) -> Verdict:
    match error:
        case BrowserCrashed() | OperationTimedOut():
            return Verdict.RECOVER
        case LoginLost():
            return Verdict.REFRESH
        case AuthenticationFailed():
            # Trying these credentials with each operation would lock the account.
            return Verdict.LOGIN_LOST
        case _:
            return Verdict.GO_ON


def _of_refresh(error: Exception | None) -> Verdict:
    match error:
        case None:
            return Verdict.FRESH
        case BrowserGone():
            return Verdict.RECOVER
        case PortalUnreachable() | LoginTimedOut():
            return Verdict.TRY_LATER
        case _:
            return Verdict.LOGIN_LOST


def _of_recovery(error: Exception | None) -> Verdict:
    match error:
        case None:
            return Verdict.FRESH
        case PortalUnreachable() | LoginTimedOut() | BrowserUnavailable():
            # Operations say what is missing until it is back.
            return Verdict.TRY_LATER
        case BrowserCrashed():
            return Verdict.CRASHED
        case _:
            return Verdict.LOGIN_LOST
