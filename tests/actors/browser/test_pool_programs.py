"""Random programs of taking, leaving, returning, killing and cutting lose no context.

What holds whenever the pool has come to rest: the contexts in the Chromiums are those that are
owned, and the spare; and nobody waits. `open_bench` checks it at the end of each program.
"""

from __future__ import annotations

from collections.abc import Sequence

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.browser.pool_messages import RegainContext, ReturnContext
from tests.actors.browser.bench import Bench, open_bench

Step = tuple[str, int]

steps = st.tuples(
    st.sampled_from(
        [
            "take",
            "take",
            "take",
            "give back",
            "leave",
            "kill",
            "drop",
            "break launching",
            "break opening",
            "deafen",
            "heal",
            "regain",
            "return nonsense",
            "wait",
            "wait",
        ]
    ),
    st.integers(0, 5),
)
PAUSES_S = (0.0, 0.05, 0.1, 0.55, 2.0, 70.0)


async def do(bench: Bench, nursery: trio.Nursery, step: Step) -> None:
    what, number = step
    machine = bench.machine
    owners = [taker for taker in bench.takers if taker.context_id is not None]
    waiting = [taker for taker in bench.takers if not taker.over.is_set()]
    running = tuple(machine.running.values())
    match what:
        case "take":
            bench.take_soon()
        case "give back" if owners:
            owners[number % len(owners)].give_back()
        case "leave" if waiting:
            waiting[number % len(waiting)].leave()
        case "kill" if running:
            running[number % len(running)].kill()
        case "drop" if running:
            running[number % len(running)].drop()
        case "break launching":
            machine.broken = True
        case "break opening":
            machine.barren = True
        case "deafen":
            machine.deaf = True
        case "heal":
            machine.heal()
        case "regain" if owners:
            regain = RegainContext(context_id=owners[number % len(owners)].context_id or "")
            nursery.start_soon(lambda: bench.pool.ask(regain, timeout_s=1e6))
        case "return nonsense":
            bench.pool.signal(ReturnContext(context_id=f"nobody's-{number}"))
        case "wait":
            await trio.sleep(PAUSES_S[number])


async def run(program: Sequence[Step], *, per_process: int, capacity: int, recycle: int) -> None:
    async with open_bench(
        per_process=per_process, capacity=capacity, recycle_contexts=recycle
    ) as bench:
        async with trio.open_nursery() as nursery:
            for step in program:
                await do(bench, nursery, step)
                for chromium in bench.machine.running.values():
                    # One more may be closing while the next one opens.
                    assert len(chromium.profiles) <= 2 * per_process
            bench.machine.heal()
        await bench.check_when_quiet()
        assert all(taker.over.is_set() for taker in bench.takers)


@settings(max_examples=150, deadline=None)
@given(
    program=st.lists(steps, max_size=40),
    per_process=st.integers(1, 3),
    capacity=st.integers(1, 5),
    recycle=st.sampled_from([2, 5, 200]),
)
def test_no_program_loses_a_context_or_leaves_anybody_waiting(
    program: list[Step], per_process: int, capacity: int, recycle: int
):
    trio.run(
        lambda: run(program, per_process=per_process, capacity=capacity, recycle=recycle),
        clock=MockClock(autojump_threshold=0),
    )
