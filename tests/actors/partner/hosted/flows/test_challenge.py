"""Hold still, tilt, return: what passes, what does not, and why."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.partner.hosted import AnswerInvalid
from actors.partner.hosted.flows import motion
from actors.partner.hosted.flows.challenge import MAX_TRIES, ChallengeFlow
from actors.partner.hosted.flows.motion import MAX_SAMPLES, PASS

FLOW = ChallengeFlow()
DIRECTIONS = ("left", "right", "towards you", "away from you")
# For a phone that lies flat, what a tilt does to (beta, gamma).
FLAT = {"left": (0, -1), "right": (0, 1), "towards you": (1, 0), "away from you": (-1, 0)}


def plan(direction: str, angle: int = 30) -> dict[str, Any]:
    return {"movements": [{"direction": direction, "angle": angle}] * MAX_TRIES}


def moved(
    direction: str,
    angle: float,
    *,
    rest: tuple[float, float] = (0.0, 0.0),
    shake: float = 0.0,
    back: bool = True,
) -> list[list[float]]:
    """Return samples of a hand that holds still for two seconds, tilts, and comes back."""
    samples = []
    for ms in range(0, 9_000, 20):
        part = min(1.0, max(0.0, (ms - 2_200) / 1_000))
        if back:
            part -= min(1.0, max(0.0, (ms - 5_000) / 1_000))
        tremble = shake * math.sin(ms / 37)
        to_beta, to_gamma = FLAT[direction]
        beta = rest[0] + to_beta * angle * part + tremble
        samples.append([float(ms), beta, rest[1] + to_gamma * angle * part])
    return samples


def tried(direction: str, samples: Any, angle: int = 30) -> dict[str, Any]:
    return dict(FLOW.check(plan(direction, angle), (), {"samples": samples}))


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("shake", [0.0, 2.0])
def test_a_movement_as_asked_passes(direction: str, shake: float) -> None:
    kept = tried(direction, moved(direction, 33, shake=shake))
    assert kept["score"] >= PASS
    assert kept["reason"] is None
    verdict = FLOW.verdict(plan(direction), (kept,))
    assert verdict.completed
    assert verdict.result["reason"] == "moved_as_asked"
    assert verdict.result["asked"] == {"direction": direction, "angle": 30}


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_other_direction_fails(direction: str) -> None:
    for other in DIRECTIONS:
        if other != direction:
            kept = tried(direction, moved(other, 35))
            assert kept["score"] < PASS
            assert kept["reason"] == "wrong_direction"


@pytest.mark.parametrize(("direction", "step"), [("towards you", 30), ("away from you", -30)])
def test_a_phone_held_upright_is_tilted_about_its_lower_edge(direction: str, step: int) -> None:
    samples = [
        [
            float(ms),
            70.0
            + step * min(1, max(0, (ms - 2200) / 1000))
            - step * min(1, max(0, (ms - 5000) / 1000)),
            0.0,
        ]
        for ms in range(0, 9_000, 20)
    ]
    assert tried(direction, samples)["reason"] is None


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (moved("left", 0), "not_far_enough"),
        (moved("left", 12), "not_far_enough"),
        (moved("left", 33, shake=30), "not_held_still"),
        (moved("left", 60, back=False), "not_brought_back"),
        (moved("left", 33)[:60], "too_short"),
    ],
)
def test_what_went_wrong_is_said(samples: list[list[float]], reason: str) -> None:
    kept = tried("left", samples)
    assert (kept["reason"], kept["score"] < PASS) == (reason, True)
    step = FLOW.step(plan("left"), (kept,))
    assert step is not None
    assert step.hint
    assert FLOW.verdict(plan("left"), (kept,) * MAX_TRIES).reason == reason


@pytest.mark.parametrize(
    "samples",
    [
        None,
        "samples",
        [],
        [[0.0, 0.0, 0.0]] * 5,
        [[0.0, 0.0, 0.0]] * (MAX_SAMPLES + 1),
        [[0.0, 0.0]] * 100,
        [[0.0, 0.0, 0.0, 0.0]] * 100,
        [[0.0, "0", 0.0]] * 100,
        [[0.0, None, None]] * 100,
        [[float(ms), 0.0, float("nan")] for ms in range(100)],
        [[float("inf"), 0.0, 0.0]] * 100,
        [[-float(ms), 0.0, 0.0] for ms in range(100)],
        [[ms * 1000.0, 0.0, 0.0] for ms in range(100)],
        [[ms * 400.0, 0.0, 0.0] for ms in range(400)],
    ],
)
def test_samples_that_no_sensor_sends_are_refused(samples: Any) -> None:
    with pytest.raises(AnswerInvalid):
        tried("left", samples)


def test_each_session_draws_its_own_movements() -> None:
    plans = {str(FLOW.plan(bits * 0x9E3779B97F4A7C15 % 2**64)) for bits in range(200)}
    assert len(plans) > 150


def test_the_best_try_counts_and_there_are_three() -> None:
    bad = tried("left", moved("left", 0))
    good = tried("left", moved("left", 33))
    assert FLOW.step(plan("left"), (bad, good)) is None
    assert FLOW.verdict(plan("left"), (bad, good)).completed
    assert FLOW.step(plan("left"), (bad, bad)) is not None
    assert FLOW.step(plan("left"), (bad,) * MAX_TRIES) is None


_ANGLE = st.floats(-1e6, 1e6)


@given(
    st.lists(st.tuples(st.floats(0, 200), _ANGLE, _ANGLE), min_size=30, max_size=120),
    st.sampled_from(DIRECTIONS),
    st.integers(0, 2**64 - 1),
)
def test_whatever_is_sent_scores_between_nothing_and_everything(
    steps: list[tuple[float, float, float]], direction: Any, bits: int
) -> None:
    ms, samples = 0.0, []
    for step_ms, beta, gamma in steps:
        ms += step_ms
        samples.append([ms, beta, gamma])
    found = motion.score(motion.read_samples(samples), direction, 30)
    assert 0 <= found.score <= 1
    assert (found.score >= PASS) == (found.reason is None)
    assert FLOW.step(FLOW.plan(bits), ()) is not None
