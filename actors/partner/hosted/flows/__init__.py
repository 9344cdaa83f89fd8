"""What visitors do: each flow is one file, and implements `Flow`."""

from actors.partner.hosted.flows.catalogue import DEFAULT, FLOWS
from actors.partner.hosted.flows.flow import (
    Choice,
    ChoiceStep,
    Flow,
    MotionStep,
    Step,
    Verdict,
    Words,
)

__all__ = [
    "DEFAULT",
    "FLOWS",
    "Choice",
    "ChoiceStep",
    "Flow",
    "MotionStep",
    "Step",
    "Verdict",
    "Words",
]
