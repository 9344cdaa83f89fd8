"""Runs a random program, and judges every step of it.

Laws of this file: the stage knows what the clients and the actors saw, and nothing of how the
engine works. What it finds wrong is collected, and raised at the end of the run; everything that
happened is in its trace, in order.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import trio
from trio.testing import MockClock

from engine import (
    DEFERRED,
    Actor,
    ActorCrashed,
    ActorEnded,
    ActorRef,
    ActorStopped,
    AskTimeout,
    InboxFull,
    JobEnded,
    Reply,
    SeededClock,
    StopReason,
    open_supervisor,
)
from tests.engine.programs import (
    Answer,
    CancelWork,
    Crash,
    Deed,
    Defer,
    Forward,
    Kind,
    Part,
    Program,
    Refuse,
    Send,
    Sleep,
    Step,
    StopActor,
    StopYourself,
    Work,
)
from tests.engine.puppet import Accident, Refusal
from tests.engine.tasks import living_tasks

TICK_S = 1 / 64
_STOPPING_S = 0.5 + 2.0 + TICK_S + 1e-6  # for a job that is slow to leave, and `on_stop`
Trace = list[tuple[Any, ...]]


class Message(msgspec.Struct, frozen=True):
    """A deed under way; numbers grow in the order of sending."""

    number: int
    sender: int
    kind: Kind
    deed: Deed
    forwarded: bool = False


class Gone(msgspec.Struct, frozen=True):
    """The asker of a deferred message has left."""

    number: int
    life: int


class Due(msgspec.Struct, frozen=True):
    """A deferred answer is due."""

    number: int
    life: int
    at: float


class Stage:
    """What everybody saw."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.refs: list[ActorRef] = []
        self.trace: Trace = []
        self.wrong: list[str] = []
        self.waiting: set[int] = set()  # asks whose caller is still there
        self.withdrawn: set[int] = set()  # messages that were given up or given back
        self.begun: set[tuple[int, int]] = set()
        self.newest: dict[tuple[int, int], int] = {}  # of the ordinary ones, by sender and actor
        self.ends: dict[str, int] = {}
        self.numbers = 0
        self.lives = 0

    def note(self, *what: Any) -> None:
        self.trace.append((round(trio.current_time() - self.began, 6), *what))

    def expect(self, holds: bool, *otherwise: Any) -> None:
        if not holds:
            self.wrong.append(f"{self.trace[-3:]}: {otherwise}")

    def look_at_inboxes(self) -> None:
        for ref in self.refs:
            seen = ref.statistics()
            self.expect(seen.depth <= seen.capacity, "over capacity", ref, seen)
            full = seen.depth == seen.capacity
            self.expect(full or not seen.waiting_senders, "room is withheld", ref, seen)

    # -- the run -------------------------------------------------------------------------------

    async def run(self) -> None:
        self.began = trio.current_time()
        before = living_tasks()
        trio.lowlevel.add_instrument(_Looker(self))
        with trio.fail_after(1000):
            async with open_supervisor("root", clock=SeededClock(0)) as outer:
                watcher = outer.spawn(partial(_Watcher, self), "watcher/1")
                with trio.move_on_after(_or_never(self.program.cancel_s)):
                    await self._play(partial(open_supervisor, "inner", parent=outer), watcher)
                await watcher.ask(None, timeout_s=1)
                self.expect(len(outer.deadlines) == 0, "deadlines are left")
        self.expect(not living_tasks() - before, "tasks are left")
        self.expect(not self.waiting, "somebody waits", self.waiting)
        self.expect(self.ends == {ref.address: 1 for ref in self.refs}, "ends", self.ends)

    async def _play(self, open_inner: Any, watcher: ActorRef) -> None:
        closes_at = 0.0
        async with open_inner(grace_s=self.program.grace_s) as inner:
            for number, part in enumerate(self.program.parts):
                build = partial(_Walker, self, number, part)
                address = f"walker/{number}"
                ref = inner.spawn(build, address, policy=part.policy, watcher=watcher)
                self.refs.append(ref)
            async with trio.open_nursery() as clients:
                for sender, steps in enumerate(self.program.clients):
                    clients.start_soon(self._client, sender, steps, inner)
            closes_at = trio.current_time()
        took = trio.current_time() - closes_at
        self.expect(took <= self.program.grace_s + _STOPPING_S, "slow to close", took)

    async def _client(self, sender: int, steps: tuple[Step, ...], inner: Any) -> None:
        for step in steps:
            match step:
                case Send():
                    await self._send(sender, step)
                case Sleep(seconds):
                    await trio.sleep(seconds)
                case StopActor(to, grace_s):
                    inner.stop_soon(self.refs[to], grace_s=grace_s)
            await trio.lowlevel.checkpoint()

    # -- clients -------------------------------------------------------------------------------

    async def _send(self, sender: int, step: Send) -> None:
        self.numbers += 1
        message = Message(self.numbers, sender, step.kind, step.deed)
        with trio.move_on_after(_or_never(step.cancel_s)) as scope:
            try:
                end = await self._send_by_kind(self.refs[step.to], message, step)
            except (Refusal, AskTimeout, ActorStopped, ActorCrashed, InboxFull) as error:
                end = type(error).__name__
                self._judge_error(message, step, error)
            self.note("sent", message.number, end)
        if scope.cancelled_caught:
            self._given_up(message, step)

    async def _send_by_kind(self, ref: ActorRef, message: Message, step: Send) -> str:
        match step.kind:
            case "ask":
                return await self._ask(ref, message, step)
            case "tell":
                await ref.tell(message, timeout_s=step.timeout_s)
            case "tell_nowait":
                ref.tell_nowait(message)
            case "signal":
                ref.signal(message)
        return "sent"

    async def _ask(self, ref: ActorRef, message: Message, step: Send) -> str:
        self.waiting.add(message.number)
        sent_at = trio.current_time()
        try:
            answer = await ref.ask(message, timeout_s=step.timeout_s)
        except AskTimeout:
            took = trio.current_time() - sent_at
            self.expect(took >= step.timeout_s, "early", took)
            raise
        else:
            self.expect(answer == message.number, "another's answer", answer)
            return "answer"
        finally:
            took = trio.current_time() - sent_at
            self.expect(took <= step.timeout_s + TICK_S + 1e-6, "late", took)
            self.waiting.remove(message.number)

    def _judge_error(self, message: Message, step: Send, error: Exception) -> None:
        if step.kind != "ask":
            self.withdrawn.add(message.number)
            self.expect(isinstance(error, InboxFull | ActorStopped), "a strange end", error)

    def _given_up(self, message: Message, step: Send) -> None:
        self.note("given up", message.number)
        if step.kind != "ask":
            self.withdrawn.add(message.number)

    # -- actors --------------------------------------------------------------------------------

    def judge_beginning(self, walker: _Walker, message: Message) -> None:
        number = message.number
        self.note("begins", walker.name, number)
        self.look_at_inboxes()
        self.expect((number, walker.number) not in self.begun or message.forwarded, "begun twice")
        self.begun.add((number, walker.number))
        self.expect(number not in self.withdrawn, "was not sent", number)
        if message.kind == "ask":
            self.expect(number in self.waiting, "was withdrawn", number)
        if message.kind != "signal" and not message.forwarded:
            self.expect(not walker.stopping, "begun while stopping", number)
            lane = (message.sender, walker.number)
            self.expect(self.newest.get(lane, 0) < number, "out of order", number)
            self.newest[lane] = number


