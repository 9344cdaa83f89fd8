"""Leases: counted, fenced, and over in the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.lease import LeaseTable


def test_a_holder_is_in_use_until_its_last_lease_is_released() -> None:
    leases = LeaseTable(10.0)
    first, second = leases.grant("a", now=0.0), leases.grant("a", now=0.0)
    leases.grant("b", now=0.0)
    assert leases.count("a") == 2
    assert leases.release(first.token) == first
    assert leases.count("a") == 1
    assert leases.release(second.token) == second
    assert leases.count("a") == 0
    assert leases.count("b") == 1


def test_leases_are_fenced_a_token_works_once() -> None:
    leases = LeaseTable(10.0)
    old = leases.grant("a", now=0.0)
    assert leases.release(old.token) == old
    new = leases.grant("a", now=0.0)
    assert new.token > old.token
    assert leases.release(old.token) is None
    assert not leases.renew(old.token, now=1.0)
    assert leases.count("a") == 1


def test_leases_are_fenced_against_those_of_an_earlier_table() -> None:
    assert LeaseTable(10.0, newest_token=41).grant("a", now=0.0).token == 42


def test_all_leases_of_one_holder_end_together_and_leave_those_of_others() -> None:
    leases = LeaseTable(10.0)
    gone = [leases.grant("a", now=0.0), leases.grant("a", now=0.0)]
    leases.grant("b", now=0.0)
    leases.release_all("a")
    leases.release_all("never leased")
    assert leases.count("a") == 0
    assert leases._by_holder.keys() == {"b"}
    assert [leases.release(lease.token) for lease in gone] == [None, None]
    assert leases.count("b") == 1


def test_a_lease_lapses_when_its_life_is_over_and_not_before() -> None:
    leases = LeaseTable(10.0)
    lease = leases.grant("a", now=5.0)
    assert leases.next_lapse() == 15.0
    assert leases.lapsed(14.9) == ()
    assert leases.lapsed(15.0) == (lease,)
    assert leases.count("a") == 1, "it stays until it is released"


def test_a_renewed_lease_has_a_whole_life_from_then() -> None:
    leases = LeaseTable(10.0)
    renewed, other = leases.grant("a", now=0.0), leases.grant("b", now=1.0)
    assert leases.renew(renewed.token, now=5.0)
    assert leases.next_lapse() == 11.0
    assert leases.lapsed(11.0) == (other,)
    assert [lease.token for lease in leases.lapsed(15.0)] == [other.token, renewed.token]


@given(
    st.lists(
        st.tuples(st.sampled_from(("grant", "renew", "release", "clear")), st.integers(0, 9)),
        max_size=60,
    )
)
def test_the_table_agrees_with_a_plain_list_of_leases(program: list[tuple[str, int]]) -> None:
    leases, plain = LeaseTable(10.0), dict[int, tuple[str, float]]()
    for now, (step, pick) in enumerate(program):
        holder = "abc"[pick % 3]
        token = list(plain)[pick % len(plain)] if plain else 0
        match step:
            case "grant":
                lease = leases.grant(holder, now=now)
                assert lease.token > max(plain, default=0)
                plain[lease.token] = (holder, lease.lapses_at)
            case "renew":
                assert leases.renew(token, now=now) == (token in plain)
                if token in plain:
                    plain[token] = (plain[token][0], now + 10.0)
            case "release":
                assert (leases.release(token) is not None) == (token in plain)
                plain.pop(token, None)
            case "clear":
                leases.release_all(holder)
                plain = {token: it for token, it in plain.items() if it[0] != holder}
        assert leases._leases.keys() == plain.keys()
        assert leases._by_holder.keys() == {it[0] for it in plain.values()}
        for each in "abc":
            assert leases.count(each) == sum(it[0] == each for it in plain.values())
        assert leases.next_lapse() == min((at for _, at in plain.values()), default=None)
        lapsed = {lease.token for lease in leases.lapsed(now)}
        assert lapsed == {token for token, (_, at) in plain.items() if at <= now}
