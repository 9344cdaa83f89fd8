"""Ctrl-C, at every line of the runtime."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import engine
from engine import (
    DEFERRED,
    ActorPolicy,
    ActorRef,
    DeliveryError,
    Restart,
    SeededClock,
    Supervisor,
    open_supervisor,
)
from engine.errors import AskError
from tests.engine.puppet import Puppet, accident, settled, sleeping, spawn

ENGINE = str(Path(engine.__file__).parent)


@pytest.fixture(autouse=True)
def ctrl_c_raises() -> Iterator[None]:
    """Trio minds Ctrl-C only where Python does, and a test's process may ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def interrupt_at(line: int) -> Iterator[Callable[[], bool]]:
    """Send SIGINT before the `line`-th line of the engine's code that is run from here on."""
    seen = 0

    def local(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal seen
        if event == "line":
            seen += 1
            if seen == line:
                signal.raise_signal(signal.SIGINT)
        return local

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        return local if frame.f_code.co_filename.startswith(ENGINE) else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield lambda: seen >= line
    finally:
        sys.settrace(before)


async def _ask_from_outside(ref: ActorRef, message: Any) -> None:
    # Errors of the runtime are an end like any other; to go on waiting is not.
    try:
        await ref.ask(message, timeout_s=100_000)
    except (AskError, DeliveryError):
        return


async def _use_everything(supervisor: Supervisor, askers: trio.Nursery) -> None:
    policy = ActorPolicy(restart=Restart.TRANSIENT, inbox_capacity=2)
    first = spawn(supervisor, policy=policy, on_stop=sleeping(1))
    second = spawn(supervisor, address="puppet/2", on_job_end=lambda *_: None)
    deeds = [
        lambda puppet: puppet.start_job("job", trio.sleep, 1),
        lambda puppet: puppet.set_timer("timer", 1, "timer"),
        lambda puppet: puppet.defer(on_gone="gone") and DEFERRED,
        lambda puppet: puppet.defer().forward(second, "forwarded") and DEFERRED,
        lambda puppet: puppet.defer().forward(second, _defer_for_ever) and DEFERRED,
        "echo",
    ]
    for deed in deeds:
        askers.start_soon(_ask_from_outside, first, deed)
    await trio.sleep(0.5)
    for number in range(3):
        await first.tell(number)
    first.signal(lambda _: accident())
    await trio.sleep(0.5)
    await settled(first)
    await supervisor.stop(second, grace_s=1)


def _defer_for_ever(puppet: Puppet) -> Any:
    puppet.defer()
    return DEFERRED


async def _run_until_interrupted(interrupted: list[BaseException]) -> None:
    """Fail when anybody waits for more than the runtime's own timeouts after the interrupt."""
    with trio.fail_after(200):
        async with trio.open_nursery() as askers:
            try:
                async with (
                    open_supervisor("root", clock=SeededClock()) as outer,
                    open_supervisor("inner", parent=outer) as supervisor,
                ):
                    await _use_everything(supervisor, askers)
            except (KeyboardInterrupt, BaseExceptionGroup) as error:
                interrupted.append(error)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("phase", range(0, 10, 3))
def test_interrupts_leave_nobody_waiting_at_whatever_line_they_strike(phase: int) -> None:
    # Every tenth line from `phase` on. A coroutine that is interrupted before its first step was
    # never awaited: Python says so.
    line, fired_once = phase + 1, False
    while True:
        interrupted: list[BaseException] = []
        run = partial(trio.run, _run_until_interrupted, interrupted)
        with interrupt_at(line) as fired:
            try:
                run(clock=MockClock(autojump_threshold=0))
            except (KeyboardInterrupt, BaseExceptionGroup) as error:
                interrupted.append(error)
            if not fired():
                break
        fired_once = True
        assert any(map(_is_interrupt, interrupted)), (line, interrupted)
        line += 10
    assert fired_once


def _is_interrupt(error: BaseException) -> bool:
    """True for the interrupt, with nothing beside it but what it does to those who ask."""
    if not isinstance(error, BaseExceptionGroup):
        return isinstance(error, KeyboardInterrupt)
    _, others = error.split((KeyboardInterrupt, AskError, DeliveryError))
    return others is None and error.subgroup(KeyboardInterrupt) is not None


def test_interrupts_leave_nobody_waiting_for_a_handler_that_never_returns() -> None:
    reached: list[str] = []

    def never_return(_: Puppet) -> None:
        signal.raise_signal(signal.SIGINT)
        while True:
            reached.append("went on")

    async def main() -> None:
        async with open_supervisor("root") as supervisor:
            ref = spawn(supervisor)
            await ref.ask(never_return, timeout_s=60)

    with pytest.raises(BaseExceptionGroup) as caught:
        trio.run(main)
    assert caught.group_contains(KeyboardInterrupt)
    assert reached == []
