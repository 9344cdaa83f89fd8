"""A few connections that are lent out, checked, and dialled again with backoff when lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Concatenate, Final, ParamSpec, TypeVar

import trio

from engine.clock import Clock
from engine.errors import StoreUnavailable
from engine.store._postgres_connection import Connection, Denied, Lost

_P = ParamSpec("_P")
_T = TypeVar("_T")

Dial = Callable[[], Awaitable[Connection]]

_FIRST_S: Final = 0.05
_LONGEST_S: Final = 2.0
# A connection that nobody has used for so long is asked first whether it is still there.
IDLE_S: Final = 15.0
CHECK_S: Final = 3.0


class Redial:
    """Waits between two attempts: twice as long each time, with jitter, and never long."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._delay_s = _FIRST_S

    async def wait(self) -> None:
        """Wait for the next attempt."""
        await trio.sleep(self._delay_s * (0.5 + self._clock.jitter()))
        self._delay_s = min(self._delay_s * 2, _LONGEST_S)


class Pool:
    """Lends its connections, at most `size` at a time; further borrowers wait their turn."""

    def __init__(self, dial: Dial, *, size: int, clock: Clock) -> None:
        self._dial = dial
        self._clock = clock
        self._places = trio.Semaphore(size)
        self._idle: list[Connection] = []
        self._closed = False
        self.lent = 0

    async def run(
        self,
        within_s: float,
        work: Callable[Concatenate[Connection, _P], Awaitable[_T]],
        *args: _P.args,
        **kwargs: _P.kwargs,
    ) -> _T:
        """Return what `work` makes of a connection and these arguments.

        Work whose connection is lost begins anew on another one, so it must be repeatable.

        Raises:
            StoreUnavailable: no connection could be had, or kept, within the deadline; or the
                server refused the work.
        """
        trouble = "all connections are in use"
        redial = Redial(self._clock)
        with trio.move_on_after(within_s):
            while True:
                try:
                    async with self.lend() as connection:
                        return await work(connection, *args, **kwargs)
                except Lost as lost:
                    trouble = str(lost)
                except Denied as denied:
                    raise StoreUnavailable(reason_of(denied)) from denied
                await redial.wait()
        raise StoreUnavailable(trouble)

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Connection]:
        """Lend a connection for the length of a block.

        Raises:
            Lost, StoreUnavailable: none can be had now.
        """
        if self._closed:
            raise StoreUnavailable("it is closed")
        async with self._places:
            connection = await self._take()
            self.lent += 1
            try:
                yield connection
            except BaseException:
                # Cut short in the middle, perhaps: only what answers again is lent again.
                with trio.CancelScope(shield=True):
                    await connection.is_sound(within_s=CHECK_S)
                raise
            finally:
                self._give_back(connection)

    def take_in(self, connection: Connection) -> None:
        """Have a connection that somebody else dialled, to lend it first."""
        self._idle.append(connection)

    async def close(self) -> None:
        """Close what is idle; what is lent is closed as it comes back."""
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and await self._still_answers(connection):
                return connection
        return await self._dial()

    async def _still_answers(self, connection: Connection) -> bool:
        if trio.current_time() - connection.used_at < IDLE_S:
            return True
        try:
            return await connection.is_sound(within_s=CHECK_S)
        except BaseException:
            connection.give_up()
            raise

    def _give_back(self, connection: Connection) -> None:
        if self._closed:
            connection.give_up()
        elif not connection.closed:
            self._idle.append(connection)


def reason_of(denied: Denied) -> str:
    """Say what a refusal means to whoever uses the store."""
    known = {
        "57014": "the database took too long over it",
        "55P03": "the database took too long over a lock",
        "53100": "the database's disk is full",
    }
    return known.get(denied.code, f"the database refused it: {denied}")
