"""A store in PostgreSQL, for several servers at once and for those who have one anyway.

Durable means: flushed by the database (`synchronous_commit=on`) before anybody is told. Aliases
expire by this node's clock, ownership ends by the database's. A database that goes away is dialled
until it is back; what was on its way is then looked up, see `_postgres_writer`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from functools import partial
from typing import Any, Final

import trio

from engine.clock import Clock, SystemClock
from engine.errors import StoreUnavailable
from engine.store import _postgres_erase as erasing
from engine.store import _postgres_owners as owners
from engine.store import _postgres_read as reading
from engine.store import _postgres_transfer as transfer
from engine.store._commit import Commit
from engine.store._cursor import ListCursors
from engine.store._group_commit import CommitLimits, GroupCommit, running
from engine.store._postgres_check import check
from engine.store._postgres_connection import Connection, Denied, Lost, asyncio_loop, dial
from engine.store._postgres_list import list_rows, tally
from engine.store._postgres_pool import Dial, Pool, Redial, reason_of
from engine.store._postgres_schema import migrate
from engine.store._postgres_url import PostgresUrl
from engine.store._postgres_writer import Writer, open_writer
from engine.store._protocol import (
    PAGE_BYTES,
    Alias,
    CheckReport,
    CommitDone,
    Due,
    Listing,
    ListQuery,
    Loaded,
    Page,
    StoreStatistics,
    Tally,
    Transferred,
)
from engine.store._rules import check_page, findable, is_matchable, milliseconds

_LOG: Final = logging.getLogger("mooring.engine")

_CLOSE_S: Final = 10.0
_READ_S: Final = 10.0  # for a read, and for a database that is away to come back
_WRITE_S: Final = 60.0
_ERASE_S: Final = 120.0
_STALL_S: Final = 30.0
_LONG_S: Final = 24 * 3600.0
# Eight connections in all, so that ten nodes fit into a server's usual hundred.
READERS: Final = 4
_CLERKS: Final = 2

_EVERY: Final = {
    "application_name": "mooring",
    "statement_timeout": "15s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "5min",
    "client_encoding": "UTF8",
    "timezone": "UTC",
    "jit": "off",
}
# A batch looks everything up by key. Plans are made once, for tables that may be empty then and
# large later, so what would be wrong for large ones is not for choice.
_BY_KEY: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
_WRITER: Final = {**_EVERY, **_BY_KEY, "synchronous_commit": "on"}
_READER: Final = {
    **_EVERY,
    **_BY_KEY,
    "default_transaction_read_only": "on",
    "enable_sort": "off",
    "enable_bitmapscan": "off",
}
_CLERK: Final = {**_EVERY, "synchronous_commit": "on"}


class PostgresStore:
    """The store protocol over one schema of a database; made by `open_postgres`."""

    def __init__(
        self,
        pools: tuple[Pool, Pool, Pool],
        writer: Writer,
        *,
        clock: Clock,
        limits: CommitLimits,
        cursor_key: bytes,
    ) -> None:
        self.group = GroupCommit(writer.apply, limits, writer)
        self._writer = writer
        self._readers, self._clerks, self._keeper = pools
        self._clock = clock
        self._cursors = ListCursors(cursor_key)

    @property
    def exclusive(self) -> bool:
        return False

    async def begin_epoch(self) -> int:
        return await self._clerks.run(_WRITE_S, _begin_epoch)

    def commit(self, commit: Commit, *, timeout_s: float = 10.0) -> Coroutine[Any, Any, CommitDone]:
        return self.group.commit(commit, timeout_s)

    async def read(
        self, stream: str, *, after: int = 0, limit: int = 100, max_bytes: int = PAGE_BYTES
    ) -> Page:
        check_page(limit, max_bytes)
        return await self._readers.run(
            _READ_S, reading.read, findable(stream), after, limit, max_bytes
        )

    async def newest(self, stream: str) -> int:
        return await self._readers.run(_READ_S, reading.newest, findable(stream))

    async def load(self, stream: str) -> Loaded:
        return await self._readers.run(_READ_S, reading.load, findable(stream))

    async def list_rows(self, query: ListQuery) -> Listing:
        check_page(query.limit)
        if not is_matchable(query):
            await trio.lowlevel.checkpoint()
            return Listing(entries=(), next_cursor=None)
        place = self._cursors.open(query)
        found = await self._readers.run(_READ_S, list_rows, query, place, query.limit + 1)
        return self._cursors.page(query, found)

    async def resolve(self, alias: str) -> Alias | None:
        return await self._readers.run(_READ_S, reading.resolve, findable(alias), self._now_ms())

    async def due(
        self, before_ms: int, *, limit: int = 100, after: Due | None = None
    ) -> tuple[Due, ...]:
        check_page(limit)
        return await self._readers.run(_READ_S, reading.due, before_ms, limit, after)

    async def tally(self) -> tuple[Tally, ...]:
        return await self._readers.run(_READ_S, tally)

    async def prune(self, stream: str, *, types: frozenset[str], after: int, through: int) -> int:
        pruned = 0
        while after < through:
            removed, after = await self._clerks.run(
                _WRITE_S, erasing.prune, findable(stream), types, after, through
            )
            pruned += removed
        return pruned

    async def erase(self, stream: str, *, epoch: int) -> None:
        await self._clerks.run(_WRITE_S, erasing.bury, findable(stream), epoch)
        # The stream is out of reach; a caller that goes away now does not leave its events behind.
        with trio.move_on_after(_ERASE_S, shield=True):
            return await self._clerks.run(_ERASE_S, erasing.empty_graves)
        raise StoreUnavailable("the events of an erased stream are not all removed yet")

    async def forget_expired(self, *, limit: int = 1_000) -> int:
        return await self._clerks.run(_WRITE_S, erasing.forget_expired, self._now_ms(), limit)

    async def own(self, stream: str, *, node: str, lease_s: float) -> int:
        return await self._keeper.run(_READ_S, owners.own, stream, node, lease_s)

    async def renew(self, held: Mapping[str, int], *, node: str, lease_s: float) -> frozenset[str]:
        return await self._keeper.run(_READ_S, owners.renew, held, node, lease_s)

    async def disown(self, held: Mapping[str, int], *, node: str) -> None:
        await self._keeper.run(_READ_S, owners.disown, held, node)

    async def check(self) -> CheckReport:
        return await self._clerks.run(_LONG_S, check)

    @asynccontextmanager
    async def export(self) -> AsyncIterator[AsyncIterator[bytes]]:
        with _as_store_errors():
            async with (
                self._clerks.lend() as connection,
                aclosing(transfer.lines_of(connection)) as lines,
            ):
                yield lines

    async def import_lines(self, lines: AsyncIterable[bytes]) -> Transferred:
        with _as_store_errors():
            async with self._clerks.lend() as connection:
                return await transfer.import_lines(connection, lines)

    def statistics(self) -> StoreStatistics:
        return self.group.statistics(reads=self._readers.lent)

    def _now_ms(self) -> int:
        return milliseconds(self._clock.now())


@asynccontextmanager
async def open_postgres(
    url: str,
    *,
    clock: Clock | None = None,
    limits: CommitLimits | None = None,
    patience_s: float = 30.0,
) -> AsyncIterator[PostgresStore]:
    """Open the store in a database for the length of a block; its tables are made where missing.

    Any number of servers may have it open. At the end of the block, what stands in line is
    committed. It runs on the asyncio loop that is open, or on one of its own.

    Args:
        url: `postgresql://user:password@host:port/database`; `?schema=` names another schema than
            `mooring`.
        clock: what aliases expire by; default the system's.
        patience_s: how long to wait for a database that cannot be reached yet.

    Raises:
        StoreTooNew, StoreDamaged: the database is left as it is.
        StoreUnavailable: it cannot be reached, used or written; no password is in the reason.
    """
    clock = clock or SystemClock()
    try:
        where = PostgresUrl(url)
    except ValueError as error:
        raise StoreUnavailable(str(error)) from None
    failure: BaseException | None = None
    async with asyncio_loop() as loop:
        try:
            async with _opened(where, loop, clock, limits, patience_s) as store:
                yield store
        except BaseException as error:
            failure = error  # out of the loop's own nursery, which would put it into a group
    if failure is not None:
        raise failure


@asynccontextmanager
async def _opened(
    url: PostgresUrl, loop: Any, clock: Clock, limits: CommitLimits | None, patience_s: float
) -> AsyncIterator[PostgresStore]:
    dials: list[Dial] = [partial(dial, url, one, loop) for one in (_READER, _CLERK, _CLERK)]
    sizes = READERS, _CLERKS, 1
    async with AsyncExitStack() as stack:
        pools = [Pool(one, size=n, clock=clock) for one, n in zip(dials, sizes, strict=True)]
        for pool in pools:
            stack.push_async_callback(pool.close)
        readers, clerks, keeper = pools
        clerks.take_in(first := await _dial_first(dials[1], clock, patience_s))
        await migrate(first, url)
        cursor_key = await clerks.run(_WRITE_S, _look_around)
        await clerks.run(_ERASE_S, erasing.empty_graves)
        now_ms = partial(_now_ms, clock)
        writer = await stack.enter_async_context(
            open_writer(partial(dial, url, _WRITER, loop), clock=clock, now_ms=now_ms)
        )
        store = PostgresStore(
            (readers, clerks, keeper),
            writer,
            clock=clock,
            limits=limits or CommitLimits(stall_s=_STALL_S),
            cursor_key=cursor_key,
        )
        async with running(store.group, close_timeout_s=_CLOSE_S):
            yield store


async def _dial_first(dial_one: Dial, clock: Clock, patience_s: float) -> Connection:
    """Dial a database that may be starting just now, as this server is."""
    redial = Redial(clock)
    trouble = "it did not answer"
    with trio.move_on_after(patience_s):
        while True:
            try:
                return await dial_one()
            except Lost as lost:
                trouble = str(lost)
            await redial.wait()
    raise StoreUnavailable(trouble)


async def _begin_epoch(connection: Connection) -> int:
    ((epoch,),) = await connection.fetch("SELECT nextval('epochs')", within_s=_READ_S)
    return int(epoch)


async def _look_around(connection: Connection) -> bytes:
    """Return the cursors' key; warn of a database that does not keep what it says it has."""
    ((fsync, key),) = await connection.fetch(
        "SELECT current_setting('fsync'), bytes FROM meta WHERE name = 'cursor_key'",
        within_s=_READ_S,
    )
    if fsync != "on":
        _LOG.warning("the database has fsync=%s: what it acknowledges can be lost", fsync)
    return bytes(key)


def _now_ms(clock: Clock) -> int:
    return milliseconds(clock.now())


@contextmanager
def _as_store_errors() -> Iterator[None]:
    """Say what a connection says in the store's words."""
    try:
        yield
    except Lost as lost:
        raise StoreUnavailable(str(lost)) from lost
    except Denied as denied:
        raise StoreUnavailable(reason_of(denied)) from denied
