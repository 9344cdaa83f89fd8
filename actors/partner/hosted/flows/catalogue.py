"""Which flows there are, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from actors.partner.hosted.flows.challenge import ChallengeFlow
from actors.partner.hosted.flows.consent import ConsentFlow
from actors.partner.hosted.flows.flow import Flow

DEFAULT: Final = ConsentFlow.name
FLOWS: Final[Mapping[str, Flow]] = {flow.name: flow for flow in (ConsentFlow(), ChallengeFlow())}
