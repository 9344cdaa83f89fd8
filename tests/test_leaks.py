from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import trio

from tests.leaks import footprint, leaks


def test_the_leak_check_sees_a_process_a_zombie_a_thread_and_a_directory(tmp_path: Path) -> None:
    before, release = footprint(tmp_path), threading.Event()
    waiting = [sys.executable, "-c", "input()"]
    child = subprocess.Popen(waiting, stdin=subprocess.PIPE)
    zombie = os.spawnlp(os.P_NOWAIT, "true", "true")
    thread = threading.Thread(target=release.wait, name="left behind")
    thread.start()
    (tmp_path / "mooring-chromium-x").mkdir()
    left = leaks(before, tmp_path, patience_s=0.5)
    assert [item.split()[0] for item in left] == ["directory", "process", "process", "thread"]
    assert any(item.endswith(" true Z") for item in left)

    child.communicate(b"\n")
    os.waitpid(zombie, 0)
    release.set()
    thread.join()
    (tmp_path / "mooring-chromium-x").rmdir()
    assert leaks(before, tmp_path) == []


async def test_trios_idle_workers_are_no_leak(tmp_path: Path) -> None:
    before = footprint(tmp_path)
    await trio.to_thread.run_sync(str)
    assert leaks(before, tmp_path) == []
