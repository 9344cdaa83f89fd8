"""What a killed server left is found and removed, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from actors.browser import processes
from actors.browser.chromium import ChromiumOptions, Leftovers, launch, sweep_leftovers

DEAD = f"{os.getpid():08x}dead"

SERVER = """
import sys, trio
from actors.browser.chromium import ChromiumOptions, launch

async def serve():
    async with launch(ChromiumOptions(executable=sys.argv[1], run_id=sys.argv[2])) as chromium:
        print("in", chromium.profile_dir, flush=True)
        await trio.sleep_forever()

trio.run(serve)
"""


def killed_server(executable: str, run_id: str) -> Path:
    """Start a process that launches a Chromium, kill it, and return what it left."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, executable, run_id], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    with server.stdout:
        said = next(line for line in server.stdout if line.startswith("in "))
    server.kill()
    server.wait()
    return Path(said.removeprefix("in ").strip())


@contextmanager
def running(*arguments: str) -> Iterator[int]:
    process = subprocess.Popen(arguments, start_new_session=True)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


async def test_a_killed_servers_chromium_is_ended_and_its_directory_removed(
    executable: str,
) -> None:
    directory = await trio.to_thread.run_sync(killed_server, executable, DEAD)
    assert directory.exists()
    assert processes.find(str(directory))

    swept = await sweep_leftovers(DEAD)

    assert swept.directories == 1
    assert swept.processes >= 3
    assert processes.find(str(directory)) == ()
    assert not directory.exists()
    assert await sweep_leftovers(DEAD) == Leftovers(processes=0, directories=0)


async def test_the_chromium_of_another_run_id_is_not_touched(options: ChromiumOptions) -> None:
    async with launch(options) as chromium:
        assert await sweep_leftovers(DEAD) == Leftovers(processes=0, directories=0)
        assert processes.find(str(chromium.profile_dir))
        assert chromium.profile_dir.exists()


async def test_a_process_that_only_speaks_of_the_directory_is_not_ended() -> None:
    name = f"mooring-chromium-{DEAD}-x"
    with running("sh", "-c", f": {name}; exec sleep 1000") as pid:
        assert await sweep_leftovers(DEAD) == Leftovers(processes=0, directories=0)
        os.kill(pid, 0)


async def test_the_sweeper_never_ends_itself_or_its_own_group(executable: str) -> None:
    code = (
        "import sys, trio\n"
        "from actors.browser.chromium import sweep_leftovers\n"
        "print(trio.run(sweep_leftovers, sys.argv[1]))"
    )
    marked = f"--user-data-dir=/tmp/mooring-chromium-{DEAD}-x"
    ran = await trio.run_process([sys.executable, "-c", code, DEAD, marked], capture_stdout=True)
    assert ran.stdout == b"Leftovers(processes=0, directories=0)\n"


async def test_one_that_is_frozen_is_ended_too() -> None:
    marked = f"--user-data-dir=/tmp/mooring-chromium-{DEAD}-x"
    with running(sys.executable, "-c", "import time; time.sleep(1000)", marked) as pid:
        os.kill(pid, signal.SIGSTOP)
        assert (await sweep_leftovers(DEAD)).processes == 1


async def test_a_link_of_that_name_is_left_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "precious").touch()
    link = Path(tempfile.gettempdir()) / f"mooring-chromium-{DEAD}-link"
    link.symlink_to(tmp_path)
    try:
        assert await sweep_leftovers(DEAD) == Leftovers(processes=0, directories=0)
        assert (tmp_path / "precious").exists()
    finally:
        link.unlink()


@pytest.mark.parametrize("run_id", ["", "dead", "*", "DEAD00000000", "dead00000000-"])
async def test_a_run_id_that_could_match_others_is_refused(run_id: str) -> None:
    with pytest.raises(ValueError, match="twelve"):
        await sweep_leftovers(run_id)
