"""What is handed out must not be guessed, and what is to repeat must repeat."""

from __future__ import annotations

import random  # noqa: TID251 - to be told apart from it

from engine.clock import SeededClock, SystemClock


def test_secrets_are_the_operating_systems_and_no_seed_brings_them_back() -> None:
    drawn = []
    for _ in range(2):
        random.seed(7)
        drawn.append(SystemClock().random_bits(192))
    assert drawn[0] != drawn[1]


def test_all_bits_that_are_asked_for_are_drawn() -> None:
    clock = SystemClock()
    drawn = [clock.random_bits(192) for _ in range(256)]
    assert all(0 <= number < 1 << 192 for number in drawn)
    # Each bit is there in some of them: by chance it is not once in 2**248.
    together = 0
    for number in drawn:
        together |= number
    assert together == (1 << 192) - 1


def test_a_seeded_clock_draws_the_same_again() -> None:
    first, again, other = SeededClock(7), SeededClock(7), SeededClock(8)
    drawn = [first.random_bits(128) for _ in range(3)]
    assert [again.random_bits(128) for _ in range(3)] == drawn
    assert other.random_bits(128) != drawn[0]
