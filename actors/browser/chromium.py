"""Chromium as a process: started, watched and ended by Trio.

Laws of this file: no pyppeteer, no CDP. A Chromium has a process group and a directory of its own;
when its `launch` has been left, however that came about, no process, zombie or file is left of it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import structlog
import trio

from actors.browser import chromium_flags, processes
from actors.browser.chromium_errors import ChromiumError, ChromiumFailed, ChromiumMissing
from actors.browser.chromium_output import ChromiumOutput
from actors.browser.leftovers import (
    Leftovers,
    directory_prefix,
    end_processes,
    reap_orphans,
    remove_directory,
    sweep_leftovers,
)

__all__ = [
    "Chromium",
    "ChromiumError",
    "ChromiumFailed",
    "ChromiumMissing",
    "ChromiumOptions",
    "Leftovers",
    "find_executable",
    "launch",
    "sweep_leftovers",
]

_log = structlog.get_logger(__name__)

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_NICENESS: Final = 15
_NO_SANDBOX: Final = re.compile(
    r"No usable sandbox|without --no-sandbox|SUID sandbox helper|Failed to move to new namespace"
)
# It takes 0.1 s when asked; when it does not listen (stopped, swapped out) it is killed.
_POLITE_S: Final = 0.7
_END_TIMEOUT_S: Final = 5.0


class ChromiumOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to start.

    Attributes:
        executable: path of Chromium or Chrome, as `find_executable` returns it.
        headless: without a display.
        run_id: twelve hexadecimal digits that stand for the data directory; what a killed server
            leaves is found by them.
    """

    executable: str
    headless: bool = True
    run_id: str


class Chromium:
    """A running Chromium. Lives as long as the `launch` that gave it, or shorter."""

    def __init__(self, process: trio.Process, output: ChromiumOutput, profile_dir: Path) -> None:
        self._process = process
        self._output = output
        self._profile_dir = profile_dir

    @property
    def endpoint(self) -> str:
        """The websocket's address on loopback; whoever knows it owns the logins. Never log it."""
        assert self._output.endpoint is not None  # noqa: S101 - `launch` gives none without
        return self._output.endpoint

    @property
    def pid(self) -> int:
        """The process, and its process group."""
        return self._process.pid

    @property
    def profile_dir(self) -> Path:
        """The directory that holds everything which this Chromium writes."""
        return self._profile_dir

    async def wait(self) -> int:
        """Return the exit status once the process has ended; negative for a signal."""
        return await self._process.wait()

    def kill(self) -> None:
        """End all its processes at once. `launch` still cleans up after it."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _wait_listening(self, timeout_s: float) -> None:
        with trio.move_on_after(timeout_s) as scope:
            await self._output.wait_announced()
            if self._output.endpoint is None:
                status = await self._process.wait()
                raise ChromiumFailed(f"it ended with status {status}", self._output.tail)
        if scope.cancelled_caught:
            raise ChromiumFailed(f"it did not listen within {timeout_s:g} s", self._output.tail)

    async def _end(self) -> None:
        """Ask it to end, kill what does not, and reap it. Shielded, with a deadline."""
        with trio.move_on_after(_END_TIMEOUT_S, shield=True) as scope:
            if self._process.poll() is None:
                self._process.terminate()
            with trio.move_on_after(_POLITE_S):
                await self._process.wait()
            self.kill()
            ended = await end_processes(str(self._profile_dir), self.pid)
            await self._process.wait()
            await reap_orphans({self.pid, *(each.group for each in ended)})
        self._output.stop()
        if scope.cancelled_caught:
            _log.error("chromium_processes_left", pid=self.pid)


class _Sandbox:
    """Whether Chromium's own sandbox works here; said once when it does not."""

    def __init__(self) -> None:
        self._works = True

    def works(self) -> bool:
        if self._works and os.geteuid() == 0:
            self.refuse("it does not run as root")
        return self._works

    def refuse(self, reason: str) -> None:
        self._works = False
        _log.warning("chromium_runs_without_sandbox", reason=reason)


# The kernel's answer is the same for every start of this process.
_sandbox: Final = _Sandbox()


