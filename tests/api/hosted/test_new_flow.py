"""A flow that nobody has heard of: one class in the catalogue, and everything else is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from actors.partner.hosted import AnswerInvalid, Progress
from actors.partner.hosted.flows import FLOWS, Choice, ChoiceStep, Verdict, Words
from tests.api.hosted.test_pages import desk

COLOURS = ("red", "blue")


class QuizFlow:
    """Implements `Flow`: the colour that was drawn is to be found, twice."""

    name = "quiz"
    words = Words(
        intro="You will be asked for two colours.",
        failed="These were others",
        failed_why="At least one colour was another one.",
    )

    def plan(self, bits: int) -> Mapping[str, Any]:
        return {"colours": [COLOURS[bits & 1], COLOURS[bits >> 1 & 1]]}

    def step(self, plan: Mapping[str, Any], answers: Sequence[Mapping[str, Any]]) -> Any:
        if len(answers) == len(plan["colours"]):
            return None
        choices = tuple(Choice(answer=one, label=one.title()) for one in COLOURS)
        number = len(answers) + 1
        return ChoiceStep(id=f"colour-{number}", title=f"Colour {number}", text="", choices=choices)

    def check(
        self,
        plan: Mapping[str, Any],
        answers: Sequence[Mapping[str, Any]],
        answer: Mapping[str, Any],
    ) -> Mapping[str, Any]:
        if answer.get("choice") not in COLOURS:
            raise AnswerInvalid("Choose a colour")
        return {"is_right": answer["choice"] == plan["colours"][len(answers)]}

    def verdict(self, plan: Mapping[str, Any], answers: Sequence[Mapping[str, Any]]) -> Verdict:
        right = sum(it["is_right"] for it in answers)
        passed = right == len(answers)
        reason = None if passed else "wrong_colour"
        return Verdict(completed=passed, reason=reason, result={"right": right})

    def progress(self, plan: Mapping[str, Any], answers: Sequence[Mapping[str, Any]]) -> Progress:
        return Progress(done=len(answers), of=len(plan["colours"]))


@pytest.mark.parametrize("passes", [True, False])
async def test_a_new_flow_is_shown_checked_and_judged_from_its_one_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passes: bool
) -> None:
    monkeypatch.setitem(FLOWS, QuizFlow.name, QuizFlow())  # type: ignore[arg-type]
    async with desk(tmp_path) as it:
        session_id, visitor = await it.session(flow="quiz")
        await visitor.open()
        assert QuizFlow.words.intro in visitor.page.text
        assert "agree" not in visitor.page.text
        await visitor.press("begin")
        asked = (await it.it.partner.hosted.look(session_id)).visit.plan["colours"]
        assert (await visitor.press("answer", step="colour-1", choice="green")).status_code == 409
        assert "Choose a colour" in visitor.page.text
        await visitor.press("answer", step="colour-1", choice=asked[0])
        assert visitor.title == "Colour 2"
        other = COLOURS[asked[1] == COLOURS[0]]
        await visitor.press("answer", step="colour-2", choice=asked[1] if passes else other)
        await it.done(visitor)
        results = (await it.it.get(f"/sessions/{session_id}/results", it.who.sandbox)).json()
        if passes:
            assert (results["state"], results["result"]) == ("completed", {"right": 2})
        else:
            assert (results["state"], results["reason"]) == ("failed", "wrong_colour")
            assert visitor.title == QuizFlow.words.failed
            assert QuizFlow.words.failed_why in visitor.page.text
