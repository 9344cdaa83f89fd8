"""How well a device was moved as it was asked to, from what its sensors said.

Laws of this file: pure; samples are untrusted. A sample is `[ms, beta, gamma]`, the time since the
page began and the two angles of a `DeviceOrientationEvent` in degrees (W3C, Device Orientation and
Motion). Everything is computed from where "up" is for the device, a unit vector: unlike the angles
themselves it has no place where a small movement is a large jump. The compass is not used.

It shows that a movement which was drawn at random for this session was made while it was asked
for; it does not show what made it. Whoever can send samples at all can compute them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, TypeAlias, assert_never

import msgspec

from actors.partner.hosted.errors import AnswerInvalid
from actors.partner.hosted.flows.flow import Direction

Vector: TypeAlias = tuple[float, float, float]

MAX_SAMPLES: Final = 900
HOLD_MS: Final = 2_000
MOVE_MS: Final = 4_000
RETURN_MS: Final = 3_000
_LONGEST_MS: Final = 3 * (HOLD_MS + MOVE_MS + RETURN_MS)
_LONGEST_GAP_MS: Final = 500.0
_FEWEST: Final = 30
_AT_END_MS: Final = 500.0

# Degrees: a hand that is held still trembles by one or two, and comes back to within ten.
_STILL: Final = 8.0
_BACK: Final = 25.0
PASS: Final = 0.5  # what is passed has no reason: see `_judged`


class Sample(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One reading of the sensors."""

    ms: float
    beta: float
    gamma: float

    @property
    def up(self) -> Vector:
        beta, gamma = math.radians(self.beta), math.radians(self.gamma)
        cos_beta = math.cos(beta)
        return (-cos_beta * math.sin(gamma), math.sin(beta), cos_beta * math.cos(gamma))


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one try: 0 to 1, and the first thing that went wrong, in a word."""

    score: float
    reason: str | None


def read_samples(raw: Any) -> list[Sample]:
    """Return the samples that a page has sent.

    Raises:
        AnswerInvalid: too few, too many, or no readings of one sensor in the order of time.
    """
    if isinstance(raw, list) and len(raw) > MAX_SAMPLES:
        raise AnswerInvalid("The sensors sent too much; try again")
    try:
        samples = msgspec.convert(raw, list[Sample])
    except (msgspec.ValidationError, RecursionError):
        raise AnswerInvalid("The sensors sent nothing that can be read; try again") from None
    if len(samples) < _FEWEST:
        raise AnswerInvalid("The sensors sent too little; try again")
    before = samples[0].ms
    for sample in samples:
        if not all(map(math.isfinite, (sample.ms, sample.beta, sample.gamma))):
            raise AnswerInvalid("The sensors sent nothing that can be read; try again")
        if not 0 <= sample.ms - before <= _LONGEST_GAP_MS:
            raise AnswerInvalid("The sensors fell silent in between; try again")
        before = sample.ms
    if samples[-1].ms - samples[0].ms > _LONGEST_MS:
        raise AnswerInvalid("That took too long; try again")
    return samples


def score(samples: Sequence[Sample], direction: Direction, angle: int) -> Score:
    """Return how well the samples show: held still, tilted so far that way, and brought back."""
    began, ended = samples[0].ms, samples[-1].ms
    ups = [(sample.ms, sample.up) for sample in samples]
    # The first moment of holding is the hand's coming to rest.
    held = [up for ms, up in ups if began + HOLD_MS / 4 <= ms <= began + HOLD_MS]
    if len(held) < 5 or ended - began < HOLD_MS + _AT_END_MS:
        return Score(score=0.0, reason="too_short")
    rest = _mean(held)
    still = _clamp(2 - max(_angle(rest, up) for up in held) / _STILL)
    moved = [up for ms, up in ups if ms > began + HOLD_MS]
    reach, aim = _best(rest, moved, direction, angle)
    last = _mean([up for ms, up in ups if ms >= ended - _AT_END_MS])
    back = _clamp(2 - _angle(rest, last) / _BACK)
    return _judged(still=still, reach=reach, aim=aim, back=back)


def _judged(*, still: float, reach: float, aim: float, back: float) -> Score:
    total = round(0.25 * still + 0.5 * reach * aim + 0.25 * back, 3)
    problems = (
        ("not_held_still", still < 0.5),
        ("not_far_enough", reach < 0.7),
        ("wrong_direction", aim < 0.75),
        ("not_brought_back", back < 0.5),
    )
    reason = next((name for name, is_so in problems if is_so), None)
    # What went wrong is never outweighed by what went well.
    return Score(score=total if reason is None else min(total, PASS - 0.01), reason=reason)


def _best(
    rest: Vector, moved: Sequence[Vector], direction: Direction, angle: int
) -> tuple[float, float]:
    """Return how far the device went of what was asked, and how true to the direction it was
    then."""
    farthest = max(moved, key=lambda up: _angle(rest, up))
    went = _angle(rest, farthest)
    along = _along(rest, direction)
    away = _normal(_minus(farthest, _times(rest, _dot(farthest, rest))))
    return _clamp(went / angle), _clamp(_dot(away, along)) if went > 1 else 0.0


def _along(rest: Vector, direction: Direction) -> Vector:
    """Return where "up" goes from where it rests when the device is tilted that way.

    For the device x points to its right, y to its top, z out of its screen: with its left edge
    lowered, up is more to its right; with its top brought nearer, it turns about x.
    """
    x, y, z = rest
    match direction:
        case "left":
            return _normal((1 - x * x, -x * y, -x * z))
        case "right":
            return _normal((x * x - 1, x * y, x * z))
        case "towards you":
            return _normal((0.0, z, -y))
        case "away from you":
            return _normal((0.0, -z, y))
        case _:
            assert_never(direction)


def _angle(one: Vector, other: Vector) -> float:
    return math.degrees(math.acos(max(-1.0, min(1.0, _dot(one, other)))))


def _mean(vectors: Sequence[Vector]) -> Vector:
    return _normal(tuple(map(sum, zip(*vectors, strict=True))))  # type: ignore[arg-type]


def _normal(vector: Vector) -> Vector:
    length = math.sqrt(_dot(vector, vector))
    return _times(vector, 1 / length) if length > 1e-9 else (0.0, 0.0, 0.0)


def _dot(one: Vector, other: Vector) -> float:
    return one[0] * other[0] + one[1] * other[1] + one[2] * other[2]


def _minus(one: Vector, other: Vector) -> Vector:
    return one[0] - other[0], one[1] - other[1], one[2] - other[2]


def _times(vector: Vector, factor: float) -> Vector:
    return vector[0] * factor, vector[1] * factor, vector[2] * factor


def _clamp(value: float) -> float:
    return max(0.0, min(1.0, value))