async def find_executable(explicit: str | None) -> str:
    """Return the path of Chromium or Chrome: `explicit`, or the first one on the PATH.

    Raises:
        ChromiumMissing: there is none, or `explicit` cannot be executed.
    """
    names = _NAMES if explicit is None else (explicit,)
    for name in names:
        found = await trio.to_thread.run_sync(shutil.which, name)
        if found is not None:
            return found
    raise ChromiumMissing(names)


@asynccontextmanager
async def launch(
    options: ChromiumOptions, *, start_timeout_s: float = 20.0
) -> AsyncIterator[Chromium]:
    """Start a Chromium and give it once it listens.

    Makes this process the reaper of its Chromiums' orphans (`processes.adopt_orphans`).

    On leaving, also by cancellation or by an error in the start or the body, all its processes are
    ended and reaped and its directory is removed; that is shielded and takes at most 5 s, mostly
    0.2 s. It may end before that by itself: see `Chromium.wait`.

    Raises:
        ChromiumFailed: it ended instead of listening, or did not listen within `start_timeout_s`.
    """
    processes.adopt_orphans()
    async with _directory(options.run_id) as directory, _unwrapped_nursery() as nursery:
        chromium = await _start(options, directory, nursery, start_timeout_s)
        try:
            yield chromium
        finally:
            await chromium._end()


@asynccontextmanager
async def _directory(run_id: str) -> AsyncIterator[Path]:
    directory = await trio.to_thread.run_sync(_make_directory, run_id)
    try:
        yield directory
    finally:
        with trio.move_on_after(_END_TIMEOUT_S, shield=True) as scope:
            await remove_directory(directory)
        if scope.cancelled_caught:
            _log.warning("chromium_directory_left", directory=str(directory))


def _make_directory(run_id: str) -> Path:
    directory = Path(tempfile.mkdtemp(prefix=directory_prefix(run_id)))
    for name in ("home", "profile/Default", "tmp"):
        (directory / name).mkdir(mode=0o700, parents=True)
    (directory / "profile/Default/Preferences").write_text(chromium_flags.PREFERENCES)
    return directory


@asynccontextmanager
async def _unwrapped_nursery() -> AsyncIterator[trio.Nursery]:
    """A nursery whose body's error leaves as it was raised; its tasks must raise none."""
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        if len(group.exceptions) != 1:
            raise
        failure = group.exceptions[0]
    if failure is not None:
        raise failure


async def _start(
    options: ChromiumOptions, directory: Path, nursery: trio.Nursery, timeout_s: float
) -> Chromium:
    start = partial(_spawn, options, directory, nursery, timeout_s)
    if not _sandbox.works():
        return await start(sandbox=False)
    try:
        return await start(sandbox=True)
    except ChromiumFailed as error:
        refusal = _NO_SANDBOX.search(error.output)
        if refusal is None:
            raise
        _sandbox.refuse(refusal[0])
    return await start(sandbox=False)


async def _spawn(
    options: ChromiumOptions,
    directory: Path,
    nursery: trio.Nursery,
    timeout_s: float,
    *,
    sandbox: bool,
) -> Chromium:
    process = await _open_process(options, directory, sandbox=sandbox)
    _let_the_server_go_first(process.pid)
    chromium = Chromium(process, ChromiumOutput(), directory)
    try:
        assert process.stderr is not None  # noqa: S101 - it was asked for
        nursery.start_soon(chromium._output.drain, process.stderr)
        await chromium._wait_listening(timeout_s)
    except BaseException:
        await chromium._end()
        raise
    return chromium


def _let_the_server_go_first(pid: int) -> None:
    """Make Chromium, and all that it will start, less urgent than the server.

    Pages that render would otherwise make whoever asks for a list wait for the processor.
    """
    with contextlib.suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS)


async def _open_process(
    options: ChromiumOptions, directory: Path, *, sandbox: bool
) -> trio.Process:
    switches = await trio.to_thread.run_sync(
        partial(chromium_flags.arguments, directory, headless=options.headless, sandbox=sandbox)
    )
    try:
        return await trio.lowlevel.open_process(
            [options.executable, *switches],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=chromium_flags.environment(directory, os.environ),
            start_new_session=True,
        )
    except OSError as error:
        raise ChromiumFailed(error.strerror or type(error).__name__, "") from error
