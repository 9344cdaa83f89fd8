"""One connection to PostgreSQL: the only place where asyncpg and asyncio are met.

asyncpg runs on trio-asyncio. What goes wrong comes out as one of three: `Lost` (the connection is
gone, and nobody knows what became of the statement), `Denied` (the server said no, and nothing of
the statement was done), or a `StoreError` that is final.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import asyncpg
import trio
import trio_asyncio

from engine.errors import StoreError, StoreUnavailable
from engine.store._postgres_url import PostgresUrl

_T = TypeVar("_T")
_LOG: Final = logging.getLogger("mooring.engine")
_CLOSE_S: Final = 2.0
_DIAL_S: Final = 10.0
_ROLLBACK_S: Final = 5.0
# Unacknowledged data, and silence: after so long the kernel gives a connection up.
_SOCKET_S: Final = 30

_OVER: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    # A standby that we have been sent to, or a primary that has become one: look for the other.
    asyncpg.ReadOnlySQLTransactionError,
    OSError,
    TimeoutError,
)


class Lost(Exception):
    """The connection is gone, or must be given up; `str` says why, without a password."""


class Denied(Exception):
    """The server refused a statement, and has done nothing of it."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{text} ({code})")
        self.code = code
        self.text = text


class Connection:
    """An open connection; one task uses it at a time. Made by `dial`."""

    def __init__(self, inner: asyncpg.Connection, loop: trio_asyncio.TrioEventLoop) -> None:
        self._inner = inner
        self._loop = loop
        self.used_at = trio.current_time()

    @property
    def closed(self) -> bool:
        return bool(self._inner.is_closed())

    @property
    def version(self) -> int:
        """The server's major version."""
        return int(self._inner.get_server_version().major)

    async def fetch(self, statement: str, *values: Any, within_s: float) -> Sequence[Any]:
        """Return a statement's rows.

        Raises:
            Lost: it had no answer within the deadline either; then the connection is given up.
            Denied: the server refused it.
        """
        return await self._call(within_s, self._inner.fetch, statement, *values)

    async def run(self, script: str, *, within_s: float) -> None:
        """Run a script without values, of one statement or several."""
        await self._call(within_s, self._inner.execute, script)

    async def copy_in(
        self, table: str, columns: Sequence[str], rows: Sequence[Any], *, within_s: float
    ) -> None:
        """Add many rows to a table."""
        copy = self._inner.copy_records_to_table
        await self._call(within_s, copy, table, columns=columns, records=rows)

    @asynccontextmanager
    async def transaction(self, kind: str = "", *, within_s: float) -> AsyncIterator[None]:
        """Commit what the block did, or nothing; beginning and ending are never cut in two."""
        with trio.CancelScope(shield=True):
            await self.run(f"BEGIN {kind}", within_s=within_s)
        try:
            yield
            with trio.CancelScope(shield=True):
                await self.run("COMMIT", within_s=within_s)
        except BaseException:
            with trio.CancelScope(shield=True):
                await self._roll_back()
            raise

    async def is_sound(self, *, within_s: float) -> bool:
        """Return whether it answers; one that does not is given up."""
        if self.closed:
            return False
        try:
            await self.run("SELECT 1", within_s=within_s)
        except (Lost, Denied, StoreError):
            self.give_up()
            return False
        return True

    def give_up(self) -> None:
        """Cut the connection at once."""
        if not self._inner.is_closed():
            self._inner.terminate()

    async def close(self) -> None:
        """Take leave of the server; within a deadline, and then without."""
        with trio.move_on_after(_CLOSE_S, shield=True):
            try:
                await trio_asyncio.aio_as_trio(self._inner.close, loop=self._loop)(timeout=_CLOSE_S)
            except Exception:
                _LOG.debug("a connection did not close in order", exc_info=True)
        self.give_up()

    async def _roll_back(self) -> None:
        try:
            if not self.closed and self._inner.is_in_transaction():
                await self.run("ROLLBACK", within_s=_ROLLBACK_S)
        except (Lost, Denied, StoreError):
            self.give_up()

    async def _call(
        self, within_s: float, work: Callable[..., Awaitable[_T]], *args: Any, **kwargs: Any
    ) -> _T:
        try:
            with trio.move_on_after(within_s):
                answer: _T = await trio_asyncio.aio_as_trio(work, loop=self._loop)(*args, **kwargs)
                self.used_at = trio.current_time()
                return answer
        except Exception as error:
            raise self._told(error) from error
        self.give_up()
        raise Lost(f"the database did not answer within {within_s:g} s")

    def _told(self, error: Exception) -> Exception:
        """Return what asyncpg's error means to whoever uses this connection."""
        if isinstance(error, _OVER) or self.closed:
            self.give_up()
            return Lost(_words(error))
        if isinstance(error, asyncpg.PostgresError):
            return Denied(error.sqlstate or "", _words(error))
        return error  # what was handed over is wrong: a fault of ours


