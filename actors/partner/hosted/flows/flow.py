"""What a visitor does: the interface, and the steps that pages know how to show.

Laws of this file: a flow is pure. It keeps nothing, awaits nothing, and knows neither pages nor
stores; randomness comes in as a number. What it gives (plans, answers, results) is small and made
of JSON's own types, for it is written into the log as it is.

A new flow is one file with a class that implements `Flow`, and one line in `catalogue`. What its
steps look like is decided by their kind; the pages show every kind there is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from actors.partner.hosted.records import FlowAnswer, FlowPlan, Progress

Direction: TypeAlias = Literal["left", "right", "towards you", "away from you"]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One of the buttons of a step; `answer` is what it sends."""

    answer: str
    label: str
    weight: Literal["main", "quiet"] = "main"


class ChoiceStep(msgspec.Struct, frozen=True, kw_only=True, tag="choice"):
    """The visitor reads, and presses one of a few buttons: the answer is `{"choice": …}`."""

    id: str
    title: str
    text: str
    choices: tuple[Choice, ...]


class MotionStep(msgspec.Struct, frozen=True, kw_only=True, tag="motion"):
    """The visitor moves the device: the answer is `{"samples": [[ms, beta, gamma], …]}`.

    Attributes:
        hint: what went wrong last time; None at first.
        hold_ms, move_ms, return_ms: how long the page lets each part take.
    """

    id: str
    title: str
    text: str
    direction: Direction
    angle: int
    hold_ms: int
    move_ms: int
    return_ms: int
    hint: str | None = None


Step: TypeAlias = ChoiceStep | MotionStep


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """How a session that was answered to its end turns out."""

    completed: bool
    reason: str | None
    result: Mapping[str, Any]


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What the pages around a flow's steps say of it.

    Attributes:
        intro: what the visitor will be asked to do, before they begin.
        failed, failed_why: the heading, and the reason below it, of a session that has failed.
    """

    intro: str
    failed: str
    failed_why: str


class Flow(Protocol):
    """What the visitors of a session do."""

    name: str
    words: Words

    def plan(self, bits: int) -> FlowPlan:
        """Return what one session will ask for; `bits` are 64 random ones."""
        ...

    def step(self, plan: FlowPlan, answers: Sequence[FlowAnswer]) -> Step | None:
        """Return what is to be done now; None once everything has been answered.

        It must come to None after a bounded number of answers, whatever they are.
        """
        ...

    def check(
        self, plan: FlowPlan, answers: Sequence[FlowAnswer], answer: Mapping[str, Any]
    ) -> FlowAnswer:
        """Return what is to be kept of the answer to the present step.

        Raises:
            AnswerInvalid: it is none, and the step stays.
        """
        ...

    def verdict(self, plan: FlowPlan, answers: Sequence[FlowAnswer]) -> Verdict:
        """Return how it turned out, once there is no further step. The same answers give the same
        verdict: a server that is killed meanwhile comes to it again."""
        ...

    def progress(self, plan: FlowPlan, answers: Sequence[FlowAnswer]) -> Progress:
        """Return how far the visitor is."""
        ...
