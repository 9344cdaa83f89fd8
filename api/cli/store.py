"""`mooring store`: look after what servers keep, in a file or in PostgreSQL."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import click
import trio

from api.cli.options import config_file
from api.config import load
from api.datadir import hold_data_dir
from api.retention import erase_tenant, erase_user
from api.settings import StartError
from api.storage import DATABASE, open_store
from engine.clock import SystemClock
from engine.errors import StoreError
from engine.store import (
    CheckReport,
    CopyProgress,
    Store,
    Transferred,
    backup_sqlite,
    copy_store,
    is_postgres,
)

_T = TypeVar("_T")
_PRIVATE: Final = 0o600


@click.group()
def store() -> None:
    """Check, export, import, move and erase what the server keeps.

    With a database in a file, the server must not run meanwhile, save for a backup.

    Exits with 0 when all is well, 2 when a setting is wrong, 1 when anything else is.
    """


@store.command()
@config_file
def check(*, file: Path | None) -> None:
    """Look for damage and contradictions in the database."""
    report: CheckReport = _with_store(file, _check)
    for problem in report.problems:
        click.echo(problem)
    click.echo(f"{report.streams} sessions, {report.events} events", err=True)
    if report.problems:
        sys.exit(1)


@store.command("export")
@config_file
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
def export_lines(*, file: Path | None, output: Path) -> None:
    """Write everything there is to OUTPUT, as JSON lines; - is the standard output.

    A file is made for its owner only, and is whole or not there at all.
    """
    lines = _with_store(file, partial(_export, output=output))
    click.echo(f"{lines} lines", err=True)


@store.command("import")
@config_file
@click.argument("source", type=click.Path(path_type=Path, dir_okay=False))
def import_lines(*, file: Path | None, source: Path) -> None:
    """Bring in an export, all of it or nothing; - is the standard input.

    The database must be empty, or not be there.
    """
    done: Transferred = _with_store(file, partial(_import, source=source), must_exist=False)
    click.echo(f"{done.streams} sessions, {done.events} events", err=True)


@store.command()
@config_file
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
def backup(*, file: Path | None, target: Path) -> None:
    """Copy the database to FILE, also while the server runs; the copy is checked.

    To restore it, put it into an empty data directory as mooring.db, beside the master.key of its
    server. For PostgreSQL use pg_dump.
    """
    report: CheckReport = or_exit(partial(_backup, file, target))
    click.echo(f"{report.streams} sessions, {report.events} events, sound", err=True)


@store.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
def copy(*, source: str, target: str) -> None:
    """Move everything from one store into another, empty one, and hold both against each other.

    FROM and TO are data directories, or PostgreSQL URLs; a password is better left to PGPASSWORD or
    a password file than written here. FROM is left as it is. Stop its servers first: what they
    write later is not in the copy. Sealed secrets stay sealed: take the master key along.
    """
    done: Transferred = or_exit(partial(_copy, source, target))
    click.echo(
        f"{done.streams} sessions, {done.events} events, {done.aliases} aliases: the same in both",
        err=True,
    )


@store.command()
@config_file
@click.option("--user", metavar="BUSINESS/USER", help="Or USER, whatever the business.")
@click.option("--tenant", metavar="ID", help="With all of its sessions, keys and webhooks.")
def erase(*, file: Path | None, user: str | None, tenant: str | None) -> None:
    """Erase a user's or a tenant's sessions, with their logs, for good.

    USER alone also finds browser sessions that were opened under that name. An id's own slash is
    written %2F, and its %2F %252F. What was erased, and how much, is noted in the audit log,
    without a name. Exports and backups are left as they are.
    """
    if (user is None) == (tenant is None):
        raise click.UsageError("name either --user or --tenant")
    work = partial(_erase, user=user, tenant=tenant)
    erased: dict[str, int] = _with_store(file, work)
    found = ", ".join(f"{count} {kind}" for kind, count in sorted(erased.items()))
    click.echo(f"erased: {found or 'nothing, there is none'}", err=True)


def _with_store(
    file: Path | None, work: Callable[[Store], Awaitable[_T]], *, must_exist: bool = True
) -> _T:
    """Run `work` on the store of the settings; errors end the program."""

    async def run() -> _T:
        settings = load(flags={}, environ=os.environ, file=file).settings
        where = settings.store or settings.data_dir
        async with _opened(where, must_exist=must_exist) as opened:
            return await work(opened)

    return or_exit(run)


def or_exit(run: Callable[[], Awaitable[_T]]) -> _T:
    """Return what `run` returns; errors end the program."""
    try:
        return trio.run(run)
    except StartError as error:
        click.echo(f"mooring: {error}", err=True)
        sys.exit(error.exit_code)
    except BaseExceptionGroup as group:
        known = _only(group)
        if known is None:
            raise
        click.echo(f"mooring: {known}", err=True)
        sys.exit(known.exit_code if isinstance(known, StartError) else 1)
    except (StoreError, OSError) as error:
        click.echo(f"mooring: {error}", err=True)
    sys.exit(1)


@asynccontextmanager
async def _opened(where: str, *, must_exist: bool) -> AsyncIterator[Store]:
    """Open the store at a PostgreSQL URL or in a data directory, which is held meanwhile."""
    if is_postgres(where):
        async with open_store(where, data_dir=Path(), clock=SystemClock()) as opened:
            yield opened
        return
    folder = Path(where)
    if must_exist and not (folder / DATABASE).exists():
        raise StartError(f"there is no database at {folder / DATABASE}")
    with hold_data_dir(folder) as data_dir:
        async with open_store(None, data_dir=data_dir, clock=SystemClock()) as opened:
            yield opened


def _only(error: BaseException) -> BaseException | None:
    """Return the one error that a group wraps, when it is one to be told."""
    while isinstance(error, BaseExceptionGroup):
        if len(error.exceptions) != 1:
            return None
        error = error.exceptions[0]
    return error if isinstance(error, StoreError | StartError | OSError) else None


async def _backup(file: Path | None, target: Path) -> CheckReport:
    settings = load(flags={}, environ=os.environ, file=file).settings
    if settings.store is not None:
        raise StartError("MOORING_STORE is PostgreSQL; use pg_dump")
    database = Path(settings.data_dir) / DATABASE
    if not database.exists():
        raise StartError(f"there is no database at {database}")
    return await backup_sqlite(database, target)


async def _erase(opened: Store, *, user: str | None, tenant: str | None) -> dict[str, int]:
    if user is not None:
        return await erase_user(opened, SystemClock(), user)
    return await erase_tenant(opened, SystemClock(), tenant or "")


async def _check(opened: Store) -> CheckReport:
    return await opened.check()


async def _export(opened: Store, *, output: Path) -> int:
    count = 0
    async with _writing(output) as write, opened.export() as lines:
        async for line in lines:
            await write(line)
            count += 1
    return count


async def _import(opened: Store, *, source: Path) -> Transferred:
    async with _reading(source) as lines:
        return await opened.import_lines(lines)


async def _copy(source: str, target: str) -> Transferred:
    async with (
        _opened(source, must_exist=True) as taken_from,
        _opened(target, must_exist=False) as brought_to,
    ):
        return await copy_store(taken_from, brought_to, report=_report)


def _report(progress: CopyProgress) -> None:
    what = "verified" if progress.verifying else "copied"
    click.echo(f"{what} {progress.streams:,} sessions, {progress.events:,} events", err=True)


@asynccontextmanager
async def _writing(output: Path) -> AsyncIterator[Callable[[bytes], Awaitable[Any]]]:
    if str(output) == "-":
        out = trio.wrap_file(sys.stdout.buffer)
        yield out.write
        await out.flush()
        return
    partly = output.with_name(output.name + ".part")
    handle = os.open(partly, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, _PRIVATE)
    try:
        async with trio.wrap_file(os.fdopen(handle, "wb")) as file:
            yield file.write
            await file.flush()
            await trio.to_thread.run_sync(os.fsync, handle)
        await trio.Path(partly).replace(output)
    finally:
        await trio.Path(partly).unlink(missing_ok=True)


@asynccontextmanager
async def _reading(source: Path) -> AsyncIterator[AsyncIterator[bytes]]:
    if str(source) == "-":
        yield aiter(trio.wrap_file(sys.stdin.buffer))
    else:
        async with await trio.open_file(source, "rb") as file:
            yield aiter(file)
