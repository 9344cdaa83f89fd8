"""A disk that is full: what cannot be kept is not acknowledged, and all goes on once there is room.

The disk is a small file system in memory where one may be mounted, and a limit to the size of files
everywhere.
"""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
import trio

from tests.api.cli.test_store import run
from tests.api.harness import Server, server
from tests.api.monitoring.test_metrics import scrape
from tests.faults.load import (
    SETTINGS,
    Chat,
    Client,
    Load,
    Partner,
    Place,
    loaded,
    until_idle,
)
from tests.faults.rounds import ROUNDS, tell

# The write-ahead log alone may take half of it.
_DISK_BYTES = 96 * 1024 * 1024


class Disk(msgspec.Struct):
    """Where the server keeps its data, and how that is filled and emptied."""

    name: str
    path: Path
    fill: Callable[[Server], None]
    make_room: Callable[[Server], None]


def _fill_the_rest(folder: Path) -> None:
    """Take all the room there is, to the last byte."""
    handle = os.open(folder / "ballast", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    piece = bytes(64 * 1024)
    try:
        while True:
            os.write(handle, piece)
    except OSError as error:
        assert error.errno == errno.ENOSPC  # noqa: PT017 - it is how this ends
    finally:
        os.close(handle)


def _file_system(folder: Path) -> Disk | None:
    """Return a small file system, or None where none may be mounted."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES},mode=0700", "tmpfs", str(folder)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        return None
    return Disk(
        name="file system",
        path=folder,
        fill=lambda _: _fill_the_rest(folder),
        make_room=lambda _: (folder / "ballast").unlink(),
    )


def _limit(folder: Path) -> Disk:
    """Return a folder on which the server's files may not grow any more when it is full."""
    folder.mkdir()

    def fill(running: Server) -> None:
        sizes = [path.stat().st_size for path in (folder / "data").iterdir()]
        _, hard = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
        largest = max(sizes)
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (largest, hard))

    def make_room(running: Server) -> None:
        _, hard = resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(running.process.pid, resource.RLIMIT_FSIZE, (hard, hard))

    return Disk(name="limit of file sizes", path=folder, fill=fill, make_room=make_room)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk that says when it is full; where none can be mounted, one that only fails."""
    folder = tmp_path / "disk"
    found = _file_system(folder)
    yield found or _limit(tmp_path / "limited")
    if found is not None:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@asynccontextmanager
async def asking_health(running: Server) -> AsyncIterator[Callable[[], Awaitable[list[str]]]]:
    """Give what tells the problems that `/health` names."""
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:

        async def ask() -> list[str]:
            said = (await client.get(f"{running.urls[0]}/health")).json()
            return [problem["code"] for problem in said.get("problems", ())]

        yield ask


def talkers(place: Place) -> list[Client]:
    return [*(Chat(place, f"user-{number}") for number in range(3)), Partner(place, "partner")]


async def until_it_fails(ask: Callable[[], Awaitable[list[str]]]) -> list[str]:
    with trio.fail_after(60):
        while not (codes := await ask()):
            await trio.sleep(0.02)
    return codes


async def test_a_full_disk_loses_nothing_that_was_answered_and_is_got_over(disk: Disk) -> None:
    restarts = 0
    async with loaded(talkers) as load, trio.open_nursery() as nursery:
        running = await nursery.start(serve, disk, load)
        nursery.start_soon(load.run)
        for _ in range(ROUNDS):
            await load.place.wait_more(load.kinds, 40)
            async with asking_health(running) as ask:
                disk.fill(running)
                codes = await until_it_fails(ask)
                disk.make_room(running)
            if codes != ["store_failing"]:
                # The disk failed in the middle of a write: only a start can tell what is there.
                assert codes == ["store_stopped"]
                assert await running.stop() == 0
                running = await nursery.start(serve, disk, load)
                restarts += 1
            await load.place.wait_more(load.kinds, 40)  # it goes on by itself
        await load.end()
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            with trio.fail_after(60):
                await load.check()
            await until_idle(lambda: scrape(client, running.urls[0]))
        assert await running.stop() == 0
    checked = await trio.to_thread.run_sync(run, disk.path / "data", "check")
    assert checked.returncode == 0, checked.stdout
    tell(f"{ROUNDS} times a full disk ({disk.name}), {restarts} restarts: {load.counts()}")


async def test_a_disk_that_fails_in_the_middle_of_a_write_stops_the_store_until_a_start(
    tmp_path: Path,
) -> None:
    disk = _limit(tmp_path / "limited")
    async with loaded(talkers) as load, trio.open_nursery() as nursery:
        running = await nursery.start(serve, disk, load)
        nursery.start_soon(load.run)
        await load.place.wait_more(load.kinds, 40)
        async with asking_health(running) as ask:
            disk.fill(running)
            codes = await until_it_fails(ask)
        assert codes in (["store_stopped"], ["store_failing"])
        assert await running.stop() == 0
        assert not [line for line in running.log if line["event"] == "store_crashed"]
        running = await nursery.start(serve, disk, load)
        await load.place.wait_more(load.kinds, 40)
        await load.end()
        with trio.fail_after(60):
            await load.check()
        assert await running.stop() == 0
    checked = await trio.to_thread.run_sync(run, disk.path / "data", "check")
    assert checked.returncode == 0, checked.stdout
    tell(f"a disk that failed ({codes[0]}): {load.counts()}")


async def serve(
    disk: Disk, load: Load, *, task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run a server on the disk until it ends."""
    async with server(disk.path, env=SETTINGS) as running:
        await running.wait_ready()
        load.place.url = running.urls[0]
        task_status.started(running)
        await running.process.wait()
