"""What a session does next, and what the end of a step means for it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.browser.agenda import Agenda, Call, Operate, Step
from actors.browser.errors import (
    AuthenticationFailed,
    BrowserCrashed,
    BrowserUnavailable,
    CaptchaFailed,
    LoginLost,
    LoginTimedOut,
    NotAtPortal,
    OperationFailed,
    OperationTimedOut,
    PortalUnreachable,
)
from actors.browser.messages import RunOperation
from actors.browser.page import BrowserGone
from actors.browser.verdict import Verdict, verdict
from engine import Reply


def call(token: int) -> Call:
    message = Operate(call=RunOperation(name="do_task", request=None), token=token, is_new=False)
    return Call(message, Reply(None))


def opened() -> Agenda:
    agenda = Agenda()
    agenda.opened = True
    return agenda


def test_nothing_but_the_login_is_begun_before_a_session_is_open():
    agenda = Agenda()
    agenda.recovery_due = agenda.refresh_due = True
    agenda.calls.append(call(1))
    assert agenda.next_step() is Step.LOG_IN
    assert agenda.next_step() is None


def test_recovering_comes_before_operations_and_those_before_a_refresh():
    agenda = opened()
    agenda.recovery_due = agenda.refresh_due = True
    agenda.calls.extend([call(1), call(2)])
    steps = []
    while (step := agenda.next_step()) is not None:
        steps.append(step)
        agenda.done()
    assert steps == [Step.RECOVER, Step.OPERATE, Step.OPERATE, Step.REFRESH]


def test_operations_come_in_order_of_arrival():
    agenda = opened()
    agenda.calls.extend(call(token) for token in range(5))
    tokens = []
    while agenda.next_step() is not None:
        done = agenda.done()
        assert done is not None
        tokens.append(done.message.token)
    assert tokens == [0, 1, 2, 3, 4]


def test_a_call_that_has_begun_cannot_be_withdrawn_and_one_that_waits_can():
    agenda = opened()
    agenda.calls.extend([call(1), call(2), call(3)])
    assert agenda.next_step() is Step.OPERATE
    assert agenda.withdraw(1) is None
    withdrawn = agenda.withdraw(2)
    assert withdrawn is not None
    assert withdrawn.message.token == 2
    assert agenda.withdraw(2) is None
    assert [each.message.token for each in agenda.calls] == [3]


@given(st.lists(st.sampled_from(["call", "recover", "refresh", "begin", "end", "withdraw"])))
def test_one_step_runs_at_a_time_and_every_call_is_begun_once_or_withdrawn(program: list[str]):
    agenda, tokens = opened(), itertools.count()
    asked: list[int] = []
    over: list[int] = []
    for what in program:
        match what:
            case "call":
                asked.append(next(tokens))
                agenda.calls.append(call(asked[-1]))
            case "recover":
                agenda.recovery_due = True
            case "refresh":
                agenda.refresh_due = True
            case "begin":
                before = agenda.running
                step = agenda.next_step()
                assert step is None or before is None
                assert agenda.running is (step or before)
                assert (agenda.call is not None) is (agenda.running is Step.OPERATE)
            case "end":
                done = agenda.done()
                over += [] if done is None else [done.message.token]
            case "withdraw" if agenda.calls:
                withdrawn = agenda.withdraw(agenda.calls[-1].message.token)
                assert withdrawn is not None
                asked.remove(withdrawn.message.token)
    agenda.done()
    while agenda.next_step() is not None:
        done = agenda.done()
        over += [] if done is None else [done.message.token]
    assert set(over) <= set(asked)
    assert over == sorted(over)
    assert not agenda.calls


OPERATION = {
    None: Verdict.GO_ON,
    NotAtPortal: Verdict.GO_ON,
    OperationFailed: Verdict.GO_ON,
    PortalUnreachable: Verdict.GO_ON,
    CaptchaFailed: Verdict.GO_ON,
    BrowserCrashed: Verdict.RECOVER,
    OperationTimedOut: Verdict.RECOVER,
    LoginLost: Verdict.REFRESH,
    AuthenticationFailed: Verdict.LOGIN_LOST,
}
REFRESH = {
    None: Verdict.FRESH,
    BrowserGone: Verdict.RECOVER,
    PortalUnreachable: Verdict.TRY_LATER,
    LoginTimedOut: Verdict.TRY_LATER,
    AuthenticationFailed: Verdict.LOGIN_LOST,
    CaptchaFailed: Verdict.LOGIN_LOST,
}
RECOVERY = {
    None: Verdict.FRESH,
    PortalUnreachable: Verdict.TRY_LATER,
    LoginTimedOut: Verdict.TRY_LATER,
    BrowserUnavailable: Verdict.TRY_LATER,
    BrowserCrashed: Verdict.CRASHED,
    AuthenticationFailed: Verdict.LOGIN_LOST,
    CaptchaFailed: Verdict.LOGIN_LOST,
}


@pytest.mark.parametrize(
    ("step", "error", "expected"),
    [
        (step, error, expected)
        for step, table in (
            (Step.OPERATE, OPERATION),
            (Step.REFRESH, REFRESH),
            (Step.RECOVER, RECOVERY),
        )
        for error, expected in table.items()
    ],
)
def test_what_follows_from_the_end_of_a_step(step, error, expected):
    assert verdict(step, None if error is None else error()) is expected
