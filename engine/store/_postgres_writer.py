"""The one connection that commits, and what it does when that breaks.

Laws of this file: each statement carries the writer's next number, and the database takes a number
once. So an answer that was lost is looked up (`settle`) before anything else is written: what was
written is not written again, what was not is, and a statement that is still on its way comes too
late.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import trio

from engine.clock import Clock
from engine.errors import CommitInvalid, CommitUnknown, StoreError, StoreUnavailable
from engine.store._commit import Commit
from engine.store._group_commit import Outcome
from engine.store._postgres_batch import outcomes_of, values_of, waves
from engine.store._postgres_connection import Connection, Denied, Lost
from engine.store._postgres_functions import WRONG_BATCH
from engine.store._postgres_pool import CHECK_S, IDLE_S, Dial, Redial, reason_of

_LOG: Final = logging.getLogger("mooring.engine")

# The server ends a statement after `statement_timeout`; an answer that takes longer was lost.
ANSWER_S: Final = 20.0
_TRIES: Final = 5

_PARAMETERS: Final = ", ".join(f"${number}" for number in range(1, 31))
_COMMIT: Final = f"SELECT * FROM commit_batch({_PARAMETERS})"  # noqa: S608 - numbers
_SETTLE: Final = "SELECT * FROM settle($1, $2)"
_REGISTER: Final = """
    INSERT INTO writers (writer, batch) VALUES (nextval('writer_numbers'), 0) RETURNING writer
"""
_LEAVE: Final = "DELETE FROM writers WHERE writer = $1"
_FORGET: Final = "DELETE FROM writers WHERE opened_at < now() - interval '30 days'"
# Somebody else did the same at the same moment, or stood in the way: nothing was written, and a
# second try finds what has become of it.
_AGAIN: Final = frozenset({"23505", "40001", "40P01"})

Refused = Sequence[Mapping[str, Any]]


class _Unknowable(Exception):
    """The database does not know this writer: nobody can say what became of its last statement."""


class Writer:
    """Makes batches durable, one statement at a time; used by one task at a time."""

    def __init__(self, dial: Dial, clock: Clock, now_ms: Callable[[], int]) -> None:
        self._dial = dial
        self._clock = clock
        self._now_ms = now_ms
        self._connection: Connection | None = None
        self._writer = 0
        self._batch = 0
        self._in_doubt = False  # a statement of number `_batch` was sent and not answered
        self._found: Refused | None = None  # what became of it, when it turned out to be written
        self._forgotten = False  # nobody can say what became of it
        self.trouble: str | None = None

    async def wait_ready(self) -> None:
        """Return once there is a connection that answers, and nothing is in doubt."""
        redial = Redial(self._clock)
        while not await self._is_ready():
            try:
                self._connection = await self._dial()
                await self._settle(self._connection)
            except (Lost, Denied, StoreError) as error:
                self._note(str(error))
                await redial.wait()
        self._note(None)

    async def apply(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        """Make a batch durable; return each commit's outcome, in order."""
        outcomes: dict[int, Outcome] = {}
        for wave in waves(commits):
            of_wave = await self._write([commits[place] for place in wave])
            outcomes.update(zip(wave, of_wave, strict=True))
        return [outcomes[place] for place in range(len(commits))]

    async def close(self) -> None:
        """Take leave; what is in doubt stays so."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with trio.move_on_after(CHECK_S, shield=True):
            try:
                if not self._in_doubt:
                    await connection.fetch(_LEAVE, self._writer, within_s=CHECK_S)
            except (Lost, Denied):
                _LOG.debug("a writer's row was left behind", exc_info=True)
        await connection.close()

    async def _write(self, commits: Sequence[Commit]) -> Sequence[Outcome]:
        try:
            return outcomes_of(commits, await self._send(commits))
        except _Unknowable:
            reason = "the database does not know this writer any more"
            return [CommitUnknown(one.stream, reason=reason) for one in commits]
        except Denied as denied:
            error: Exception = denied
            if denied.code[:2] not in ("22", "23"):  # about the database, and not what was written
                return [StoreUnavailable(reason_of(denied)) for _ in commits]
        except (ValueError, TypeError) as wrong:
            error = wrong
        if len(commits) == 1:
            return [CommitInvalid(commits[0].stream, reason=repr(error))]
        # What the database can't take in spite of all checks fails alone, not its batch.
        return [(await self._write([one]))[0] for one in commits]

    async def _send(self, commits: Sequence[Commit]) -> Refused:
        """Send the commits until it is known what became of them; return who was refused."""
        values = values_of(commits)
        tries = 0
        while True:
            await self.wait_ready()
            self._found, self._forgotten = None, False
            try:
                return await self._send_once(values)
            except Lost as lost:
                self._note(str(lost))
                await self.wait_ready()
                if self._forgotten:
                    raise _Unknowable from lost
                if self._found is not None:
                    return self._found
            except Denied as denied:
                tries += 1
                if denied.code not in _AGAIN or tries == _TRIES:
                    raise

    async def _send_once(self, values: Sequence[Any]) -> Refused:
        connection = self._connection
        assert connection is not None  # noqa: S101 - `wait_ready` has seen to it
        self._batch += 1
        self._in_doubt = True
        head = self._writer, self._batch, self._now_ms()
        try:
            refused: Refused = await connection.fetch(_COMMIT, *head, *values, within_s=ANSWER_S)
        except Lost:
            raise
        except trio.Cancelled:
            connection.give_up()  # what became of it is asked on the next one
            raise
        except Exception as error:
            # It was refused as a whole, and its number with it.
            self._batch -= 1
            self._in_doubt = False
            if isinstance(error, Denied) and error.code == WRONG_BATCH:
                connection.give_up()
                self._writer = 0
                raise Lost("the database does not know this writer any more") from error
            raise
        self._in_doubt = False
        return refused

    async def _is_ready(self) -> bool:
        connection = self._connection
        if connection is None or connection.closed:
            return False
        if self._in_doubt or self._writer == 0:
            connection.give_up()
            return False
        if trio.current_time() - connection.used_at < IDLE_S:
            return True
        return await connection.is_sound(within_s=CHECK_S)

    async def _settle(self, connection: Connection) -> None:
        """Find out what became of the statement in doubt, and have a number for the next one."""
        if self._writer == 0:
            await connection.fetch(_FORGET, within_s=ANSWER_S)
            ((self._writer,),) = await connection.fetch(_REGISTER, within_s=ANSWER_S)
            self._batch = 0
        if not self._in_doubt:
            return
        last = await connection.fetch(_SETTLE, self._writer, self._batch, within_s=ANSWER_S)
        self._in_doubt = False
        self._batch += 1
        if not last:
            self._writer, self._forgotten = 0, True
            await self._settle(connection)  # has a new number given to us
            return
        ((written, refused),) = last
        if written:
            self._found = [] if refused is None else msgspec.json.decode(refused)

    def _note(self, trouble: str | None) -> None:
        if trouble is not None and self.trouble is None:
            _LOG.warning("the database is away: %s", trouble)
        if trouble is None and self.trouble is not None:
            _LOG.warning("the database is back")
        self.trouble = trouble


@asynccontextmanager
async def open_writer(
    dial: Dial, *, clock: Clock, now_ms: Callable[[], int]
) -> AsyncIterator[Writer]:
    """Have a writer for the length of a block; it is dialled when it is first needed."""
    writer = Writer(dial, clock, now_ms)
    try:
        yield writer
    finally:
        await writer.close()
