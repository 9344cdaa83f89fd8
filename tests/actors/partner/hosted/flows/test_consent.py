"""Agree or decline."""

from __future__ import annotations

import pytest

from actors.partner.hosted import AnswerInvalid
from actors.partner.hosted.flows.consent import ConsentFlow

FLOW = ConsentFlow()


@pytest.mark.parametrize(("choice", "completed"), [("agree", True), ("decline", False)])
def test_the_choice_decides_and_is_the_result(choice: str, completed: bool) -> None:
    step = FLOW.step({}, ())
    assert step is not None
    assert choice in {one.answer for one in step.choices}
    kept = FLOW.check({}, (), {"choice": choice})
    assert FLOW.step({}, (kept,)) is None
    verdict = FLOW.verdict({}, (kept,))
    assert (verdict.completed, verdict.result) == (completed, {"agreed": completed})


@pytest.mark.parametrize("answer", [{}, {"choice": "yes"}, {"choice": True}, {"choice": ["agree"]}])
def test_anything_else_is_no_answer(answer: dict[str, object]) -> None:
    with pytest.raises(AnswerInvalid):
        FLOW.check({}, (), answer)
