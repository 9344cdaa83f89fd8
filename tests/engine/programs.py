"""Random programs: what some clients and some actors do, as data.

Everything that happens in a run follows from the program and from Trio's scheduling; so a program
can be shrunk by Hypothesis, printed, and run again.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random  # noqa: TID251 - seeded, or Hypothesis' own
from typing import Literal, TypeAlias

import msgspec

from engine import ActorPolicy, Restart

Kind: TypeAlias = Literal["ask", "tell", "tell_nowait", "signal"]


class Answer(msgspec.Struct, frozen=True):
    """Answer at once."""


class Refuse(msgspec.Struct, frozen=True):
    """Raise a domain error."""


class Crash(msgspec.Struct, frozen=True):
    """Raise anything else."""


class Defer(msgspec.Struct, frozen=True):
    """Answer after a while, by a timer or a job; never, when `after_s` is None."""

    after_s: float | None
    by_job: bool


class Forward(msgspec.Struct, frozen=True):
    """Let another actor do it."""

    to: int
    deed: Deed


class Work(msgspec.Struct, frozen=True):
    """Start a job that takes so long, and may fail or be slow to leave."""

    takes_s: float
    fails: bool
    leaves_s: float


class CancelWork(msgspec.Struct, frozen=True):
    """Cancel all jobs that run."""


class StopYourself(msgspec.Struct, frozen=True):
    grace_s: float


Deed: TypeAlias = Answer | Refuse | Crash | Defer | Forward | Work | CancelWork | StopYourself


class Send(msgspec.Struct, frozen=True):
    """Send, and give up after `cancel_s` unless that is None."""

    kind: Kind
    to: int
    deed: Deed
    timeout_s: float
    cancel_s: float | None


class Sleep(msgspec.Struct, frozen=True):
    seconds: float


class StopActor(msgspec.Struct, frozen=True):
    to: int
    grace_s: float


Step: TypeAlias = Send | Sleep | StopActor


class Part(msgspec.Struct, frozen=True):
    """An actor of the play."""

    policy: ActorPolicy
    start_s: float
    job_s: float | None  # how long the job takes that it begins as it starts
    stop_s: float


class Program(msgspec.Struct, frozen=True):
    """Clients run their steps side by side; then, or at `cancel_s`, the block ends."""

    parts: tuple[Part, ...]
    clients: tuple[tuple[Step, ...], ...]
    grace_s: float
    cancel_s: float | None


def random_program(rng: Random) -> Program:
    """Return a program with a few actors, whose inboxes are small, and a few clients."""
    actors = rng.randint(1, 3)
    return Program(
        parts=tuple(_part(rng) for _ in range(actors)),
        clients=tuple(
            tuple(_step(rng, actors) for _ in range(rng.randint(1, 8)))
            for _ in range(rng.randint(1, 6))
        ),
        grace_s=rng.choice([0.0, 0.0, 1.0, 5.0]),
        cancel_s=rng.choice([None, None, _delay(rng)]),
    )


def _part(rng: Random) -> Part:
    policy = ActorPolicy(
        restart=rng.choice(list(Restart)),
        max_restarts=1_000_000,
        inbox_capacity=rng.randint(1, 4),
        start_timeout_s=2.0,
        stop_timeout_s=2.0,
    )
    return Part(
        policy=policy,
        start_s=rng.choice([0.0, 0.0, 0.5, 3.0]),  # the last is longer than it may take
        job_s=rng.choice([None, 0.0, 1.0, 50.0]),
        stop_s=rng.choice([0.0, 0.0, 0.5, 3.0]),
    )


def _delay(rng: Random) -> float:
    # Few values, so that many things fall due together.
    return rng.choice([0.0, 1 / 64, 0.5, 1.0, 1.0, 2.0])


def _step(rng: Random, actors: int) -> Step:
    return rng.choices([_send, _sleep, _stop_actor], weights=[12, 4, 1])[0](rng, actors)


def _send(rng: Random, actors: int) -> Step:
    return Send(
        kind=rng.choice(["ask", "ask", "ask", "tell", "tell_nowait", "signal"]),
        to=rng.randrange(actors),
        deed=_deed(rng, actors),
        timeout_s=rng.choice([0.0, 0.5, 1.0, 3.0]),
        cancel_s=rng.choice([None, None, _delay(rng)]),
    )


def _sleep(rng: Random, _: int) -> Step:
    return Sleep(_delay(rng))


def _stop_actor(rng: Random, actors: int) -> Step:
    return StopActor(to=rng.randrange(actors), grace_s=_delay(rng))


def _deed(rng: Random, actors: int) -> Deed:
    kinds: list[Callable[[Random, int], Deed]] = [
        lambda *_: Answer(),
        lambda *_: Refuse(),
        lambda *_: Crash(),
        lambda rng, _: Defer(rng.choice([None, _delay(rng)]), rng.choice([True, False])),
        lambda rng, actors: Forward(rng.randrange(actors), _deed(rng, actors)),
        lambda rng, _: Work(_delay(rng), rng.random() < 0.2, rng.choice([0.0, 0.0, 0.5])),
        lambda *_: CancelWork(),
        lambda rng, _: StopYourself(_delay(rng)),
    ]
    return rng.choices(kinds, weights=[6, 1, 1, 4, 3, 3, 1, 1])[0](rng, actors)
