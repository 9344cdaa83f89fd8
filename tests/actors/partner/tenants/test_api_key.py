from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.partner.tenants.api_key import hint_of, make_key, parse_key
from actors.partner.tenants.principal import ENVIRONMENTS, Environment
from engine import SeededClock, SystemClock


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_a_key_says_its_environment_and_is_told_by_its_checksum(environment: Environment) -> None:
    key = make_key(environment, SystemClock())
    assert re.fullmatch(rf"vp_{environment}_[0-9A-Za-z]{{39}}", key)
    shown = parse_key(key)
    assert shown is not None
    assert shown.environment == environment
    assert re.fullmatch(r"[0-9a-f]{64}", shown.digest)
    assert key[12:-4] not in hint_of(key)


@given(at=st.integers(0, 49), letter=st.sampled_from("0aAzZ9_-é"))
def test_a_key_with_a_letter_changed_is_none(at: int, letter: str) -> None:
    key = make_key("sandbox", SeededClock(1))
    changed = key[:at] + letter + key[at + 1 :]
    assert (parse_key(changed) is None) == (changed != key)


@pytest.mark.parametrize("text", ["", "vp_", "vp_sandbox_", "vp_live_" + "a" * 39, "x" * 10_000])
def test_what_no_key_can_be_is_none(text: str) -> None:
    assert parse_key(text) is None


def test_the_random_part_has_all_its_bits() -> None:
    class Ones(SystemClock):
        def random_bits(self, bits: int) -> int:
            assert bits >= 128
            return (1 << bits) - 1

    assert parse_key(make_key("sandbox", Ones())) is not None