async def dial(url: PostgresUrl, settings: Mapping[str, str], loop: Any) -> Connection:
    """Open a connection.

    Args:
        settings: the server's, for this session.
        loop: what `asyncio_loop` gave.

    Raises:
        Lost: it cannot be had now, and may be later.
        StoreUnavailable: it cannot be had until somebody has mended something.
    """
    try:
        with trio.fail_after(_DIAL_S):
            inner = await trio_asyncio.aio_as_trio(asyncpg.connect, loop=loop)(
                url.dsn, timeout=_DIAL_S, server_settings={**settings, "search_path": url.schema}
            )
    except Exception as error:
        raise _undialled(error, url) from error
    _watch(inner)
    return Connection(inner, loop)


@asynccontextmanager
async def asyncio_loop() -> AsyncIterator[Any]:
    """Yield asyncio's loop: the one that is open, or else one of our own."""
    if (open_loop := trio_asyncio.current_loop.get()) is not None:
        yield open_loop
        return
    async with trio_asyncio.open_loop() as loop:
        loop.set_exception_handler(_log_failure)
        yield loop


def _undialled(error: Exception, url: PostgresUrl) -> Exception:
    match error:
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            return StoreUnavailable(f"{url}: wrong user or password, or not let in")
        case asyncpg.InvalidCatalogNameError():
            return StoreUnavailable(f"{url}: there is no such database")
        case asyncpg.InsufficientPrivilegeError():
            return StoreUnavailable(f"{url}: {_words(error)}")
        case trio.TooSlowError():
            return Lost(f"{url} did not answer within {_DIAL_S:g} s")
        case asyncpg.InterfaceError():  # among them what it cannot make of the URL
            return StoreUnavailable(f"{url}: asyncpg can't use this URL ({type(error).__name__})")
    return Lost(f"{url}: {_words(error)}")


def _words(error: Exception) -> str:
    """Say in one line what happened; the driver's own words where they say it."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    return " ".join(str(error).split()) or type(error).__name__


def _watch(inner: asyncpg.Connection) -> None:
    """Let the kernel notice a peer that has gone without a word."""
    transport: asyncio.Transport | None = getattr(inner, "_transport", None)
    plug = None if transport is None else transport.get_extra_info("socket")
    if plug is None or plug.family not in (socket.AF_INET, socket.AF_INET6):
        return
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _SOCKET_S // 2),
        ("TCP_KEEPINTVL", 5),
        ("TCP_USER_TIMEOUT", _SOCKET_S * 1_000),
    ):
        if hasattr(socket, name):  # Linux has all of them
            plug.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _log_failure(_: Any, context: dict[str, Any]) -> None:
    # asyncio's default would end the whole loop over a future that nobody looked at.
    _LOG.warning("asyncio: %s", context.get("message"), exc_info=context.get("exception"))