class _Looker(trio.abc.Instrument):
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._stage.look_at_inboxes()


class _Watcher(Actor):
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def handle(self, message: ActorEnded | None) -> None:
        if message is not None:
            self._stage.note("ended", message.address, message.reason)
            ends = self._stage.ends
            ends[message.address] = ends.get(message.address, 0) + 1


class _Walker(Actor):
    """One incarnation; it may do nothing before its start and nothing after its stop."""

    def __init__(self, stage: Stage, number: int, part: Part) -> None:
        stage.lives += 1
        self.life = stage.lives
        self.number = number
        self.name = f"{number}.{self.life}"
        self._stage = stage
        self._part = part
        self._alive = False
        self._inside = False
        self._jobs: dict[str, Reply | None] = {}
        self._running = 0
        self._replies: dict[int, Reply] = {}

    # -- hooks ---------------------------------------------------------------------------------

    async def on_start(self) -> None:
        self._stage.note("starts", self.name)
        await trio.sleep(self._part.start_s)
        if self._part.job_s is not None:
            self._start("of its own", None, Work(self._part.job_s, fails=False, leaves_s=0.0))
        self._alive = True

    async def on_stop(self, reason: StopReason) -> None:
        self._stage.note("stops", self.name, reason)
        self._stage.expect(self._running == 0, "jobs outlive it", self._jobs)
        self._alive = False
        await trio.sleep(self._part.stop_s)

    def handle(self, message: Message | Gone | Due) -> Any:
        expect = self._stage.expect
        expect(self._alive, "not alive")
        expect(not self._inside, "not one at a time")
        self._inside = True
        try:
            match message:
                case Message():
                    self._stage.judge_beginning(self, message)
                    return self._do(message, message.deed)
                case Gone(number, life):
                    self._stage.note("gone", self.name, number)
                    expect(life == self.life, "an earlier one's asker")
                    expect(not self._replies.pop(number).awaited, "has not left", number)
                case Due(number, life, at):
                    self._stage.note("due", self.name, number)
                    expect(life == self.life, "an earlier one's timer")
                    expect(at <= trio.current_time() <= at + TICK_S, "timer", at)
                    self._reply(number)
        finally:
            self._inside = False
        return None

    def handle_job_end(self, end: JobEnded) -> None:
        self._stage.note("job ends", self.name, end.name, end.cancelled, repr(end.error))
        self._stage.expect(self._alive, "not alive")
        self._stage.expect(end.name in self._jobs, "not its job, or ended twice", end.name)
        reply = self._jobs.pop(end.name, None)
        if reply is not None:
            reply.answer(int(end.name))
        super().handle_job_end(end)

    # -- deeds ---------------------------------------------------------------------------------

    def _do(self, message: Message, deed: Deed) -> Any:
        match deed:
            case Answer():
                return message.number
            case Refuse():
                raise Refusal
            case Crash():
                raise Accident
            case Defer():
                return self._do_later(message, deed)
            case Forward(to, next_deed):
                passed_on = msgspec.structs.replace(message, deed=next_deed, forwarded=True)
                self.defer(on_gone=Gone(-1, -1)).forward(self._stage.refs[to], passed_on)
                return DEFERRED
            case Work():
                self._start(str(message.number), None, deed)
            case CancelWork():
                for name in self._jobs:
                    self.cancel_job(name)
            case StopYourself(grace_s):
                self.stop(grace_s=grace_s)
        return message.number

    def _do_later(self, message: Message, deed: Defer) -> Any:
        number = message.number
        if message.kind != "ask":
            return None
        reply = self.defer(on_gone=Gone(number, self.life))
        self._replies[number] = reply
        if deed.after_s is not None and deed.by_job:
            self._start(str(number), reply, Work(deed.after_s, fails=False, leaves_s=0.0))
        elif deed.after_s is not None:
            due = Due(number, self.life, trio.current_time() + deed.after_s)
            self.set_timer(f"due {number}", deed.after_s, due)
        return DEFERRED

    def _reply(self, number: int) -> None:
        reply = self._replies.get(number)
        if reply is not None:
            reply.answer(number)

    def _start(self, name: str, reply: Reply | None, work: Work) -> None:
        if name not in self._jobs:
            self._jobs[name] = reply
            self.start_job(name, self._work, work)

    async def _work(self, work: Work) -> None:
        self._running += 1
        try:
            await trio.sleep(work.takes_s)
            if work.fails:
                raise Accident
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(work.leaves_s)
            self._running -= 1


def _or_never(seconds: float | None) -> float:
    return float("inf") if seconds is None else seconds


def run(program: Program) -> Trace:
    """Run `program` in virtual time; return all that happened, and raise what was wrong."""
    stage = Stage(program)
    trio.run(stage.run, clock=MockClock(autojump_threshold=0))
    assert not stage.wrong, "\n".join(stage.wrong[:5])
    return stage.trace
