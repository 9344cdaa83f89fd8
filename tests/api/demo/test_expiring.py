from __future__ import annotations

import trio
from trio.testing import MockClock

from api.demo.expiring import Expiring


async def test_an_entry_is_gone_once_its_time_is_over(autojump_clock: MockClock) -> None:
    table: Expiring[str] = Expiring(ttl_s=10)
    table.put("a", "apple")
    await trio.sleep(9.9)
    assert table.peek("a") == "apple"
    await trio.sleep(0.1)
    assert table.peek("a") is None
    assert len(table) == 0


async def test_touching_prolongs_and_peeking_does_not(autojump_clock: MockClock) -> None:
    table: Expiring[str] = Expiring(ttl_s=10)
    table.put("a", "apple")
    table.put("b", "bread")
    await trio.sleep(6)
    assert table.touch("a") == "apple"
    assert table.peek("b") == "bread"
    await trio.sleep(6)
    assert table.items() == [("a", "apple")]


async def test_the_one_touched_longest_ago_makes_room(autojump_clock: MockClock) -> None:
    table: Expiring[int] = Expiring(ttl_s=10, capacity=2)
    table.put("a", 1)
    table.put("b", 2)
    table.touch("a")
    table.put("c", 3)
    assert table.items() == [("a", 1), ("c", 3)]


async def test_what_was_taken_cannot_be_taken_again(autojump_clock: MockClock) -> None:
    table: Expiring[int] = Expiring(ttl_s=10)
    table.put("a", 1)
    assert table.take("a") == 1
    assert table.take("a") is None
