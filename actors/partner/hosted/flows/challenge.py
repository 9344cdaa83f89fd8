"""Hold still, tilt, return: a movement drawn at random for each session, scored on the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from actors.partner.hosted.flows import motion
from actors.partner.hosted.flows.flow import Direction, MotionStep, Verdict, Words
from actors.partner.hosted.records import FlowAnswer, FlowPlan, Progress

_DIRECTIONS: Final[tuple[Direction, ...]] = ("left", "right", "towards you", "away from you")
_ANGLES: Final = (25, 30, 35, 40)
# A hand may slip; each further try asks for another movement.
MAX_TRIES: Final = 3
_WAYS: Final[Mapping[Direction, str]] = {
    "left": "to the left",
    "right": "to the right",
    "towards you": "towards you",
    "away from you": "away from you",
}
_HINTS: Final[Mapping[str, str]] = {
    "too_short": "That was too short.",
    "not_held_still": "The phone moved while it should be held still.",
    "not_far_enough": "It did not tilt far enough.",
    "wrong_direction": "It tilted another way.",
    "not_brought_back": "It was not brought back.",
}


class ChallengeFlow:
    """Implements `Flow`. The result has the best try's score, its reason, and what was asked."""

    name = "challenge"
    words = Words(
        intro=(
            "You will be asked to move your phone in a certain way. That takes less than a minute."
        ),
        failed="This did not work out",
        failed_why="The movement was not the one that was asked for.",
    )

    def plan(self, bits: int) -> FlowPlan:
        movements = []
        for _ in range(MAX_TRIES):
            bits, direction = divmod(bits, len(_DIRECTIONS))
            bits, angle = divmod(bits, len(_ANGLES))
            movements.append({"direction": _DIRECTIONS[direction], "angle": _ANGLES[angle]})
        return {"movements": movements}

    def step(self, plan: FlowPlan, answers: Sequence[FlowAnswer]) -> MotionStep | None:
        tries = len(answers)
        if tries >= MAX_TRIES or (answers and answers[-1]["score"] >= motion.PASS):
            return None
        asked = plan["movements"][tries]
        return MotionStep(
            id=f"motion-{tries + 1}",
            title="Move your phone",
            text=(
                "Hold the phone in front of you, and still. When you are told, tilt it "
                f"{_WAYS[asked['direction']]}, and then bring it back."
            ),
            direction=asked["direction"],
            angle=asked["angle"],
            hold_ms=motion.HOLD_MS,
            move_ms=motion.MOVE_MS,
            return_ms=motion.RETURN_MS,
            hint=_HINTS[answers[-1]["reason"]] if answers else None,
        )

    def check(
        self, plan: FlowPlan, answers: Sequence[FlowAnswer], answer: Mapping[str, Any]
    ) -> FlowAnswer:
        asked = plan["movements"][len(answers)]
        samples = motion.read_samples(answer.get("samples"))
        found = motion.score(samples, asked["direction"], asked["angle"])
        return {**asked, "samples": len(samples), "score": found.score, "reason": found.reason}

    def verdict(self, plan: FlowPlan, answers: Sequence[FlowAnswer]) -> Verdict:
        best = max(answers, key=lambda it: float(it["score"]))
        passed = best["score"] >= motion.PASS
        result = {
            "score": best["score"],
            "reason": best["reason"] or "moved_as_asked",
            "asked": {"direction": best["direction"], "angle": best["angle"]},
            "tries": len(answers),
        }
        return Verdict(completed=passed, reason=best["reason"], result=result)

    def progress(self, plan: FlowPlan, answers: Sequence[FlowAnswer]) -> Progress:
        return Progress(done=0 if self.step(plan, answers) is not None else 1, of=1)
