"""A demo server in a process of its own, for benchmarks that go through the door."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec


class Served(msgspec.Struct, frozen=True):
    """Where the server, and a demo's portal and captcha service are, and its process."""

    url: str
    portal: str
    captcha: str
    pid: int


@contextmanager
def served(
    *,
    demo: bool = True,
    environment: Mapping[str, str] | None = None,
    data_dir: str | None = None,
    **settings: str | float,
) -> Iterator[Served]:
    """Run `mooring serve` with `MOORING_BROWSER__*` settings for the length of a block.

    Args:
        environment: further variables; their names may be in small letters.
        data_dir: where an earlier one has left something; None for a new one.
    """
    made = tempfile.TemporaryDirectory(prefix="mooring-bench-")
    with contextlib.nullcontext(data_dir) if data_dir else made as directory:
        environ = os.environ | {"MOORING_BIND": "127.0.0.1:0", "MOORING_DATA_DIR": directory}
        environ |= {f"MOORING_BROWSER__{key.upper()}": str(it) for key, it in settings.items()}
        environ |= {key.upper(): value for key, value in (environment or {}).items()}
        command = [str(Path(sys.executable).parent / "mooring"), "serve"]
        command += ["--demo"] if demo else []
        log = Path(directory, "server.log")
        with log.open("wb") as errors:
            process = subprocess.Popen(
                command, env=environ, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        try:
            yield _where(process)
        except BaseException:
            sys.stderr.write(log.read_text()[-4000:])
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()


def _where(process: subprocess.Popen[str]) -> Served:
    assert process.stdout is not None
    said: dict[str, str] = {}
    while "listening" not in said:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the server ended before it was ready")
        what, _, url = line.strip().partition(" on ")
        said[what] = url
    portal, captcha = said.get("demo portal", ""), said.get("demo captcha", "")
    return Served(said["listening"], portal, captcha, process.pid)


def chromium_pss_bytes(server: int) -> int:
    """Return the proportional memory of all Chromium processes below a server."""
    parents = _parents()
    total = 0
    for pid in parents:
        if _descends(pid, server, parents) and pid != server:
            with contextlib.suppress(OSError):
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                found = re.search(r"^Pss:\s+(\d+) kB", rollup, re.MULTILINE)
                total += int(found[1]) * 1024 if found else 0
    return total


def _parents() -> dict[int, int]:
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (entry / "stat").read_text()
                found[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    return found


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid in parents and pid != ancestor:
        pid = parents[pid]
    return pid == ancestor
