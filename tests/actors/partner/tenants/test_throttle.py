from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from actors.partner import RateLimited
from actors.partner.tenants.throttle import (
    ACCOUNT_GUESSES,
    ACCOUNT_REFILL_S,
    AT_ONCE,
    PAIR_GUESSES,
    PAIR_REFILL_S,
    Throttle,
    client_name,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def exhaust(throttle: Throttle, account: str, client: str, now: datetime = NOW) -> int:
    """Guess until it is refused; return how often it was let."""
    for count in range(10_000):
        try:
            throttle.guess(account, client, now)
        except RateLimited:
            return count
    raise AssertionError("nobody stops it")


def test_a_guesser_has_few_guesses_and_then_one_a_minute() -> None:
    throttle = Throttle()
    assert exhaust(throttle, "ada", "10.0.0.1") == PAIR_GUESSES
    with pytest.raises(RateLimited) as refused:
        throttle.guess("ada", "10.0.0.1", NOW)
    assert refused.value.retry_after_s == PAIR_REFILL_S
    assert exhaust(throttle, "ada", "10.0.0.1", NOW + timedelta(seconds=PAIR_REFILL_S)) == 1


def test_other_accounts_and_other_clients_are_not_stopped() -> None:
    throttle = Throttle()
    exhaust(throttle, "ada", "10.0.0.1")
    throttle.guess("bob", "10.0.0.1", NOW)
    throttle.guess("ada", "10.0.0.2", NOW)


def test_nobody_locks_others_out_by_guessing_from_everywhere() -> None:
    throttle = Throttle()
    throttle.guess("ada", "192.0.2.7", NOW)
    throttle.was_right("ada", "192.0.2.7")
    guesses = 0
    for number in range(100):
        guesses += exhaust(throttle, "ada", f"10.0.{number}.1")
    assert guesses == ACCOUNT_GUESSES - 1  # the owner's first log-in was from a new place, too
    later = NOW + timedelta(seconds=10 * ACCOUNT_REFILL_S)
    assert exhaust(throttle, "ada", "10.1.0.1", later) == 10
    throttle.guess("ada", "192.0.2.7", later)


def test_whoever_was_right_has_all_guesses_again() -> None:
    throttle = Throttle()
    for _ in range(5):
        throttle.guess("ada", "10.0.0.1", NOW)
    throttle.was_right("ada", "10.0.0.1")
    assert exhaust(throttle, "ada", "10.0.0.1") == PAIR_GUESSES


def test_a_client_tries_few_at_once_and_does_not_stop_those_who_have_been_right() -> None:
    throttle = Throttle()
    throttle.was_right("ada", "10.0.0.1")
    with ExitStack() as going_on:
        for _ in range(AT_ONCE):
            going_on.enter_context(throttle.trying("10.0.0.1", account="bob"))
        with pytest.raises(RateLimited), throttle.trying("10.0.0.1", account="bob"):
            pass
        with pytest.raises(RateLimited), throttle.trying("10.0.0.1"):
            pass
        with throttle.trying("10.0.0.1", account="ada"):
            pass
        with throttle.trying("10.0.0.2", account="bob"):
            pass
    with throttle.trying("10.0.0.1"):
        pass


def test_a_refused_guess_costs_nothing() -> None:
    throttle = Throttle()
    exhaust(throttle, "ada", "10.0.0.1")
    for _ in range(100):
        with pytest.raises(RateLimited):
            throttle.guess("ada", "10.0.0.1", NOW)
    throttle.guess("ada", "10.0.0.1", NOW + timedelta(seconds=PAIR_REFILL_S))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("", "x", False),
    ],
)
def test_who_holds_a_whole_network_is_one_client(one: str, other: str, same: bool) -> None:
    assert (client_name(one) == client_name(other)) == same
