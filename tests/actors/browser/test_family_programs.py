"""Random programs of callers, crashes and outages: everybody is answered, and nothing is left.

Whatever happens, never more sessions are listed than there may be, no page is used by two at once,
every error is one that a caller can understand, and one login runs for one pair of credentials.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from actors.browser.errors import BrowserSessionError, SessionNotFound
from engine import ActorStopped
from tests.actors.browser.fakes import Site, Task
from tests.actors.browser.house import House, open_house

Step = tuple[str, int]
CAPACITY = 3
BOUNDS: dict[str, Any] = {
    "capacity": CAPACITY,
    "sessions_per_process": 2,
    "capacity_wait_s": 5.0,
    "login_timeout_s": 20.0,
    "operation_timeout_s": 30.0,
    "refresh_interval_s": 50.0,
    "idle_timeout_s": 100.0,
}

steps = st.tuples(
    st.sampled_from(
        [
            "get",
            "get",
            "get with a wrong password",
            "run by credentials",
            "run by id",
            "run by id",
            "run for ever",
            "leave",
            "close",
            "kill",
            "drop",
            "log all out",
            "change a password",
            "site down",
            "site hangs",
            "site's scripts fail",
            "captcha fails",
            "break launching",
            "break opening",
            "deafen",
            "heal",
            "wait",
            "wait",
            "wait",
        ]
    ),
    st.integers(0, 7),
)
PAUSES_S = (0.0, 0.1, 0.6, 1.5, 3.0, 10.0, 40.0, 130.0)


async def act(house: House, step: Step) -> None:
    what, number = step
    ids = [view.session_id for view in await house.list()]
    waiting = [caller for caller in house.callers if not caller.ended]
    match what:
        case "get":
            house.get_soon(number)
        case "get with a wrong password":
            house.get_soon(number, "wrong")
        case "run by credentials":
            house.run_soon(Task(seconds=PAUSES_S[number]), number=number % 4)
        case "run by id" if ids:
            house.run_soon(Task(seconds=PAUSES_S[number]), ids[number % len(ids)])
        case "run for ever" if ids:
            house.run_soon(Task(seconds=1e6), ids[number % len(ids)])
        case "leave" if waiting:
            await waiting[number % len(waiting)].leave()
        case "close" if ids:
            with suppress(SessionNotFound):  # it may have ended by itself in this very moment
                await house.close(ids[number % len(ids)])
        case "wait":
            await trio.sleep(PAUSES_S[number])
        case _:
            befall(house, what, number)


def befall(house: House, what: str, number: int) -> None:
    machine, site = house.machine, house.site
    running = tuple(machine.running.values())
    match what:
        case "kill" if running:
            running[number % len(running)].kill()
        case "drop" if running:
            running[number % len(running)].drop()
        case "log all out":
            site.log_all_out()
        case "change a password":
            site.passwords[f"driver-{number}"] = "changed"
        case "site down":
            site.down = True
        case "site hangs":
            site.hangs = True
        case "site's scripts fail":
            site.scripts_fail = True
        case "captcha fails":
            site.captcha_fails = True
        case "break launching":
            machine.broken = True
        case "break opening":
            machine.barren = True
        case "deafen":
            machine.deaf = True
        case "heal":
            machine.heal()
            site.heal()


async def run(program: Sequence[Step], *, drain_s: float, leaves: bool) -> None:
    async with open_house(drain_s=drain_s, leaves=leaves, **BOUNDS) as house:
        for step in program:
            await act(house, step)
            assert len(await house.list()) <= CAPACITY
        if leaves:
            await trio.sleep(1000.0)
            assert await house.list() == ()
            assert all(caller.ended for caller in house.callers)
    # What an actor that has stopped could not take is told as "the server is stopping" outside.
    known = BrowserSessionError if leaves else (BrowserSessionError, ActorStopped)
    for caller in house.callers:
        assert caller.error is None or isinstance(caller.error, known), caller.error


async def run_kill_and_run(before: Sequence[Step], after: Sequence[Step]) -> None:
    """Kill a server at any moment, and let another one go on: no session is lost or made twice."""
    site = Site()
    async with open_house(leaves=False, site=site, **BOUNDS) as house:
        for step in before:
            await act(house, step)
        kept = {it.session_id for it in await house.list() if it.status != "starting"}
        disk = house.killed()
    site.heal()
    async with open_house(disk=disk, site=site, **BOUNDS) as house:
        waiting = {view.session_id for view in await house.list()}
        assert {view.status for view in await house.list()} <= {"waiting"}
        # What was about to be granted or closed in that very moment may be either.
        assert not kept - waiting - {it for it in kept if await ended(house, it)}
        for step in after:
            await act(house, step)
            assert sum(it.status != "waiting" for it in await house.list()) <= CAPACITY
            ids = [view.session_id for view in await house.list()]
            assert len(ids) == len(set(ids))
    for caller in house.callers:
        assert caller.error is None or isinstance(caller.error, BrowserSessionError)


async def ended(house: House, session_id: str) -> bool:
    return (await house.events(session_id))[-1:] == ["session.closed"]


@settings(max_examples=150, deadline=None)
@given(before=st.lists(steps, max_size=20), after=st.lists(steps, max_size=20))
def test_a_kill_at_any_moment_loses_no_session(before: list[Step], after: list[Step]):
    trio.run(lambda: run_kill_and_run(before, after), clock=MockClock(autojump_threshold=0))


@settings(max_examples=150, deadline=None)
@given(program=st.lists(steps, max_size=40))
# A launch fails, and then nobody needs it any more.
@example(program=[("get", 0), ("site down", 0), ("wait", 3), ("get", 1), ("break launching", 0)])
def test_every_program_answers_everybody_and_leaves_nothing(program: list[Step]):
    trio.run(lambda: run(program, drain_s=0.0, leaves=True), clock=MockClock(autojump_threshold=0))


@settings(max_examples=100, deadline=None)
@given(program=st.lists(steps, max_size=20), drain_s=st.sampled_from([0.0, 1.0, 10.0]))
def test_a_stop_at_any_moment_answers_everybody_and_leaves_nothing(
    program: list[Step], drain_s: float
):
    trio.run(
        lambda: run(program, drain_s=drain_s, leaves=False), clock=MockClock(autojump_threshold=0)
    )
