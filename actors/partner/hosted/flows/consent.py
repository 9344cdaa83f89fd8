"""Agree or decline: who asks and what for is on the page, the visitor says yes or no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from actors.partner.hosted.errors import AnswerInvalid
from actors.partner.hosted.flows.flow import Choice, ChoiceStep, Verdict, Words
from actors.partner.hosted.records import FlowAnswer, FlowPlan, Progress

_STEP: Final = ChoiceStep(
    id="consent",
    title="Do you agree?",
    text="What you choose here is told to whoever asks, and nothing else is.",
    choices=(
        Choice(answer="agree", label="Agree"),
        Choice(answer="decline", label="Decline", weight="quiet"),
    ),
)


class ConsentFlow:
    """Implements `Flow`. Declining fails the session: who looks only at whether it completed is
    never told that somebody agreed who did not."""

    name = "consent"
    words = Words(
        intro="You will be asked to agree or decline. That takes less than a minute.",
        failed="You declined",
        failed_why="You did not agree.",
    )

    def plan(self, bits: int) -> FlowPlan:
        return {}

    def step(self, plan: FlowPlan, answers: Sequence[FlowAnswer]) -> ChoiceStep | None:
        return None if answers else _STEP

    def check(
        self, plan: FlowPlan, answers: Sequence[FlowAnswer], answer: Mapping[str, Any]
    ) -> FlowAnswer:
        match answer.get("choice"):
            case "agree":
                return {"agreed": True}
            case "decline":
                return {"agreed": False}
            case _:
                raise AnswerInvalid("Choose one of the two")

    def verdict(self, plan: FlowPlan, answers: Sequence[FlowAnswer]) -> Verdict:
        agreed = bool(answers[-1]["agreed"])
        return Verdict(
            completed=agreed, reason=None if agreed else "declined", result={"agreed": agreed}
        )

    def progress(self, plan: FlowPlan, answers: Sequence[FlowAnswer]) -> Progress:
        return Progress(done=min(len(answers), 1), of=1)
