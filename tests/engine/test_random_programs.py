"""Whatever clients and actors do, in whatever order: what holds for one of them holds for all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from random import Random  # noqa: TID251 - Hypothesis' own

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine.programs import random_program
from tests.engine.stage import run


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Thousands of crashes are meant here."""
    logger = logging.getLogger("mooring.engine")
    logger.disabled = True
    yield
    logger.disabled = False


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_ask_ends_once_and_everything_else_holds_in_random_programs(rng: Random) -> None:
    run(random_program(rng))
